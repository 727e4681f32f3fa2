"""Carries out what has a slot: functions in threads, coroutines on event loops."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from athena_tuning.model import TaskOutcome
from athena_tuning.recall.execution.event_loop import LoopBlock, LoopThread, LoopWatch
from athena_tuning.recall.execution.failure import describe, is_callers_own
from athena_tuning.recall.execution.layer_run import LayerRun
from athena_tuning.recall.execution.pool import ThreadPool
from athena_tuning.recall.execution.task import is_coroutine_function

logger = logging.getLogger(__name__)


class Carrier:
    """The threads and loops of an executor. Each call runs in the context variables of its caller.

    Args:
        clock: monotonic seconds.

    Attributes:
        blocks: what blocked an event loop, by layer: the longest block seen of each.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.blocks: dict[str, LoopBlock] = {}
        self._clock = clock
        self._pool = ThreadPool()
        self._loop = LoopThread()
        self._watches: dict[asyncio.AbstractEventLoop, LoopWatch] = {}
        self._coroutines: set[asyncio.Task[None]] = set()

    @property
    def threads(self) -> int:
        """Threads of the pool."""
        return self._pool.size

    @property
    def is_own_loop(self) -> bool:
        """Whether this is called on the executor's own event loop."""
        return self._loop.is_current

    def carry_out(self, run: LayerRun) -> bool:
        """Start a run that has its slot: a coroutine on a loop, a function in a thread.

        Raises:
            BaseException: only what a signal handler raised here; if the run is not started, ``Slots.sweep``
                starts it.
        """
        try:
            if run.task.is_coroutine:
                self._start_on_loop(run)
            else:
                self._pool.submit(run.call)
        except BaseException as exc:  # closed, or no more threads can be had
            if is_callers_own(exc):
                raise
            error, outcome = describe(exc)
            run.over = True
            run.fan.settle(run, self._clock(), None, error, outcome, of_layer=False)
            return False
        return True

    def have_awaited(self, run: LayerRun) -> None:
        """Have what a run's function returned awaited on an event loop; its slot stays taken."""
        try:
            self._start_on_loop(run)
        except BaseException as exc:  # noqa: BLE001
            run.discard()
            run.end(None, *describe(exc))

    def cancel(self, run: LayerRun) -> None:
        """Cancel a coroutine that was given up; a function goes on and holds its slot until it ends."""
        handle = run.handle
        if handle is None:
            return
        if run.fan.loop is handle.get_loop() and run.fan.loop_thread == threading.get_ident():
            handle.cancel()
            return
        with suppress(RuntimeError):  # the loop is closed: ``sweep`` takes the slot back
            handle.get_loop().call_soon_threadsafe(handle.cancel)

    def block(self, run: LayerRun) -> LoopBlock | None:
        """Return what blocks the event loop that a run is on or waits for; None if nothing does."""
        watch = None if run.loop is None else self._watches.get(run.loop)
        return None if watch is None else self._note_block(watch.block())

    def call_apart(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Call a function outside of the limit, as this executor would: it takes no slot and has no timeout.

        Returns:
            A future with its result, also if that had to be awaited on the event loop.
        """
        future: Future[Any] = Future()

        async def wait_for(awaitable: Awaitable[Any] | None) -> None:
            try:
                result = await (function(*args) if awaitable is None else awaitable)
            except BaseException as exc:  # noqa: BLE001
                future.set_exception(exc)
            else:
                future.set_result(result)

        def start(awaitable: Awaitable[Any] | None = None) -> None:
            task = asyncio.get_running_loop().create_task(wait_for(awaitable))
            self._coroutines.add(task)
            task.add_done_callback(self._coroutines.discard)

        def call() -> Callable[[], object] | None:
            try:
                result = function(*args)
                if not inspect.isawaitable(result):
                    return partial(future.set_result, result)
                self._loop.submit(partial(start, result))
            except BaseException as exc:  # noqa: BLE001
                return partial(future.set_exception, exc)
            return None

        try:
            if is_coroutine_function(function):
                self._loop.submit(start)
            else:
                self._pool.submit(call)
        except BaseException as exc:  # noqa: BLE001  (closed, or no more threads can be had)
            future.set_exception(exc)
        return future

    def repair(self) -> None:
        """Replace what died, and look whether the loops turn."""
        self._pool.repair()
        for loop, watch in list(self._watches.items()):
            if loop.is_closed():
                self._watches.pop(loop, None)
            self._note_block(watch.block())

    def forget(self, run: LayerRun) -> None:
        """Keep nothing of a run that was lost."""
        if run.handle is not None:
            self._left(run.handle)

    def close(self, timeout_seconds: float) -> int:
        """End threads and loop; return how many threads are still in a call that does not end."""
        left = self._pool.close(timeout_seconds)
        self._loop.close(timeout_seconds)
        return left

    def _start_on_loop(self, run: LayerRun) -> None:
        fan = run.fan
        if fan.loop is not None and run.task.on_caller_loop:
            run.loop = fan.loop
            if threading.get_ident() == fan.loop_thread:
                self._create_task(run)
            else:
                fan.loop.call_soon_threadsafe(self._create_task, run, context=run.variables)
        else:
            run.loop = self._loop.get()
            self._loop.submit(partial(self._create_task, run))

    def _create_task(self, run: LayerRun) -> None:
        if run.handle is not None:  # ``Slots.sweep`` had it started again, although it was on its way
            return
        if run.result is not None:  # given up meanwhile
            if run.awaitable is not None:
                run.discard()
                run.end(None, None, TaskOutcome.TIMEOUT)
            return
        loop = asyncio.get_running_loop()
        watch = self._watches.get(loop)
        if watch is None:
            on_idle = partial(self._watches.pop, loop, None)
            watch = self._watches[loop] = LoopWatch(loop, self._clock, on_idle)
        run.handle = task = loop.create_task(run.drive(), context=run.variables)
        watch.enter(task, run)
        task.add_done_callback(self._task_done, context=run.variables)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        run = self._left(task)
        if run is not None:
            run.handle = None  # whose context variables know the run, in a circle
            if not run.over:
                run.discard()
                run.end(None, "cancelled before it began", TaskOutcome.ERROR)

    def _left(self, task: asyncio.Task[None]) -> LayerRun | None:
        watch = self._watches.get(task.get_loop())
        return None if watch is None else watch.leave(task)

    def _note_block(self, block: LoopBlock | None) -> LoopBlock | None:
        if block is not None:
            known = self.blocks.get(block.layer)
            if known is None:
                logger.warning(
                    "layer %r blocks its event loop (%s): a coroutine must await whatever it waits for",
                    block.layer,
                    block.where,
                )
            if known is None or block.seconds > known.seconds:
                self.blocks[block.layer] = block
        return block
