"""The layer tasks of one recall, from the first slot to the last result.

A state machine without a thread of its own: permits, threads and loops report to it, and whoever waits for
the recall (a thread or a coroutine, see ``executor``) asks it what is overdue.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import CoroutineType
from typing import Any, Protocol

from athena_tuning.model import TaskOutcome


@dataclass(frozen=True, slots=True)
class QueryTask:
    """One layer's share of a query.

    Attributes:
        layer_name: whose share.
        query_fn: a function, or a coroutine function; a function runs in a thread.
        args: its positional arguments.
        kwargs: its keyword arguments.
        timeout_seconds: longest service time; waiting for a slot does not count.
        takes_deadline: give it, after ``args``, the ``time.monotonic()`` until which its answer is of use.
        keeps_deadline: it returns or raises ``TimeoutError`` by its deadline without being watched, so that
            it may run in the caller's own thread, which saves handing it over.
    """

    layer_name: str
    query_fn: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    timeout_seconds: float = 10.0
    takes_deadline: bool = False
    keeps_deadline: bool = False


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """How one layer's share went.

    Attributes:
        layer_name: whose share.
        success: whether there is a result.
        result: what the layer gave.
        error: why there is none.
        elapsed_ms: service time; 0 if it never got a slot, what had passed if it was given up.
        queue_ms: wait for a slot (and for a thread), before the service time.
        offset_ms: from the start of the whole to when it asked for a slot.
        in_flight: slots taken when it got its own, that one included; 0 if it got none.
        outcome: ok, timeout or error.
    """

    layer_name: str
    success: bool
    result: Any = None
    error: str | None = None
    elapsed_ms: float = 0.0
    queue_ms: float = 0.0
    offset_ms: float = 0.0
    in_flight: int = 0
    outcome: TaskOutcome = TaskOutcome.OK


class Place(Protocol):
    """Where the runs of a fan-out get slots and are carried out."""

    def acquire(self, run: Run) -> None:
        """Queue for a slot; ``run.granted`` is called once there is one."""

    def withdraw(self, run: Run) -> bool:
        """Leave the queue; False if the slot has been granted."""

    def release(self) -> None:
        """Give a slot back."""

    def carry_out(self, run: Run) -> None:
        """Start a run that has its slot, without blocking."""

    def cancel(self, run: Run) -> None:
        """Interrupt a started run, if it can be."""


class Run:
    """One task on its way: queued, granted, started, settled."""

    __slots__ = ("asked", "coroutine", "fan", "granted_at", "local", "result", "started", "task")

    def __init__(self, fan: FanOut, task: QueryTask, local: bool) -> None:
        self.fan = fan
        self.task = task
        self.local = local
        self.asked: float | None = None
        self.granted_at = 0
        self.started: float | None = None
        self.result: ExecutionResult | None = None
        self.coroutine: Any = None

    def granted(self, in_flight: int) -> None:
        """Take the slot and start; a local run waits for its caller's thread."""
        self.granted_at = in_flight
        if not self.local:
            self.fan.place.carry_out(self)
        elif self.fan.offer(self):
            self.fan.wake()
        else:
            self.fan.place.release()

    def call(self) -> Callable[[], None]:
        """Run the task in this thread; return what gives the slot back and reports the end."""
        fan, task = self.fan, self.task
        if not fan.begin(self):
            return fan.place.release
        value, error, outcome = None, None, TaskOutcome.OK
        try:
            value = task.query_fn(*self.arguments(), **task.kwargs)
            if type(value) is CoroutineType:
                value.close()
                raise TypeError("it returned a coroutine: make it a coroutine function")  # noqa: TRY301
        except BaseException as exc:
            error, outcome = failure(exc)
            if self.local and not isinstance(exc, Exception):
                self.end(fan.clock(), None, error, outcome)
                raise
        return partial(self.end, fan.clock(), value, error, outcome)

    def end(self, ended: float, value: Any, error: str | None, outcome: TaskOutcome) -> None:
        """Give the slot back and report."""
        self.fan.place.release()
        self.fan.settle(self, ended, value, error, outcome)

    def arguments(self) -> tuple[Any, ...]:
        """Return the positional arguments of the call."""
        return (*self.task.args, self.deadline) if self.task.takes_deadline else self.task.args

    @property
    def deadline(self) -> float:
        """When a started run is to be over."""
        assert self.started is not None  # noqa: S101
        own = self.started + self.fan.timeout_of(self)
        return own if self.fan.deadline is None else min(own, self.fan.deadline)


