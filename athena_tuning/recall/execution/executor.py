"""Runs layer tasks: one thread pool, one event loop and one limit for all recalls of a manager."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from athena_tuning.model import TaskOutcome
from athena_tuning.recall.execution.fanout import ExecutionResult, FanOut, QueryTask, Run, failure
from athena_tuning.recall.execution.limiter import SharedLimit
from athena_tuning.recall.execution.pool import ThreadPool

logger = logging.getLogger(__name__)


class ParallelLayerExecutor:
    """Fans queries out over layers under one limit.

    Functions run on one long-lived thread pool, coroutine functions on one long-lived event loop without a
    thread a task; both need a slot of the same limit. Use it from plain threads (``execute_parallel_sync``,
    also where an event loop is running) or await it (``execute_parallel``, which blocks no loop).

    A call that is over its timeout is given up: its recall goes on without it. A coroutine is cancelled; a
    function cannot be, so it keeps its slot until it really ends, and the limit stays true.

    Args:
        max_concurrent: layer tasks in flight over everything that uses this executor.
        timeout_seconds: longest service time; a task gets this or its own, whichever is shorter.
        enable_parallel: run the tasks of a query at the same time; else one after another.
        patience_seconds: longest wait for a slot. It only matters when calls that do not end hold every
            slot: then recalls fail after so long, rather than never.
        clock: monotonic seconds.

    Example:
        >>> with ParallelLayerExecutor(max_concurrent=2) as executor:
        ...     results = executor.execute_parallel_sync([QueryTask("semantic", str.upper, ("tea",))])
        >>> results["semantic"].result
        'TEA'
    """

    def __init__(
        self,
        max_concurrent: int = 5,
        timeout_seconds: float = 10.0,
        enable_parallel: bool = True,
        *,
        patience_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self.enable_parallel = enable_parallel
        self.latest_layer_latencies: dict[str, float] = {}
        self._patience = patience_seconds
        self._clock = clock
        self._limit = SharedLimit(max_concurrent)
        self._pool = ThreadPool()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread: threading.Thread | None = None
        self._coroutines: set[asyncio.Task[None]] = set()
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._closed = False

    @property
    def max_concurrent(self) -> int:
        """The limit. Setting it holds for the next slot that is given."""
        return self._limit.limit

    @max_concurrent.setter
    def max_concurrent(self, limit: int) -> None:
        self._limit.resize(limit)

    @property
    def in_flight(self) -> int:
        """Layer tasks that hold a slot now, given-up calls that have not ended included."""
        return self._limit.in_flight

    @property
    def waiting(self) -> int:
        """Layer tasks that wait for a slot now."""
        return self._limit.waiting

    def execute_parallel_sync(self, tasks: Sequence[QueryTask]) -> dict[str, ExecutionResult]:
        """Run the tasks and wait in this thread; return the results by layer."""
        return {result.layer_name: result for result in self.run(tasks)}

    async def execute_parallel(self, tasks: Sequence[QueryTask]) -> dict[str, ExecutionResult]:
        """Run the tasks without blocking the running loop; return the results by layer."""
        return {result.layer_name: result for result in await self.arun(tasks)}

    def run(
        self, tasks: Sequence[QueryTask], *, parallel: bool = True, deadline: float | None = None
    ) -> list[ExecutionResult]:
        """Run the tasks and wait in this thread.

        Args:
            tasks: what to do. Of those that keep their deadline, the calling thread carries out one itself,
                or all if they run one after another.
            parallel: at the same time; ``enable_parallel`` must allow it too.
            deadline: monotonic seconds at which to go on with what there is; None: no deadline.

        Returns:
            A result for every task, in their order.

        Raises:
            RuntimeError: after ``close``, and on the executor's own loop, where waiting would never end.
        """
        if threading.current_thread() is self._loop_thread:
            raise RuntimeError("this thread runs the coroutine layers: await the asynchronous call here")
        wake = threading.Event()
        width = self._width(tasks, parallel)
        fan = self._fan_out(tasks, width, deadline, local=len(tasks) if width == 1 else 1, wake=wake.set)
        try:
            while True:
                while fan.ready:
                    fan.ready.popleft().call()()
                if fan.done:
                    break
                wait = fan.expire()
                if not fan.done:
                    wake.wait(min(wait, threading.TIMEOUT_MAX))
                    wake.clear()
        finally:
            fan.abandon()
            while fan.ready:
                fan.ready.popleft().call()()
        return self._noted(fan.results, width)

    async def arun(
        self, tasks: Sequence[QueryTask], *, parallel: bool = True, deadline: float | None = None
    ) -> list[ExecutionResult]:
        """Do as ``run`` does without blocking the running loop. If it is cancelled, so are its tasks."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(changed.set)
            except RuntimeError:  # the loop was closed: nobody waits any more
                logger.debug("a recall ended after its event loop was closed")

        width = self._width(tasks, parallel)
        fan = self._fan_out(tasks, width, deadline, local=0, wake=wake)
        try:
            while not fan.done:
                timer = loop.call_later(min(fan.expire(), threading.TIMEOUT_MAX), changed.set)
                await changed.wait()
                timer.cancel()
                changed.clear()
        finally:
            fan.abandon()
        return self._noted(fan.results, width)

    def get_stats(self) -> dict[str, Any]:
        """Return what was run so far and what runs now."""
        with self._lock:
            counts = Counter(self._counts)
        total = counts["parallel"] + counts["sequential"]
        return {
            "total_queries": total,
            "parallel_queries": counts["parallel"],
            "sequential_queries": counts["sequential"],
            "parallel_percentage": 100.0 * counts["parallel"] / total if total else 0.0,
            "failed_tasks": counts[TaskOutcome.ERROR] + counts[TaskOutcome.TIMEOUT],
            "timed_out_tasks": counts[TaskOutcome.TIMEOUT],
            "max_concurrent": self._limit.limit,
            "in_flight": self._limit.in_flight,
            "waiting": self._limit.waiting,
            "threads": self._pool.size,
        }

    def close(self, timeout_seconds: float = 5.0) -> None:
        """End threads and loop. A call that does not end in time is left behind and logged."""
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._loop_thread
        until = time.monotonic() + timeout_seconds
        left = self._pool.close(timeout_seconds)
        if left:
            logger.warning("%d layer calls did not end within %g s of closing", left, timeout_seconds)
        if loop is not None and thread is not None and thread.is_alive():
            loop.call_soon_threadsafe(loop.stop)
            thread.join(max(0.0, until - time.monotonic()))

    def __enter__(self) -> ParallelLayerExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _width(self, tasks: Sequence[QueryTask], parallel: bool) -> int:
        return len(tasks) if parallel and self.enable_parallel and len(tasks) > 1 else 1

    def _fan_out(
        self,
        tasks: Sequence[QueryTask],
        width: int,
        deadline: float | None,
        local: int,
        wake: Callable[[], None],
    ) -> FanOut:
        if self._closed:
            raise RuntimeError("the executor is closed")
        fan = FanOut(
            self, tasks, width, deadline, self._patience, self.timeout_seconds, local, wake, self._clock
        )
        fan.launch()
        return fan

    def _noted(self, results: list[ExecutionResult], width: int) -> list[ExecutionResult]:
        self.latest_layer_latencies = {r.layer_name: r.elapsed_ms for r in results if r.in_flight}
        with self._lock:
            self._counts["parallel" if width > 1 else "sequential"] += 1
            for result in results:
                if not result.success:
                    self._counts[result.outcome] += 1
        return results

    # What a fan-out needs of its place.

    def acquire(self, run: Run) -> None:
        """Queue a run for a slot."""
        self._limit.acquire(run)

    def withdraw(self, run: Run) -> bool:
        """Take a run out of the queue; False if it has its slot."""
        return self._limit.withdraw(run)

    def release(self) -> None:
        """Give a slot back."""
        self._limit.release()

    def carry_out(self, run: Run) -> None:
        """Start a run that has its slot: a coroutine on the loop, a function in a thread."""
        try:
            if inspect.iscoroutinefunction(run.task.query_fn):
                self._event_loop().call_soon_threadsafe(self._start_coroutine, run)
            else:
                self._pool.submit(run.call)
        except RuntimeError as exc:  # closed meanwhile
            run.end(self._clock(), None, *failure(exc))

    def cancel(self, run: Run) -> None:
        """Cancel a coroutine that was given up; a function goes on and holds its slot until it ends."""
        if self._loop is not None and inspect.iscoroutinefunction(run.task.query_fn):
            self._loop.call_soon_threadsafe(lambda: run.coroutine and run.coroutine.cancel())

    def _start_coroutine(self, run: Run) -> None:
        run.coroutine = asyncio.get_running_loop().create_task(self._await(run))
        self._coroutines.add(run.coroutine)
        run.coroutine.add_done_callback(self._coroutines.discard)

    async def _await(self, run: Run) -> None:
        if not run.fan.begin(run):
            self.release()
            return
        value, error, outcome = None, None, TaskOutcome.OK
        try:
            value = await run.task.query_fn(*run.arguments(), **run.task.kwargs)
        except BaseException as exc:  # noqa: BLE001  (a layer's failure is a result, and no slot may be lost)
            error, outcome = failure(exc)
        run.end(self._clock(), value, error, outcome)

    def _event_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise RuntimeError("the executor is closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._loop_thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="layer-loop", daemon=True
                )
                self._loop_thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped, then cancel what is left on it and close it."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
