"""How much more would more tasks in flight give: the contention law, fitted on what was met."""

from __future__ import annotations

import math
from dataclasses import dataclass

from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.tuning.contention import capacity
from athena_tuning.tuning.search import mean_work
from athena_tuning.tuning.telemetry import KEPT, Telemetry

MOST = 64
"""Tasks in flight up to which the curve is drawn."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Throughput by tasks in flight, as the fitted contention law has it.

    Attributes:
        per_second: layer tasks/s with 1, 2, … tasks always in flight.
        seen_to: tasks in flight up to which it was measured; beyond, the law is asked further out.
        levels: different numbers in flight that were met often enough.
        recalls: recalls that it rests on.
    """

    per_second: tuple[float, ...]
    seen_to: int
    levels: int
    recalls: int

    def at(self, limit: int) -> float:
        """Return the tasks/s at a limit, NaN beyond what the law can be asked for."""
        return self.per_second[limit - 1] if 1 <= limit <= len(self.per_second) else math.nan

    @property
    def best(self) -> int:
        """The smallest number in flight within 1 % of the highest throughput: more gives nothing."""
        enough = 0.99 * max(self.per_second)
        return next(n for n, found in enumerate(self.per_second, start=1) if found >= enough)


def curve(evidence: PerformanceProfiler) -> Curve | None:
    """Fit the newest recalls; None where fewer than two numbers in flight were met often enough.

    ``X(n) = n · tasks / Σ wₗ·fₗ(n)``, as ``tuning.contention.capacity`` has it for recalls.
    """
    telemetry = Telemetry()
    telemetry.take(evidence)
    laws = telemetry.laws()
    levels = max((law.levels for law in laws.values()), default=0)
    if levels < 2:
        return None
    trace = telemetry.trace(telemetry.newest(KEPT), laws)
    if not len(trace):
        return None
    work = mean_work(trace)
    tasks = sum(len(ask.tasks) for ask in trace.asks) / len(trace)
    top = min(MOST, max(law.trusted for law in laws.values()))
    found = tuple(tasks * capacity(n, work, laws) for n in range(1, top + 1))
    if not all(map(math.isfinite, found)):
        return None
    return Curve(found, max(law.largest for law in laws.values()), levels, len(trace))