class FanOut:
    """Runs of one recall, ``width`` of them at once.

    Args:
        place: where they get slots and are carried out.
        tasks: what to do.
        width: how many may be under way at once: all of them, or one after another.
        deadline: when the whole is to be over, in ``clock``'s seconds; None: never.
        patience: longest wait for a slot, in seconds; it keeps recalls from waiting for ever when calls
            that do not end hold every slot.
        timeout: longest service time of any run, in seconds; a task's own may be shorter.
        local: runs that the waiting thread may carry out itself, from ``ready``.
        wake: called, from any thread, when the last run has ended or one is ready.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        place: Place,
        tasks: Sequence[QueryTask],
        width: int,
        deadline: float | None,
        patience: float,
        timeout: float,
        local: int,
        wake: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self.place = place
        self.deadline = deadline
        self.wake = wake
        self.clock = clock
        self.ready: deque[Run] = deque()
        self.runs: list[Run] = []
        for task in tasks:
            mine = local > 0 and task.keeps_deadline
            local -= mine
            self.runs.append(Run(self, task, mine))
        self._width = width
        self._patience = patience
        self._timeout = timeout
        self._lock = threading.Lock()
        self._pending = deque(self.runs)
        self._unsettled = len(self.runs)
        self._start = clock()

    def launch(self) -> None:
        """Ask for the first slots."""
        for _ in range(self._width):
            self._launch_next()

    @property
    def done(self) -> bool:
        """Whether every run has its result."""
        return self._unsettled == 0

    @property
    def results(self) -> list[ExecutionResult]:
        """The results, in the order of the tasks; complete once ``done``."""
        return [run.result for run in self.runs if run.result is not None]

    def _launch_next(self) -> None:
        with self._lock:
            if not self._pending:
                return
            run = self._pending.popleft()
            run.asked = self.clock()
        self.place.acquire(run)

    def timeout_of(self, run: Run) -> float:
        """Longest service time of ``run`` in seconds."""
        return min(run.task.timeout_seconds, self._timeout)

    def begin(self, run: Run) -> bool:
        """Note that a granted run starts now; False if it was given up meanwhile."""
        with self._lock:
            if run.result is not None:
                return False
            run.started = self.clock()
            return True

    def settle(self, run: Run, ended: float, value: Any, error: str | None, outcome: TaskOutcome) -> bool:
        """Note how a run ended; False if it was given up before. An answer after the deadline is late."""
        if outcome is TaskOutcome.OK and run.started is not None and ended > run.deadline:
            value, error, outcome = None, self._overdue(run), TaskOutcome.TIMEOUT
        with self._lock:
            if run.result is not None:
                return False
            asked = self._start if run.asked is None else run.asked
            started = ended if run.started is None else run.started
            run.result = ExecutionResult(
                run.task.layer_name,
                outcome is TaskOutcome.OK,
                value,
                error,
                (ended - started) * 1000,
                (started - asked) * 1000,
                (asked - self._start) * 1000,
                run.granted_at if run.started is not None else 0,
                outcome,
            )
            self._unsettled -= 1
            last = self._unsettled == 0
        if last:
            self.wake()
        else:
            self._launch_next()
        return True

    def offer(self, run: Run) -> bool:
        """Lay a granted local run ready for its caller; False if it was given up meanwhile."""
        with self._lock:
            if run.result is not None:
                return False
            self.ready.append(run)
            return True

    def expire(self) -> float:
        """Give up what is overdue; return the seconds in which nothing more can become so.

        A run that has no slot yet may start unnoticed right after this, so it is looked at again after its
        timeout at the latest.
        """
        now = self.clock()
        if self.deadline is not None and self.deadline <= now:
            self.abandon()
        soonest = math.inf
        for run in self.runs:
            if run.result is not None:
                continue
            due = self._due(run)
            if due <= now:
                self._give_up(run, now)
            else:
                soonest = min(soonest, due if run.started else min(due, now + self.timeout_of(run)))
        return soonest - now

    def abandon(self) -> None:
        """Give up everything that has no result, and start nothing more."""
        with self._lock:
            self._pending.clear()
        now = self.clock()
        for run in self.runs:
            if run.result is None:
                self._give_up(run, now)

    def _due(self, run: Run) -> float:
        if run.started is not None:
            return run.deadline
        whole = math.inf if self.deadline is None else self.deadline
        return whole if run.asked is None else min(whole, run.asked + self._patience)

    def _give_up(self, run: Run, now: float) -> None:
        if run.asked is not None and run.started is None:
            self.place.withdraw(run)
        if self.settle(run, now, None, self._overdue(run), TaskOutcome.TIMEOUT) and run.started is not None:
            self.place.cancel(run)

    def _overdue(self, run: Run) -> str:
        if run.started is None:
            return "no free slot in time"
        if run.deadline == self.deadline:
            return "not ready by the recall's deadline"
        return f"timed out after {self.timeout_of(run):g} s"


def failure(exc: BaseException) -> tuple[str, TaskOutcome]:
    """Return what to say of a layer's exception, and which outcome it is."""
    text = str(exc)
    if isinstance(exc, TimeoutError):
        return text or "timed out", TaskOutcome.TIMEOUT
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__, TaskOutcome.ERROR
