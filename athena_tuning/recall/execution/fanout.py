"""The layer tasks of one recall, from the first slot to the last result.

A state machine without a thread of its own: slots, threads and loops report to it, and whoever waits for
the recall (a thread or a coroutine, see ``executor``) asks it what is overdue.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any

from athena_tuning.hedging import has_room
from athena_tuning.model import TaskOutcome
from athena_tuning.recall.execution.admission import Ticket
from athena_tuning.recall.execution.carrier import Carrier
from athena_tuning.recall.execution.event_loop import LoopBlock
from athena_tuning.recall.execution.layer_run import LayerRun, current_run
from athena_tuning.recall.execution.second_calls import SecondCalls
from athena_tuning.recall.execution.slots import Slots
from athena_tuning.recall.execution.task import ExecutionResult, QueryTask, SecondCall

__all__ = ["ExecutionResult", "FanOut", "QueryTask"]

_Result = tuple[Any, ...]
"""The fields of an ``ExecutionResult``."""

_new = tuple.__new__  # a named tuple's own constructor costs as much again


class FanOut:
    """Runs of one recall, ``width`` of them at once.

    What identifies the caller is captured here, when it asks: its context variables, and the layer task
    within which it runs, if it is itself a part of a recall.

    Args:
        slots: where they get their slots.
        carrier: carries them out.
        tasks: what to do.
        width: how many may be under way at once: all of them, or one after another.
        deadline: when the whole is to be over, in ``clock``'s seconds; None: never.
        patience: longest wait for a slot, in seconds; it keeps recalls from waiting for ever when calls
            that do not end hold every slot.
        timeout: longest service time of any run, in seconds; a task's own may be shorter.
        local: runs that the waiting thread may carry out itself, from ``ready``.
        wake: called, from any thread, when the last run has ended or one is ready.
        clock: monotonic seconds.
        loop: the caller's event loop, for tasks that run there; None: it has none.
        purpose: what the recall is for; for those who ask within which recall they run.
        ticket: the recall's admission; None: it waits as long as its patience lasts.
        second_calls: what may be spent on calling slow layers a second time. A recall within a recall has one
            slot, and no second calls.

    Attributes:
        may_call_twice: whether layers of it may be called a second time.
        has_started: whether a run of it may take any slot, without being asked by ``may_start`` again.
    """

    def __init__(
        self,
        slots: Slots,
        carrier: Carrier,
        tasks: Sequence[QueryTask],
        width: int,
        deadline: float | None,
        patience: float,
        timeout: float,
        local: int,
        wake: Callable[[], None],
        clock: Callable[[], float],
        loop: asyncio.AbstractEventLoop | None,
        purpose: object,
        ticket: Ticket | None,
        second_calls: SecondCalls,
    ) -> None:
        self._ticket = ticket
        self.has_started = ticket is None or not ticket.waits
        self.slots = slots
        self.carrier = carrier
        self.deadline = deadline
        self.wake = wake
        self.clock = clock
        self.loop = loop
        self.loop_thread = threading.get_ident() if loop is not None else 0
        self.purpose = purpose
        self.parent = current_run()
        if self.parent is not None and self.parent.started is not None:
            above = self.parent.deadline
            self.deadline = above if deadline is None else min(deadline, above)
        self.variables = copy_context()
        self.ready: deque[LayerRun] = deque()
        self.closed_at: float | None = None
        self.orphaned = False
        self.runs: list[LayerRun] = []
        self._second_calls = second_calls
        self.may_call_twice = False
        for task in tasks:
            mine = local > 0 and task.keeps_deadline
            if task.second_after is not None and self.parent is None:
                mine, self.may_call_twice = False, True
            local -= mine
            self.runs.append(LayerRun(self, task, mine, min(task.timeout_seconds, timeout)))
        self._width = width
        self._patience = patience
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

    def _launch_next(self) -> None:
        try:
            run = self._pending.popleft()
        except IndexError:  # they were given up, or another thread was quicker
            return
        run.asked = now = self.clock()
        self.slots.acquire(run, now)

    def may_start(self) -> bool:
        """Decide whether the recall may take a slot that it is offered; one that may not is refused."""
        ticket = self._ticket
        if ticket is None or ticket.may_start():
            self.has_started = True
            return True
        self._refuse(ticket)
        return False

    def begin(self, run: LayerRun) -> bool:
        """Note that a granted run starts now; False if it was given up meanwhile, or runs already."""
        with self._lock:
            if run.result is not None or run.started is not None:
                return False
            first = run.first
            if first is not None and first.result is not None:
                return False
            if not run.local:
                run.thread = threading.current_thread()
            now = self.clock()
            run.deadline = due = now + run.timeout
            if self.deadline is not None and self.deadline < due:
                run.deadline = self.deadline
            if first is not None:
                run.deadline = first.deadline
            run.started = now
            return True

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
        """Note how a run ended; False if it was given up before. An answer after the deadline is late."""
        began, started, asked, in_flight = self._start, run.started, run.asked, run.granted_at
        success = outcome is TaskOutcome.OK
        if success and ended > run.deadline:
            success, value, outcome = False, None, TaskOutcome.TIMEOUT
            error, of_layer, at_deadline = self._overdue(run)
        if asked is None:
            asked = began
        if started is None:
            started, in_flight = ended, 0
        result: _Result = (
            run.layer_name,
            success,
            value,
            error,
            (ended - started) * 1000,
            (started - asked) * 1000,
            (asked - began) * 1000,
            in_flight,
            outcome,
            of_layer,
            at_deadline,
            None,
        )
        loser = None
        with self._lock:
            if run.first is not None or run.second is not None:
                answered, run = run, run.first or run
                loser = run.second if answered is run else run
                if not _counts(answered, loser, outcome):
                    return False
                result = self._first_answer(run, answered, ended, result)
            if run.result is not None:
                return False
            run.result = _new(ExecutionResult, result)
            self._unsettled = left = self._unsettled - 1
        if loser is not None:
            self._end_loser(loser)
        if left == 0:
            self.wake()
        elif self._pending:
            self._launch_next()
        return True

    def expire(self) -> float:
        """Give up what is overdue; return the seconds in which nothing more can become so.

        A run that has no slot yet may start unnoticed right after this, so it is looked at again after its
        timeout at the latest.
        """
        now = self.clock()
        with self._lock:  # an interrupted step may have left it one off
            self._unsettled = sum(run.result is None for run in self.runs)
        if self.deadline is not None and self.deadline <= now:
            self._give_up_all(now)
        soonest, ticket = math.inf, self._ticket
        if ticket is not None and ticket.waits and not self.done:
            if ticket.may_wait():
                soonest = now + ticket.look_again
            else:
                self._refuse(ticket)
        for run in self.runs:
            if run.result is not None:
                continue
            due = self._due(run)
            if due <= now:
                self._give_up(run, now)
            else:
                if self.may_call_twice and run.task.second_after is not None:
                    soonest = min(soonest, self._call_again(run, now, run.task.second_after))
                soonest = min(soonest, due if run.started else min(due, now + run.timeout))
        return soonest - now

    def close(self) -> None:
        """Give up everything that has no result, and start nothing more: the caller waits no longer.

        The caller's own thread carries out nothing any more, so no local run keeps its slot.
        """
        self.closed_at = self.clock()
        if not self.done:
            self._give_up_all(self.closed_at)
        for run in self.runs:
            if run.local and run.asked is not None and not run.over:
                self.slots.drop(run)

    def take_results(self) -> list[ExecutionResult]:
        """Return the results, in the order of the tasks, once ``done``; keep no run from now on.

        Runs know their fan-out: as long as it knows them as well, only the garbage collector frees any of it,
        and that costs as much as a fifth of a recall.
        """
        runs, self.runs = self.runs, []
        if self.may_call_twice:
            hedged = [run.result for run in runs if run.task.second_after is not None]
            self._second_calls.learn([result for result in hedged if result is not None and result.in_flight])
        return [run.result for run in runs if run.result is not None]

    def _give_up_all(self, now: float) -> None:
        with self._lock:
            self._pending.clear()
        for run in self.runs:
            if run.result is None:
                self._give_up(run, now)

    def _refuse(self, ticket: Ticket) -> None:
        """End a recall of which nothing has started; slots that it may be offered go to the next."""
        now = self.clock()
        with self._lock:
            self._pending.clear()
        for run in self.runs:
            self.settle(run, now, None, ticket.refused, TaskOutcome.TIMEOUT, of_layer=False)
            if run.limit is not None:
                run.limit.withdraw(run)

    def _due(self, run: LayerRun) -> float:
        if run.started is not None:
            return run.deadline
        whole = math.inf if self.deadline is None else self.deadline
        return whole if run.asked is None else min(whole, run.asked + self._patience)

    def _give_up(self, run: LayerRun, now: float) -> None:
        error, of_layer, at_deadline = self._overdue(run)
        if not self.settle(
            run, now, None, error, TaskOutcome.TIMEOUT, of_layer=of_layer, at_deadline=at_deadline
        ):
            return
        if run.started is not None:
            self.carrier.cancel(run)
        elif run.asked is not None:
            self.slots.drop(run)

    def _call_again(self, run: LayerRun, now: float, after: float) -> float:
        """Call a slow layer a second time if it is time and there is room; return when to look again."""
        if run.second is not None:
            return math.inf
        if run.started is None or now < run.started + after:
            return (now if run.started is None else run.started) + after
        limit, calls = self.slots.limit, self._second_calls
        second = LayerRun(self, run.task, False, run.timeout)
        second.asked, second.first, second.limit = now, run, limit
        with self._lock:
            if run.result is not None:
                return math.inf
            run.second = second
        if not limit.acquire_idle(second, lambda *slots: has_room(*slots) and calls.take()):
            with self._lock:
                run.second = None
            return now + after
        return math.inf

    def _first_answer(self, run: LayerRun, answered: LayerRun, ended: float, result: _Result) -> _Result:
        """Return the result of a run that was called twice, by whichever call answered. The lock is held."""
        second, started = run.second, run.started
        if second is None or started is None or second.started is None:
            return result
        called = SecondCall(
            answered is second and result[1],
            (second.started - self._start) * 1000,
            (ended - second.started) * 1000,
            second.granted_at,
        )
        asked = self._start if run.asked is None else run.asked
        times = (ended - started) * 1000, (started - asked) * 1000, (asked - self._start) * 1000
        return (*result[:4], *times, run.granted_at, *result[8:11], called)

    def _end_loser(self, loser: LayerRun) -> None:
        """Cancel the slower call of a layer; a function goes on, and holds its slot until it ends."""
        if loser.started is not None:
            self.carrier.cancel(loser)
        elif loser.first is not None:
            self.slots.drop(loser)

    def _overdue(self, run: LayerRun) -> tuple[str, bool, bool]:
        """Return why a run is given up, whether that tells of its layer, and whether the whole was over."""
        block = self.carrier.block(run)
        if block is not None:
            if block.layer == run.layer_name:
                return _blocks(block), True, False
            culprit = f"layer {block.layer!r}" if block.layer else "something else"
            return f"its event loop is blocked by {culprit} ({block.where})", False, False
        if run.started is None:
            return "no free slot in time", False, False
        if self.closed_at is not None:
            return "given up by its caller", False, False
        if run.deadline == self.deadline:
            return "not ready by the recall's deadline", True, True
        return f"timed out after {run.timeout:g} s", True, False


def _counts(answered: LayerRun, other: LayerRun | None, outcome: TaskOutcome) -> bool:
    """Whether an end of one of two calls settles both: not a failure while the other may still answer."""
    if other is None or outcome is TaskOutcome.OK:
        return True
    if answered.first is not None and outcome is TaskOutcome.TIMEOUT:
        return False
    return outcome is TaskOutcome.TIMEOUT or other.over or other.started is None


def _blocks(block: LoopBlock) -> str:
    return (
        f"it blocks the event loop, for {block.seconds:.1f} s by now ({block.where}): a coroutine must await"
        " whatever it waits for"
    )
