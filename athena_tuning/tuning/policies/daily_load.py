"""What load comes by the time of day, and which limit that calls for: a known peak is met on time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from athena_tuning.model import Reason, TuningConfig
from athena_tuning.tuning.estimation.telemetry import Telemetry
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.advisors import Advice, Advisor
from athena_tuning.tuning.simulation.search import Found, candidates, search
from athena_tuning.tuning.trace import Trace

DAYS = 7
"""Days that an expectation rests on at most."""

DIFFERS = 1.5
"""Factor between the load that is expected and the present one, from which it is looked into."""

RECALLS = 250
"""Recalls that are run again at the expected load."""

APART = 1000
"""Recalls between two searches."""


@dataclass(slots=True)
class DailyLoad:
    """Recalls by slot of the day, of the last ``DAYS`` days.

    Only slots that were watched from beginning to end count, those in which nothing came included.

    Args:
        day: seconds of a day.
        slot: seconds of a slot; a whole number of them make a day.

    Example:
        >>> load = DailyLoad(day=100.0, slot=10.0)
        >>> for time in (0.0, 31.0, 32.0, 33.0, 95.0):
        ...     load.note(time)
        >>> load.expected(130.0), load.expected(140.0), load.expected(150.0)
        ((0.3, 1), (0.0, 1), (0.0, 1))
    """

    day: float = 86_400.0
    slot: float = 900.0
    _counts: Counter[int] = field(default_factory=Counter)
    _first: int | None = None  # first slot that was watched whole
    _last: int = 0  # slot that is being watched

    def note(self, time: float, recalls: int = 1) -> None:
        """Count recalls that began at ``time`` (Unix seconds)."""
        slot = int(time // self.slot)
        if self._first is None:
            self._first = slot if time % self.slot == 0 else slot + 1
        self._counts[slot] += recalls
        if slot > self._last:
            self._last = slot
            oldest = slot - DAYS * self._slots
            for old in [s for s in self._counts if s < oldest]:
                del self._counts[old]

    def expected(self, time: float) -> tuple[float, int]:
        """Return recalls a second in the slot of ``time`` by the days before, and how many days those are."""
        slot = int(time // self.slot)
        first = self._last if self._first is None else self._first
        days = [slot - d * self._slots for d in range(1, DAYS + 1)]
        known = [self._counts[s] for s in days if first <= s < self._last]
        return (sum(known) / len(known) / self.slot if known else math.nan), len(known)

    @property
    def _slots(self) -> int:
        return round(self.day / self.slot)


def at_rate(trace: Trace, factor: float) -> Trace:
    """Return the same recalls coming ``factor`` times as fast: bursts stay bursts.

    Example:
        >>> from athena_tuning.tuning.trace import Ask
        >>> at_rate(Trace((Ask(0.0, "meta", ()), Ask(1.0, "meta", ()))), 4.0).seconds
        0.25
    """
    return Trace(tuple(ask._replace(time=ask.time / factor) for ask in trace.asks))


class LoadAdvisor(Advisor):
    """Sets the limit for the load that the coming slot of the day brings, shortly before it begins.

    The table is of two parts: slot of the day → recalls a second, as the last days had it; and that load →
    limit, by search (see ``search``) over the newest recalls, run again as much faster or slower as the load
    will be. It is asked when the two loads differ by ``DIFFERS``, once a slot and once in ``APART`` recalls;
    the change is a canary of the policy like any other that it finds by search.

    Forecasting by more than the time of day gives nothing here: a limit is changed at once, so whatever
    cannot be known from yesterday is met within some recalls by the reflex. Of a Sunday after Saturdays only
    it knows nothing; one day that was different counts for a seventh.

    Args:
        day: seconds of a day.
        slot: seconds of a slot.
        lead: seconds before a slot at which it is looked at.
    """

    def __init__(self, *, day: float = 86_400.0, slot: float = 900.0, lead: float = 60.0) -> None:
        self._load = DailyLoad(day, slot)
        self._lead = lead
        self._noted: int | None = None
        self._asked_for = -1
        self._awake = False
        self._asked_at = -APART
        self._found: tuple[int, Found, str] | None = None

    def wakes(self, evidence: Evidence, telemetry: Telemetry) -> bool:
        """Count what came; whether the coming slot is worth a look now."""
        self._count(evidence, telemetry)
        slot = self._slot(evidence)
        if slot == self._asked_for or telemetry.position - self._asked_at < APART:
            return False
        expected, days = self._load.expected(evidence.now + self._lead)
        if not days or not expected:
            return False
        if abs(math.log(expected / self._present(telemetry))) < math.log(DIFFERS):
            return False
        self._asked_for, self._asked_at, self._awake = slot, telemetry.position, True
        return True

    def review(self, evidence: Evidence, telemetry: Telemetry) -> Iterator[None]:
        """Search the limit for the coming slot, in slices."""
        awake, self._awake = self._awake, False
        if not awake:
            return
        self._found, slot = None, self._slot(evidence)
        expected, days = self._load.expected(evidence.now + self._lead)
        present = self._present(telemetry)
        laws = telemetry.laws()
        trace = at_rate(telemetry.trace(telemetry.newest(RECALLS), laws), expected / present)
        incumbent = replace(evidence.incumbent("all"), strategy=evidence.strategy)
        most = max((law.trusted for law in laws.values()), default=2)
        grid = _spread(candidates(incumbent, evidence.bounds, most))
        steps = search(trace, laws, (), incumbent, grid, evidence.strategy)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                at = datetime.fromtimestamp(slot * self._load.slot, UTC)
                told = (
                    f"From {at:%H:%M} UTC about {expected:.3g} recalls a second are expected, as on the last "
                    f"{days} days; {present:.3g} come now"
                )
                self._found = slot, end.value, told
                return
            yield

    def advise(self, evidence: Evidence, scope: str) -> Advice | None:
        """Return the limit for the slot that was looked at, while that lasts."""
        if scope != "all" or self._found is None or self._found[0] != self._slot(evidence):
            return None
        _, found, told = self._found
        incumbent = evidence.incumbent("all")
        if found.best is None or found.best.config.enable_parallel is not incumbent.enable_parallel:
            return None
        limit, before = found.best.config.max_concurrent, incumbent.max_concurrent
        reason = Reason("max_concurrent", limit, told, {"predicted": found.best.predicted}, found.recalls)
        return Advice(
            (reason,),
            limit != before,
            f"{told}: limit {before} → {limit}, {math.expm1(found.best.predicted):+.0%} of the "
            f"{evidence.strategy} objective predicted.",
            found.recalls,
            predicted=found.best.predicted,
            canary=True,
        )

    def _count(self, evidence: Evidence, telemetry: Telemetry) -> None:
        """Count what came since the last time; at first, what the window holds."""
        if self._noted is None:
            began = evidence.profiler.summary().first_timestamp
            if math.isfinite(began):
                self._load.note(began, 0)
                series = evidence.profiler.time_series(self._load.slot)
                for time, recalls in zip(series.time.tolist(), series.count.tolist(), strict=True):
                    self._load.note(time, recalls)
        elif telemetry.position > self._noted:
            for seen in telemetry.newest(telemetry.position - self._noted):
                self._load.note(seen.began)
        self._noted = telemetry.position

    def _slot(self, evidence: Evidence) -> int:
        return int((evidence.now + self._lead) // self._load.slot)

    def _present(self, telemetry: Telemetry) -> float:
        """Return recalls a second now."""
        newest = telemetry.newest(RECALLS)
        passed = newest[-1].began - newest[0].began if newest else 0.0
        return max(len(newest) - 1, 1) / max(passed, 1e-3)


def _spread(grid: list[TuningConfig]) -> list[TuningConfig]:
    """Return every second config: how much load there will be is not known more closely."""
    return grid[::2] if len(grid) > 8 else grid
