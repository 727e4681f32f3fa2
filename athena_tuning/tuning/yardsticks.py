"""Known limits to be compared with: doing nothing, Vegas, Gradient2."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace

from athena_tuning.model import Decision, LayerTask
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policy import Policy, decision


class FixedPolicy(Policy):
    """Leaves everything as it is."""

    name = "fixed"

    def propose(self, evidence: Evidence, scope: str = "all") -> Decision:
        """Keep the incumbent."""
        return decision(
            self, evidence, scope, evidence.incumbent(scope), "No change: the config is fixed.", 0
        )


class LimitPolicy(Policy):
    """A limit that follows the service times of tasks, window by window.

    One window is what has ended since the last decision, ``WINDOW`` tasks at least. A window in which
    fewer than half of the slots were ever taken says nothing about the limit and changes nothing.
    """

    WINDOW = 30

    def __init__(self) -> None:
        self._cursor = 0
        self._tasks: list[LayerTask] = []
        self._estimate = math.nan
        self._limit = 0

    def due(self, evidence: Evidence) -> bool:
        """Whether recalls came."""
        return evidence.fresh > 0

    def propose(self, evidence: Evidence, scope: str = "all") -> Decision:
        """Return the present limit: it only moves when it decides."""
        before = evidence.incumbent(scope)
        return decision(self, evidence, scope, before, f"Limit {before.max_concurrent}.", len(self._tasks))

    def decide(self, evidence: Evidence) -> tuple[Decision, ...]:
        """Move the limit by one window."""
        records, self._cursor, _ = evidence.profiler.read_since(self._cursor)
        self._tasks += (t for m in records for t in m.tasks)
        if len(self._tasks) < self.WINDOW:
            return ()
        before = evidence.incumbent("all")
        if self._limit != before.max_concurrent:
            self._estimate, self._limit = float(before.max_concurrent), before.max_concurrent
        rtt = sum(t.service_ms for t in self._tasks) / len(self._tasks)
        busiest = max(t.in_flight for t in self._tasks)
        samples = len(self._tasks)
        self._tasks = []
        if busiest * 2 >= self._estimate:
            bounds = evidence.bounds
            wanted = self.updated(self._estimate, rtt)
            self._estimate = min(max(wanted, bounds.min_concurrent), bounds.max_concurrent)
        self._limit = round(self._estimate)
        if self._limit == before.max_concurrent:
            return ()
        after = replace(before, max_concurrent=self._limit)
        summary = f"Service time {rtt:.1f} ms: limit {before.max_concurrent} → {self._limit}."
        return (decision(self, evidence, "all", after, summary, samples),)

    @abstractmethod
    def updated(self, limit: float, rtt_ms: float) -> float:
        """Return the next limit for a window with a mean service time."""


class VegasPolicy(LimitPolicy):
    """TCP Vegas as a concurrency limit.

    ``queue = L·(1 − rtt₀/rtt)`` with rtt₀ the least service time seen. Up by ``6·log L`` below ``log L``, up
    by ``log L`` below ``3·log L``, down by ``log L`` above ``6·log L`` (logarithms to base 10).
    """

    name = "vegas"

    def __init__(self) -> None:
        super().__init__()
        self._least = math.inf

    def updated(self, limit: float, rtt_ms: float) -> float:
        """Compare with the least service time seen."""
        self._least = min(self._least, rtt_ms)
        queue = limit * (1 - self._least / rtt_ms) if rtt_ms > 0 else 0.0
        log = max(1.0, math.log10(limit))
        if queue <= log:
            return limit + 6 * log
        if queue < 3 * log:
            return limit + log
        return limit - log if queue > 6 * log else limit


class GradientPolicy(LimitPolicy):
    """Gradient2: the ratio of the long-term to the short-term service time.

    ``L' = L·clip(1.5·long/short, 0.5, 1) + 4``, smoothed by 0.2; long is an exponential mean over about 600
    tasks.
    """

    name = "gradient"

    def __init__(self) -> None:
        super().__init__()
        self._long = math.nan

    def updated(self, limit: float, rtt_ms: float) -> float:
        """Compare with the long-term mean."""
        weight = min(1.0, self.WINDOW / 600)
        self._long = rtt_ms if math.isnan(self._long) else self._long + weight * (rtt_ms - self._long)
        if self._long > 2 * rtt_ms:
            self._long *= 0.95
        gradient = min(1.0, max(0.5, 1.5 * self._long / rtt_ms)) if rtt_ms > 0 else 1.0
        return 0.8 * limit + 0.2 * (limit * gradient + 4)
