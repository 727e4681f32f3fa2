"""How much more would more tasks in flight give: the contention law, beside what it was fitted on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.tuning.estimation import concurrency_levels
from athena_tuning.tuning.estimation.contention import ContentionLaw, capacity
from athena_tuning.tuning.estimation.telemetry import Telemetry, trace_of
from athena_tuning.tuning.settings import TELEMETRY
from athena_tuning.tuning.simulation.search import mean_work

MOST = 64
"""Tasks in flight up to which the curve is drawn."""

SURE = 1.96
"""Standard errors to either side that hold 95 % of the chances."""


class Met(NamedTuple):
    """Layer tasks/s at a number in flight, as tasks really met it, with its 95 % interval."""

    in_flight: int
    per_second: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Throughput by tasks in flight.

    Attributes:
        per_second: layer tasks/s with 1, 2, … tasks always in flight, as the fitted law has it.
        met: the same as it was met, before the law smoothed it.
        seen_to: tasks in flight up to which it was met often enough; beyond, the law is asked further out.
        levels: different numbers in flight that were met often enough.
        recalls: recalls that it rests on.
    """

    per_second: tuple[float, ...]
    met: tuple[Met, ...]
    seen_to: int
    levels: int
    recalls: int

    def at(self, limit: int) -> float:
        """Return the tasks/s at a limit, NaN beyond what the law can be asked for."""
        return self.per_second[limit - 1] if 1 <= limit <= len(self.per_second) else math.nan

    def met_at(self, in_flight: int) -> float:
        """Return the tasks/s that were met at a number in flight, NaN if it was not."""
        return next((m.per_second for m in self.met if m.in_flight == in_flight), math.nan)

    @property
    def fits(self) -> bool:
        """Whether the law is near what was met: within its interval, or within a third of it."""
        near = ((met, self.at(met.in_flight)) for met in self.met)
        return all(m.low <= law <= m.high or abs(law / m.per_second - 1) <= 1 / 3 for m, law in near)

    @property
    def best(self) -> int:
        """The smallest number in flight within 1 % of the highest throughput: more gives nothing."""
        enough = 0.99 * max(self.per_second)
        return next(n for n, found in enumerate(self.per_second, start=1) if found >= enough)


def curve(evidence: PerformanceProfiler) -> Curve | None:
    """Fit the newest recalls; None where fewer than two numbers in flight were met often enough.

    ``X(n) = n · tasks / Σ wₗ·fₗ(n)``, as ``tuning.contention.capacity`` has it for recalls; w is a layer's
    own work in the mean recall, f its slowdown beside n.
    """
    telemetry = Telemetry().after(evidence.metrics[-TELEMETRY.recalls :])
    laws, found = telemetry.laws, telemetry.contention.curve
    trace = trace_of(telemetry.recalls, laws)
    if found is None or found.levels < 2 or not len(trace):
        return None
    work = mean_work(trace)
    tasks = sum(len(arrival.tasks) for arrival in trace.arrivals) / len(trace)
    top = min(MOST, max(law.trusted for law in laws.values()))
    fitted = tuple(tasks * capacity(n, work, laws) for n in range(1, top + 1))
    if not all(map(math.isfinite, fitted)):
        return None
    return Curve(fitted, _met(found, work, laws, tasks), found.largest, found.levels, len(trace))


def _met(
    found: concurrency_levels.Curve,
    work: Mapping[str, float],
    laws: Mapping[str, ContentionLaw],
    tasks: float,
) -> tuple[Met, ...]:
    def per_second(n: int, slow: float) -> float:
        held = 0.0
        for layer, own in work.items():
            share = found.shares.get(layer)
            if share is None:
                held += own
            else:  # the slowdown is relative to the curve's 1, the work to a task alone
                held += own * (1 + share * (slow - 1)) * found.work_ms[layer] / laws[layer].work_ms
        return tasks * n / held if held > 0 else math.nan

    return tuple(
        Met(
            int(n),
            per_second(int(n), slow),
            per_second(int(n), slow * math.exp(SURE * error)),
            per_second(int(n), slow * math.exp(-SURE * error)),
        )
        for n, slow, error in zip(found.n.tolist(), found.slow.tolist(), found.error.tolist(), strict=True)
        if n <= found.largest
    )
