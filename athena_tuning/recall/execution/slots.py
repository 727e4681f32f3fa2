"""Slots for layer tasks: those of the shared limit, and a layer's own for what it asks itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

from athena_tuning.model import TaskOutcome
from athena_tuning.recall.execution.layer_run import LayerRun
from athena_tuning.recall.execution.limiter import SharedLimit

LOST_SECONDS = 0.25
"""How long something must have stood still before it counts as lost."""


class Slots:
    """Gives runs their slots, and takes them back once nothing runs in them any more.

    A recall that a layer itself makes gets no slots of the shared limit, which might all be held by layers
    that wait for such recalls: its tasks take turns in the slot of that layer.

    Args:
        limit: the shared one.
        clock: monotonic seconds.
        on_lost: called with each run that was lost.

    Attributes:
        reclaimed: slots that ``sweep`` had to take back.
    """

    def __init__(
        self, limit: SharedLimit, clock: Callable[[], float], on_lost: Callable[[LayerRun], object]
    ) -> None:
        self.limit = limit
        self.reclaimed = 0
        self._clock = clock
        self._on_lost = on_lost
        self._nesting = threading.RLock()
        self._swept_at = clock()

    def acquire(self, run: LayerRun, now: float) -> None:
        """Queue a run for a slot: of the limit, or of the layer task within which its recall was asked."""
        parent = None if run.fan.parent is None else self._holder_above(run)
        if parent is not None:
            with self._nesting:
                if not parent.over:
                    run.limit = parent.nested = parent.nested or SharedLimit(1, self._clock)
                    run.limit.acquire(run, now)
                    return
        run.limit = limit = self.limit
        if limit.is_full and now - self._swept_at > LOST_SECONDS:
            self.sweep()
        limit.acquire(run, now)

    def drop(self, run: LayerRun) -> None:
        """Take a run out of the queue, or give back the slot that it did not use."""
        if run.limit is not None and not run.limit.withdraw(run):
            run.limit.release(run)
        if run.limit is not None and run.limit is not self.limit:
            self._release_above(run)

    def release(self, run: LayerRun, ended: float) -> None:
        """Give back the slot of a run that has ended, once nothing runs in that slot any more."""
        if run.nested is not None:
            with self._nesting:
                if run.nested.in_flight or run.nested.waiting:
                    return
        limit = run.limit
        if limit is not None:
            limit.release(run, in_time=run.result is None, now=ended)
            if limit is not self.limit:
                self._release_above(run)

    def sweep(self) -> None:
        """Repair what an exception between two steps may have left: signal handlers raise anywhere.

        A slot whose run nobody carries out any more comes back; a run that nobody started although it has a
        slot is started. Waiters get what may be given to them by now.
        """
        self._swept_at = now = self._clock()
        for waiter, since in self.limit.holders():
            if isinstance(waiter, LayerRun) and now - since > LOST_SECONDS:
                self._recover(waiter, now)
        self.limit.give_out()

    def _holder_above(self, run: LayerRun) -> LayerRun | None:
        """Return the run of this executor within which ``run``'s recall was asked; None if there is none."""
        parent = run.fan.parent
        while parent is not None and parent.fan.slots is not self:
            parent = parent.fan.parent
        return parent

    def _release_above(self, run: LayerRun) -> None:
        """Let the slot go that a run used, if the layer that had it has ended before."""
        parent = self._holder_above(run)
        if parent is not None and parent.over:
            self.release(parent, self._clock())

    def _recover(self, run: LayerRun, now: float) -> None:
        if run.over and run.nested is not None:
            for waiter, since in run.nested.holders():
                if isinstance(waiter, LayerRun) and now - since > LOST_SECONDS:
                    self._recover(waiter, now)
            self.release(run, now)
        elif run.over or run.is_lost(now - LOST_SECONDS):
            self.reclaimed += 1
            run.over = True
            run.fan.settle(run, now, None, "its call was lost", TaskOutcome.ERROR, of_layer=False)
            self.drop(run)
            self._on_lost(run)
        elif run.started is None and not run.resumed:
            run.resumed = True
            if not run.granted(run.granted_at):
                self.drop(run)
