"""Throughput by tasks in flight: the fitted contention law, beside the measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from athena_tuning.model import QueryMetrics
from athena_tuning.tuning.estimation import concurrency_levels
from athena_tuning.tuning.estimation.contention import ContentionLaw, capacity
from athena_tuning.tuning.estimation.telemetry import Telemetry, trace_of
from athena_tuning.tuning.settings import TELEMETRY

MOST_IN_FLIGHT = 64
"""Tasks in flight up to which the curve is drawn."""

STANDARD_ERRORS = 1.96
"""Standard errors to either side of a 95 % interval."""


class Measured(NamedTuple):
    """Layer tasks/s that were measured at a number in flight, with the 95 % interval."""

    in_flight: int
    per_second: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Throughput by tasks in flight.

    Attributes:
        per_second: layer tasks/s with 1, 2, … tasks always in flight, as the fitted law has it.
        measured: the same as it was measured.
        measured_to: tasks in flight up to which there are measurements enough; beyond, the law extrapolates.
        levels: different numbers in flight with measurements enough.
        recalls: recalls that it rests on.
    """

    per_second: tuple[float, ...]
    measured: tuple[Measured, ...]
    measured_to: int
    levels: int
    recalls: int

    def at(self, limit: int) -> float:
        """Return the tasks/s at a limit by the law, NaN beyond its range."""
        return self.per_second[limit - 1] if 1 <= limit <= len(self.per_second) else math.nan

    def measured_at(self, in_flight: int) -> float:
        """Return the tasks/s that were measured at a number in flight, NaN if none were."""
        return next((m.per_second for m in self.measured if m.in_flight == in_flight), math.nan)

    @property
    def fits(self) -> bool:
        """Whether the law is near the measurements: within each interval, or within a third of the value."""
        near = ((m, self.at(m.in_flight)) for m in self.measured)
        return all(m.low <= law <= m.high or abs(law / m.per_second - 1) <= 1 / 3 for m, law in near)

    @property
    def best(self) -> int:
        """The smallest number in flight within 1 % of the highest throughput."""
        enough = 0.99 * max(self.per_second)
        return next(n for n, rate in enumerate(self.per_second, start=1) if rate >= enough)


def curve(records: Sequence[QueryMetrics]) -> Curve | None:
    """Fit the newest recalls; None where fewer than two numbers in flight have measurements enough.

    ``X(n) = n · tasks / Σ wₗ·fₗ(n)``, as ``tuning.contention.capacity`` has it for recalls; w is a layer's
    own work in the mean recall, f its slowdown beside n.
    """
    telemetry = Telemetry().after(records[-TELEMETRY.recalls :])
    laws, levels = telemetry.laws, telemetry.contention.curve
    trace = trace_of(telemetry.recalls, laws)
    if levels is None or levels.levels < 2 or not len(trace):
        return None
    work = trace.mean_work
    tasks = sum(len(arrival.tasks) for arrival in trace.arrivals) / len(trace)
    top = min(MOST_IN_FLIGHT, max(law.trusted for law in laws.values()))
    fitted = tuple(tasks * capacity(n, work, laws) for n in range(1, top + 1))
    if not all(map(math.isfinite, fitted)):
        return None
    return Curve(fitted, _measured(levels, work, laws, tasks), levels.largest, levels.levels, len(trace))


def _measured(
    levels: concurrency_levels.Curve,
    work: Mapping[str, float],
    laws: Mapping[str, ContentionLaw],
    tasks: float,
) -> tuple[Measured, ...]:
    def per_second(n: int, slow: float) -> float:
        held = 0.0
        for layer, own in work.items():
            share = levels.shares.get(layer)
            if share is None:
                held += own
            else:  # the slowdown is relative to the curve's 1, the work to a task alone
                held += own * (1 + share * (slow - 1)) * levels.work_ms[layer] / laws[layer].work_ms
        return tasks * n / held if held > 0 else math.nan

    return tuple(
        Measured(
            int(n),
            per_second(int(n), slow),
            per_second(int(n), slow * math.exp(STANDARD_ERRORS * error)),
            per_second(int(n), slow * math.exp(-STANDARD_ERRORS * error)),
        )
        for n, slow, error in zip(levels.n.tolist(), levels.slow.tolist(), levels.error.tolist(), strict=True)
        if n <= levels.largest
    )
