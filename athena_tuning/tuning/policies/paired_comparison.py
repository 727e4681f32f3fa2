"""What recalls took under a change, each against what it would have taken without it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from athena_tuning.model import TuningStrategy
from athena_tuning.tuning.estimation.telemetry import Seen, Telemetry
from athena_tuning.tuning.policies.canary import TOLERATED, Trial
from athena_tuning.tuning.policies.saturation import SATURATED
from athena_tuning.tuning.simulation.search import slowdowns
from athena_tuning.tuning.simulation.simulator import Simulation

INHERITED = 1.0
"""Seconds before a change whose recalls are simulated too, so that its backlog is met again."""

LAW_ERROR = 0.08


def log_ratios(telemetry: Telemetry, trial: Trial, strategy: TuningStrategy) -> tuple[list[float], float]:
    """Return ``ln(with the change / without it)`` of each recall that began under it, and what is tolerated.

    Latency against the simulated incumbent on the same arrivals and backlog. Under THROUGHPUT, where every
    slot is waited for, slot time over slots against the same by the law at the incumbent's limit: callers
    that wait for their answers ask less often under a slower limit, and on those arrivals the incumbent
    would look as if it had time to spare. The law's own error is tolerated there.
    """
    asked = [s for s in telemetry.since(trial.began) if s.tasks]
    if strategy is TuningStrategy.THROUGHPUT and _saturated(asked):
        return _by_capacity(telemetry, trial, asked), LAW_ERROR
    return _by_latency(telemetry, trial), TOLERATED


def _saturated(asked: Sequence[Seen]) -> bool:
    tasks = [t for s in asked for t in s.tasks]
    return sum(t.queue_ms for t in tasks) >= SATURATED * sum(t.service_ms for t in tasks)


def _by_capacity(telemetry: Telemetry, trial: Trial, asked: Sequence[Seen]) -> list[float]:
    laws, before = telemetry.laws(), trial.decision.before.max_concurrent
    slow = {layer: law.factor(before) for layer, law in laws.items()}
    order = sorted(asked, key=lambda s: s.began)
    works = telemetry.trace(order, laws).asks
    slots = math.log(before / trial.decision.after.max_concurrent)
    return [
        slots
        + math.log(
            max(sum(t.service_ms for t in s.tasks) / 1000, 1e-6)
            / max(sum(work * slow.get(layer, 1.0) for layer, work in ask.tasks), 1e-6)
        )
        for s, ask in zip(order, works, strict=True)
    ]


def _by_latency(telemetry: Telemetry, trial: Trial) -> list[float]:
    laws = telemetry.laws()
    around = [s for s in telemetry.seen if s.ended >= trial.began - INHERITED and s.tasks]
    around.sort(key=lambda s: s.began)
    before = trial.decision.before
    trace = telemetry.trace(around, laws)
    run = Simulation(trace, before, slowdowns(laws, before.max_concurrent)).run().result()
    return [
        math.log(max(s.latency_ms, 1e-3) / max(float(simulated), 1e-3))
        for s, simulated in zip(around, run.latency_ms, strict=True)
        if s.began >= trial.began
    ]
