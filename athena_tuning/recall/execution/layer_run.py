"""One layer task on its way: from its wait for a slot to its result, whatever the layer does."""

from __future__ import annotations

import asyncio
import inspect
import math
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context, ContextVar
from functools import partial
from typing import Any, Protocol

from athena_tuning.model import TaskOutcome
from athena_tuning.recall.execution.failure import describe, is_callers_own
from athena_tuning.recall.execution.limiter import SharedLimit
from athena_tuning.recall.execution.task import ExecutionResult, QueryTask

CURRENT_RUN: ContextVar[LayerRun | None] = ContextVar("athena_tuning_current_run", default=None)
"""The layer task within which this code runs, in its thread, its coroutine and what they start."""


class RunSlots(Protocol):
    """Where a run has its slot from."""

    limit: SharedLimit

    def release(self, run: LayerRun, ended: float) -> None:
        """Take the slot of a run back that has ended."""


class RunCarrier(Protocol):
    """Who carries a run out."""

    def carry_out(self, run: LayerRun) -> bool:
        """Start a run that has its slot, without blocking; False if it cannot be started."""

    def have_awaited(self, run: LayerRun) -> None:
        """Have what a run's function returned awaited on an event loop."""


class RunOwner(Protocol):
    """The fan-out that a run belongs to; its ``FanOut`` says what each of these is."""

    parent: LayerRun | None
    variables: Context
    loop: asyncio.AbstractEventLoop | None
    loop_thread: int
    purpose: object
    closed_at: float | None
    orphaned: bool
    has_started: bool
    ready: deque[LayerRun]
    wake: Callable[[], None]
    clock: Callable[[], float]

    @property
    def slots(self) -> RunSlots:
        """Where its runs have their slots from."""

    @property
    def carrier(self) -> RunCarrier:
        """Who carries its runs out."""

    def may_start(self) -> bool:
        """Decide whether a run that is offered a slot may take it."""

    def begin(self, run: LayerRun) -> bool:
        """Note that a run starts now; False if it may not."""

    def settle(
        self,
        run: LayerRun,
        ended: float,
        value: Any,
        error: str | None,
        outcome: TaskOutcome,
        *,
        of_layer: bool = True,
        at_deadline: bool = False,
    ) -> bool:
        """Note how a run ended; False if that is known already."""


