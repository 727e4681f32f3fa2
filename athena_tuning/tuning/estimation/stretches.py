"""Whole stretches of consecutive recalls, spread over the last hours, whatever the load."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import takewhile

from athena_tuning.tuning.estimation.measured_recall import MeasuredRecall
from athena_tuning.tuning.settings import TELEMETRY

Recalls = tuple[MeasuredRecall, ...]


@dataclass(frozen=True, slots=True)
class Stretches:
    """Stretches in each of which every recall of every worker is that began between its ends. A value.

    Single recalls drawn from a long time would come without their neighbours, and so without the queues and
    the contention that they met; a stretch has both. One is gathered after another: up to 200 recalls and
    400 tasks from a moment on. It is whole once recalls are read that ended ``settles_s`` later, because
    those of other workers come through the store. Of those that are whole ten are kept: the newest, the
    oldest of the last six hours, and between them those whose ages are the most evenly apart by their
    logarithm: where one has to go, it is the one between the two neighbours that are nearest to each other.

    Attributes:
        whole: oldest first; each in the order in which its recalls began.
        gathered: recalls of the next one so far.
        begin: when it begins, Unix seconds; NaN: with the first recall that comes.
        whole_tasks: layer tasks of those that are whole.
        gathered_tasks: of the next one so far.
    """

    whole: tuple[Recalls, ...] = ()
    gathered: Recalls = ()
    begin: float = math.nan
    whole_tasks: int = 0
    gathered_tasks: int = 0

    def after(self, came: Iterable[MeasuredRecall], now: float) -> Stretches:
        """Return the stretches after more recalls.

        Args:
            came: in any order.
            now: when the newest recall that was read ended, Unix seconds.
        """
        if math.isnan(self.begin):
            came = list(came)
            begin = min((recall.began for recall in came), default=math.nan)
            return self if math.isnan(begin) else replace(self, begin=begin).after(came, now)
        end = self.gathered[-1].began if self.is_full else math.inf
        fresh = [recall for recall in came if self.begin <= recall.began <= end]
        if not fresh:
            return self._closed(now)
        order = sorted((*self.gathered, *fresh), key=lambda recall: recall.began)
        kept, tasks = 0, 0
        while kept < len(order) and kept < TELEMETRY.stretch and tasks < TELEMETRY.stretch_tasks:
            tasks += len(order[kept].tasks)
            kept += 1
        return replace(self, gathered=tuple(order[:kept]), gathered_tasks=tasks)._closed(now)

    def _closed(self, now: float) -> Stretches:
        """Return them with the next one begun, if the present one is full and nothing more of it comes."""
        if not self.is_full or now < self.gathered[-1].began + TELEMETRY.settles_s:
            return self
        whole = _spread((*self.whole, self.gathered))
        tasks = sum(len(recall.tasks) for stretch in whole for recall in stretch)
        return Stretches(whole, (), now, tasks)

    @property
    def is_full(self) -> bool:
        """Whether the present one has all the recalls that it is to have, if not others began earlier."""
        return len(self.gathered) >= TELEMETRY.stretch or self.gathered_tasks >= TELEMETRY.stretch_tasks

    def without_gathered(self, now: float) -> Stretches:
        """Return them with a new stretch begun at ``now``: recalls of the present one were not read."""
        return replace(self, gathered=(), gathered_tasks=0, begin=now)

    def before(self, time: float) -> tuple[Recalls, ...]:
        """Return those that were over before ``time``, oldest first."""
        return tuple(takewhile(lambda stretch: stretch[-1].began < time, self.whole))

    @property
    def tasks(self) -> int:
        """Tasks of all recalls that are kept."""
        return self.whole_tasks + self.gathered_tasks


def _spread(whole: tuple[Recalls, ...]) -> tuple[Recalls, ...]:
    """Return them without those that are too old or too many."""
    now = whole[-1][-1].began
    kept = [stretch for stretch in whole if now - stretch[0].began <= TELEMETRY.stretches_s]
    while len(kept) > TELEMETRY.stretches:
        ages = [now - stretch[0].began + TELEMETRY.settles_s for stretch in kept]
        between = range(1, len(kept) - 1)
        del kept[min(between, key=lambda i: ages[i - 1] / ages[i + 1])]
    return tuple(kept)
