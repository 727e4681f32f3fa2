"""What the tuner would set if recorded recalls were all that it had met."""

from __future__ import annotations

from collections.abc import Sequence

from athena_tuning.model import ConfigSet, Proposal, QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.tuning.tuner import AutoTuner

_STEPS = 1000
"""Steps after which a search would have ended; one takes some dozens."""

AUTHOR = "these recalls alone"


def proposals_on(records: Sequence[QueryMetrics], configs: ConfigSet, now: float) -> tuple[Proposal, ...]:
    """Return what a tuner that knows nothing else proposes; what it decides on the way changes nothing.

    Args:
        records: oldest first, at least one; from whatever source.
        configs: in force.
        now: Unix seconds, for the proposals.
    """
    newest = max(record.timestamp for record in records)
    profiler = PerformanceProfiler(24 * 366 * 100, len(records), clock=lambda: newest)
    for record in records:
        profiler.record_query(record)
    tuner = AutoTuner(profiler, configs.default.config.strategy, clock=lambda: newest)
    tuner.in_force(configs)
    for _ in range(_STEPS):
        tuner.step(configs, newest)
        if not tuner.is_looking:
            break
    return tuner.proposals(configs, now, AUTHOR)