class LayerRun:
    """One task of a fan-out.

    It holds its slot from ``granted`` until its call has really ended, or until it is given up before it
    began. Each step can be done twice or by somebody else: the first result stays, a slot comes back once.

    Attributes:
        fan: whose task it is.
        task: what to do.
        layer_name: whose share of the query it is.
        local: the thread that waits for the recall carries it out itself.
        timeout: longest service time in seconds.
        asked: when it asked for a slot; None: not yet.
        started: when it began; None: not yet.
        deadline: monotonic seconds at which it is to be over, once it has started.
        result: how it went, or that it was given up.
        over: its call has ended.
        thread: in which it began.
        awaitable: what its function returned, if it is not awaited yet.
        handle: drives its coroutine, if it has become one.
        loop: the event loop that it is on or waits for, if it has become a coroutine.
        limit: where it has its slot from.
        nested: slots for the recalls that the layer itself makes: one, its own.
        first: of a second call, the run that it is to be faster than.
        second: the second call, once there is one.
    """

    __slots__ = (
        "_variables",
        "asked",
        "awaitable",
        "deadline",
        "fan",
        "first",
        "granted_at",
        "handle",
        "layer_name",
        "limit",
        "local",
        "loop",
        "nested",
        "over",
        "result",
        "resumed",
        "second",
        "started",
        "task",
        "thread",
        "timeout",
    )

    def __init__(self, fan: RunOwner, task: QueryTask, local: bool, timeout: float) -> None:
        self.fan = fan
        self.task = task
        self.layer_name = task.layer_name
        self.local = local
        self.timeout = timeout
        self.asked: float | None = None
        self.granted_at = 0
        self.started: float | None = None
        self.deadline = math.inf
        self.result: ExecutionResult | None = None
        self.over = False
        self.resumed = False
        self.thread: threading.Thread | None = None
        self.awaitable: Awaitable[Any] | None = None
        self.handle: asyncio.Task[None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.limit: SharedLimit | None = None
        self.nested: SharedLimit | None = None
        self.first: LayerRun | None = None
        self.second: LayerRun | None = None
        self._variables: Context | None = None

    @property
    def variables(self) -> Context:
        """The context variables of the caller, as they were when it asked: a copy of this run's own."""
        if self._variables is None:
            self._variables = self.fan.variables.copy()
        return self._variables

    def granted(self, in_flight: int) -> bool:
        """Take the slot and start; a local run waits for its caller's thread."""
        fan = self.fan
        self.granted_at = in_flight if fan.parent is None else max(in_flight, fan.slots.limit.in_flight)
        if self.result is not None or not (fan.has_started or fan.may_start()):
            return False
        if self.local:
            fan.ready.append(self)
            fan.wake()
            return True
        return fan.carrier.carry_out(self)

    def call(self) -> Callable[[], object] | None:
        """Run the task in this thread.

        Returns:
            What gives the slot back and reports the end, or has its coroutine awaited; None if there is
            nothing to do.

        Raises:
            BaseException: only in the caller's own thread, and only what a signal handler raised.
        """
        fan = self.fan
        if not fan.begin(self):
            return None
        self._variables = variables = fan.variables.copy()
        try:
            value = variables.run(self._invoke)
        except BaseException as exc:
            if self.local and is_callers_own(exc):
                self.end(None, *describe(exc))
                raise
            return partial(self.end, None, *describe(exc), fan.clock())
        if self.awaitable is not None:
            return partial(fan.carrier.have_awaited, self)
        if self.local:  # no thread waits to be counted free
            self.end(value, None, TaskOutcome.OK)
            return None
        return partial(self.end, value, None, TaskOutcome.OK, fan.clock())

    async def drive(self) -> None:
        """Run the task as a coroutine; what its function gave in a thread already is only awaited."""
        if self.awaitable is None and not self.fan.begin(self):
            return
        value: Any = None
        error: str | None = "interrupted"  # a signal may raise between any two steps
        outcome = TaskOutcome.ERROR
        try:
            if self.awaitable is None:
                value = self._invoke()
            if self.awaitable is not None:
                awaitable, self.awaitable = self.awaitable, None
                value = await awaitable
                if self.task.read is not None:
                    value = self.task.read(value)
            error, outcome = None, TaskOutcome.OK
        except BaseException as exc:
            error, outcome = describe(exc)
            if not issubclass(type(exc), Exception) and is_callers_own(exc):
                raise
        finally:
            self.end(value, error, outcome)

    def end(self, value: Any, error: str | None, outcome: TaskOutcome, ended: float | None = None) -> None:
        """Give the slot back and report how the call ended; when: now, or at ``ended``."""
        self.over = True
        self._variables = None  # which know this run, in a circle
        fan = self.fan
        if ended is None:
            ended = fan.clock()
        fan.slots.release(self, ended)
        fan.settle(self, ended, value, error, outcome)

    def is_lost(self, before: float) -> bool:
        """Whether nobody carries it out, or ever will.

        Args:
            before: what its caller left behind at this moment (monotonic seconds) or earlier is left behind.
        """
        if self.loop is not None:
            abandoned = self.result is not None and not self.loop.is_running()
            return abandoned or self.loop.is_closed() or (self.handle is not None and self.handle.done())
        if self.started is None or self.local:
            fan = self.fan
            return fan.orphaned or (fan.closed_at is not None and fan.closed_at <= before)
        return self.thread is not None and not self.thread.is_alive()

    def discard(self) -> None:
        """Close a coroutine that nobody will await, so that Python does not warn of it."""
        awaitable, self.awaitable = self.awaitable, None
        close = getattr(awaitable, "close", None)  # other awaitables have none, and need none
        if close is not None:
            with suppress(BaseException):
                close()

    def _invoke(self) -> Any:
        """Call the function and return what it gave; None if that is still to be awaited."""
        CURRENT_RUN.set(self)
        task = self.task
        arguments = (*task.args, self.deadline) if task.takes_deadline else task.args
        value = task.query_fn(*arguments, **task.kwargs) if task.kwargs else task.query_fn(*arguments)
        if type(value) is not list and inspect.isawaitable(value):
            self.awaitable = value
            return None
        return value if task.read is None else task.read(value)


def current_run() -> LayerRun | None:
    """Return the layer task within which this is called, as long as its call has not ended."""
    run = CURRENT_RUN.get()
    return None if run is None or run.over else run
