"""Runs layer tasks: one thread pool, one event loop and one limit for all recalls of a manager."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from athena_tuning import fork
from athena_tuning.closeable import Closeable
from athena_tuning.model import TaskOutcome, TuningConfig
from athena_tuning.recall.execution.admission import Admission, Ticket
from athena_tuning.recall.execution.carrier import Carrier
from athena_tuning.recall.execution.event_loop import LoopBlock
from athena_tuning.recall.execution.fanout import FanOut
from athena_tuning.recall.execution.limiter import SharedLimit, SlotLedger
from athena_tuning.recall.execution.second_calls import SecondCalls
from athena_tuning.recall.execution.slots import Slots
from athena_tuning.recall.execution.task import ExecutionResult, QueryTask

logger = logging.getLogger(__name__)


class ParallelLayerExecutor(Closeable):
    """Fans queries out over layers under one limit.

    Functions run on one long-lived thread pool, coroutine functions on one long-lived event loop without a
    thread a task, or on the caller's own loop where it awaits and the task wants that; all need a slot of
    the same limit. Use it from plain threads (``execute_parallel_sync``, also where an event loop is running)
    or await it (``execute_parallel``, which blocks no loop). Each call runs in the context variables of the
    caller.

    A call that is over its timeout is given up: its recall goes on without it. A coroutine is cancelled; a
    function cannot be, so it keeps its slot until it really ends, and the limit stays true. What a layer asks
    of the same executor itself runs in its own slot, one task after another.

    Args:
        max_concurrent: layer tasks in flight over everything that uses this executor.
        timeout_seconds: longest service time; a task gets this or its own, whichever is shorter.
        enable_parallel: run the tasks of a query at the same time; else one after another.
        patience_seconds: longest wait for a slot. It only matters when calls that do not end hold every
            slot: then recalls fail after so long, rather than never.
        clock: monotonic seconds.

    Examples:
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
        self._patience = patience_seconds
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self.latest_layer_latencies: dict[str, float] = {}
        self._closed = False
        self._config: TuningConfig | None = None
        self._begin(max_concurrent)
        fork.register(self)

    def renew_after_fork(self) -> None:
        """Begin anew in a forked child: the threads, and whoever held a slot, are the parent's."""
        config = self._config
        self._begin(self.max_concurrent)
        if config is not None:
            self.obey(config)

    def _begin(self, max_concurrent: int) -> None:
        self._lock = threading.Lock()
        self._carrier = Carrier(self._clock)
        limit = SharedLimit(max_concurrent, self._clock)
        self._slots = Slots(limit, self._clock, self._carrier.forget)
        self._admission = Admission(limit, self._clock)
        self.second_calls = SecondCalls()

    @property
    def max_concurrent(self) -> int:
        """The limit. Setting it holds for the next slot that is given."""
        return self._slots.limit.limit

    @max_concurrent.setter
    def max_concurrent(self, limit: int) -> None:
        self._slots.limit.resize(limit)

    def obey(self, config: TuningConfig, slots: int | None = None) -> None:
        """Take from a config the limit, when recalls with a ticket are refused, and what a slow call is.

        Args:
            config: what to obey.
            slots: of the limit, where others have a share of it, too; None: all of it.
        """
        self._config = config
        self._admission.obey(config, config.max_concurrent if slots is None else slots)
        self.second_calls.obey(config)

    def ask_admission(self, kind: str, deadline: float | None, background: bool) -> Ticket:
        """Ask for a recall whether it may wait for slots now; see ``Admission.ask``."""
        return self._admission.ask(kind, deadline, background)

    @property
    def overloaded_seconds(self) -> float:
        """For how long more recalls have come than can be served; 0: that is not so."""
        return self._admission.overloaded_seconds

    @property
    def in_flight(self) -> int:
        """Layer tasks that hold a slot now, given-up calls that have not ended included."""
        return self._slots.limit.in_flight

    def slots_given_alone(self) -> int | None:
        """Return the slots given since the start, if one is taken now; None if none is, or several are."""
        ledger = self._slots.limit.ledger()
        return ledger.given if sum(ledger.held.values()) == 1 else None

    @property
    def waiting(self) -> int:
        """Layer tasks that wait for a slot now."""
        return self._slots.limit.waiting

    @property
    def blocks(self) -> dict[str, LoopBlock]:
        """What blocked an event loop, by layer: the longest block seen of each."""
        return self._carrier.blocks

    @property
    def ledger(self) -> SlotLedger:
        """Slots given and returned so far, and who holds them now."""
        return self._slots.limit.ledger()

    def execute_parallel_sync(self, tasks: Sequence[QueryTask]) -> dict[str, ExecutionResult]:
        """Run the tasks and wait in this thread; return the results by layer."""
        return {result.layer_name: result for result in self.run(tasks)}

    async def execute_parallel(self, tasks: Sequence[QueryTask]) -> dict[str, ExecutionResult]:
        """Run the tasks without blocking the running loop; return the results by layer."""
        return {result.layer_name: result for result in await self.arun(tasks)}

    def run(
        self,
        tasks: Sequence[QueryTask],
        *,
        parallel: bool = True,
        deadline: float | None = None,
        purpose: object = None,
        ticket: Ticket | None = None,
    ) -> list[ExecutionResult]:
        """Run the tasks and wait in this thread.

        Args:
            tasks: what to do. Of those that keep their deadline, the calling thread carries out one itself,
                or all if they run one after another.
            parallel: at the same time; ``enable_parallel`` must allow it too.
            deadline: monotonic seconds at which to go on with what there is; None: no deadline.
            purpose: what it is for; see ``FanOut``.
            ticket: from ``ask_admission``; if it says afterwards that the recall was refused, no task ran.

        Returns:
            A result for every task, in their order.

        Raises:
            RuntimeError: after ``close``, and on the executor's own loop, where waiting would never end.
        """
        if self._carrier.is_own_loop:
            raise RuntimeError("this thread runs the coroutine layers: await the asynchronous call here")
        gate, thread = threading.Lock(), threading.get_ident()  # an Event costs ten times as much
        gate.acquire()  # whoever wants in waits

        def wake() -> None:
            if threading.get_ident() != thread:  # this one looks before it waits
                with suppress(RuntimeError):  # it is open already
                    gate.release()

        width = self._width(tasks, parallel)
        local = len(tasks) if width == 1 else 1
        fan = self._fan_out(tasks, width, deadline, local, wake, None, purpose, ticket)
        present = _Presence(fan)
        try:
            fan.launch()
            while True:
                while fan.ready:
                    if (finish := fan.ready.popleft().call()) is not None:
                        finish()
                if fan.done:
                    break
                wait = fan.expire()
                if not fan.done and not fan.ready:
                    gate.acquire(timeout=max(0.0, min(wait, threading.TIMEOUT_MAX)))
        finally:
            fan.close()
        present.over()
        return self._noted(fan, width, ticket)

    async def arun(
        self,
        tasks: Sequence[QueryTask],
        *,
        parallel: bool = True,
        deadline: float | None = None,
        purpose: object = None,
        ticket: Ticket | None = None,
    ) -> list[ExecutionResult]:
        """Do as ``run`` does without blocking the running loop. If it is cancelled, so are its tasks."""
        loop, thread = asyncio.get_running_loop(), threading.get_ident()
        changed = loop.create_future()

        def note() -> None:
            if not changed.done():
                changed.set_result(None)

        def wake() -> None:
            if threading.get_ident() == thread:
                note()
                return
            try:
                loop.call_soon_threadsafe(note)
            except RuntimeError:  # the loop was closed: nobody waits any more
                logger.debug("a recall ended after its event loop was closed")

        width = self._width(tasks, parallel)
        fan = self._fan_out(tasks, width, deadline, 0, wake, loop, purpose, ticket)
        present = _Presence(fan)
        try:
            fan.launch()
            while not fan.done:
                timer = loop.call_later(min(fan.expire(), threading.TIMEOUT_MAX), note)
                await changed
                timer.cancel()
                changed = loop.create_future()
        finally:
            fan.close()
        present.over()
        return self._noted(fan, width, ticket)

    def get_stats(self) -> dict[str, Any]:
        """Return what was run so far and what runs now."""
        with self._lock:
            counts = Counter(self._counts)
        ledger = self._slots.limit.ledger()
        total = counts["parallel"] + counts["sequential"]
        return {
            "total_queries": total,
            "parallel_queries": counts["parallel"],
            "sequential_queries": counts["sequential"],
            "parallel_percentage": 100.0 * counts["parallel"] / total if total else 0.0,
            "failed_tasks": counts[TaskOutcome.ERROR] + counts[TaskOutcome.TIMEOUT],
            "timed_out_tasks": counts[TaskOutcome.TIMEOUT],
            "max_concurrent": self._slots.limit.limit,
            "in_flight": self._slots.limit.in_flight,
            "waiting": sum(ledger.waiting.values()),
            "threads": self._carrier.threads,
            "slots_given": ledger.given,
            "slots_returned": ledger.returned,
            "slots_reclaimed": self._slots.reclaimed,
            "slots_held": ledger.held,
            "second_calls": self.second_calls.counts["asked"],
            "second_calls_won": self.second_calls.counts["won"],
        }

    @property
    def total_parallel_queries(self) -> int:
        """Queries whose tasks ran at the same time."""
        return self._counts["parallel"]

    @property
    def total_sequential_queries(self) -> int:
        """Queries whose tasks ran one after another, or that had one task."""
        return self._counts["sequential"]

    @property
    def failed_tasks(self) -> int:
        """Tasks that failed or were over their time."""
        return self._counts[TaskOutcome.ERROR] + self._counts[TaskOutcome.TIMEOUT]

    def sweep(self) -> None:
        """Take back slots that were lost, replace threads that died, and look whether event loops turn.

        Call it every now and then; recalls that must queue do a part of it.
        """
        self._carrier.repair()
        self._slots.sweep()

    def call_apart(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Call a function outside of the limit, as this executor would: it takes no slot and has no timeout.

        Returns:
            A future with its result, also if that had to be awaited on the event loop.
        """
        return self._carrier.call_apart(function, *args)

    def stop(self, timeout_seconds: float) -> bool:
        """Begin nothing more, and wait for the calls under way; False if some do not end in time."""
        self._closed = True
        until = time.monotonic() + timeout_seconds
        while self._slots.limit.in_flight and time.monotonic() < until:
            time.sleep(0.005)
        return not self._slots.limit.in_flight

    def close(self, timeout_seconds: float = 5.0) -> None:
        """End threads and loop. A call that does not end in time is left behind and logged."""
        self._closed = True
        left = self._carrier.close(timeout_seconds)
        if left:
            logger.warning("%d layer calls did not end within %g s of closing", left, timeout_seconds)

    def _width(self, tasks: Sequence[QueryTask], parallel: bool) -> int:
        return len(tasks) if parallel and self.enable_parallel and len(tasks) > 1 else 1

    def _fan_out(
        self,
        tasks: Sequence[QueryTask],
        width: int,
        deadline: float | None,
        local: int,
        wake: Callable[[], None],
        loop: asyncio.AbstractEventLoop | None,
        purpose: object,
        ticket: Ticket | None,
    ) -> FanOut:
        if self._closed:
            raise RuntimeError("the executor is closed")
        return FanOut(
            self._slots,
            self._carrier,
            tasks,
            width,
            deadline,
            self._patience,
            self.timeout_seconds,
            local,
            wake,
            self._clock,
            loop,
            purpose,
            ticket,
            self.second_calls,
        )

    def _noted(self, fan: FanOut, width: int, ticket: Ticket | None) -> list[ExecutionResult]:
        results = fan.take_results()
        self.latest_layer_latencies = took = {r.layer_name: r.elapsed_ms for r in results if r.in_flight}
        if ticket is not None and ticket.refused is None:
            ticket.served(max(took.values(), default=0.0) / 1000)
        failed = [result.outcome for result in results if not result.success]
        with self._lock:
            self._counts["parallel" if width > 1 else "sequential"] += 1
            for outcome in failed:
                self._counts[outcome] += 1
        return results


class _Presence:
    """Stands for the caller of a recall: once its frame is gone, however it went, nobody waits any more.

    It only leaves a mark, because the garbage collector may call it anywhere, also where a lock is held.
    """

    __slots__ = ("_fan",)

    def __init__(self, fan: FanOut) -> None:
        self._fan: FanOut | None = fan

    def over(self) -> None:
        self._fan = None

    def __del__(self) -> None:
        if self._fan is not None:
            self._fan.orphaned = True
