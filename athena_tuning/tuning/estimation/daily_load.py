"""How many recalls come at which time of the day, and of the week."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import repeat

from athena_tuning.tuning.settings import LOAD


@dataclass(frozen=True, slots=True)
class DailyLoad:
    """Recalls by slot of the day, of the last four weeks. A value: ``after`` returns another one.

    Once the same weekday of two weeks is known, it is what a slot is expected to be like; until then, the
    last seven days. Only slots that were watched from beginning to end count, those in which nothing came
    included.

    Attributes:
        day: seconds of a day.
        slot: seconds of a slot; a whole number of them make a day.
        counts: recalls by slot, numbered from 1970.
        first: the first slot that was watched whole; None before anything came.
        last: the slot that is being watched.

    Examples:
        >>> load = DailyLoad(day=100.0, slot=10.0).after([0.0, 31.0, 32.0, 33.0, 95.0])
        >>> load.expected(130.0), load.expected(140.0), load.expected(150.0)
        ((0.3, 1), (0.0, 1), (0.0, 1))
    """

    day: float = LOAD.day_s
    slot: float = LOAD.slot_s
    counts: Mapping[int, int] = field(default_factory=dict)
    first: int | None = None
    last: int = 0

    def after(self, times: Iterable[float], recalls: Iterable[int] | None = None) -> DailyLoad:
        """Return the load after recalls that began at some times.

        Args:
            times: Unix seconds, rising.
            recalls: how many came at each; None: one.
        """
        counts, first, last = Counter(self.counts), self.first, self.last
        for time, came in zip(times, recalls or repeat(1), strict=False):
            slot = int(time // self.slot)
            if first is None:
                first = slot if time % self.slot == 0 else slot + 1
            counts[slot] += came
            last = max(last, slot)
        oldest = last - LOAD.weeks * LOAD.days * self._slots
        kept = {slot: came for slot, came in counts.items() if slot >= oldest}
        return DailyLoad(self.day, self.slot, kept, first, last)

    def expected(self, time: float) -> tuple[float, int]:
        """Return recalls a second in the slot of ``time`` by the days before, and how many days those are."""
        known = self._same_weekday(time)
        if len(known) < LOAD.weeks_least:
            known = self._known(time, range(1, LOAD.days + 1))
        return (sum(known) / len(known) / self.slot if known else math.nan), len(known)

    def knows_weekday(self, time: float) -> bool:
        """Whether what is expected at ``time`` rests on the same weekday of weeks before."""
        return len(self._same_weekday(time)) >= LOAD.weeks_least

    def _same_weekday(self, time: float) -> list[int]:
        return self._known(time, range(LOAD.days, (LOAD.weeks + 1) * LOAD.days, LOAD.days))

    def _known(self, time: float, days: Iterable[int]) -> list[int]:
        """Return what came in the slot of ``time`` so many days before, where that was watched whole."""
        slot, first = self.number(time), self.last if self.first is None else self.first
        before = (slot - day * self._slots for day in days)
        return [self.counts.get(s, 0) for s in before if first <= s < self.last]

    def number(self, time: float) -> int:
        """Return the slot of a time, numbered from 1970."""
        return int(time // self.slot)

    @property
    def _slots(self) -> int:
        return round(self.day / self.slot)
