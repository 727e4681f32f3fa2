"""Strategy, config, figures and recommendations in one mapping, for people and for logs."""

from __future__ import annotations

import math
from typing import Any

from athena_tuning.model import Decision, TuningConfig, TuningStrategy
from athena_tuning.tuning.estimation.window_figures import WindowFigures


def tuning_report(
    strategy: TuningStrategy, config: TuningConfig, figures: WindowFigures, proposal: Decision
) -> dict[str, Any]:
    """Return what ``AutoTuner.get_tuning_report`` returns.

    Args:
        strategy: what the operator wants most.
        config: in force.
        figures: of the window.
        proposal: for all types.
    """
    return {
        "strategy": strategy.value,
        "current_config": config.to_dict(),
        "metrics": {
            "total_queries": figures.samples,
            "avg_latency_ms": _or_zero(figures.mean_ms),
            "p99_latency_ms": _or_zero(figures.p99_ms),
            "parallel_speedup": figures.speed_up.value,
            "success_rate": figures.success_rate,
        },
        "recommendations": _recommendations(proposal),
    }


def _or_zero(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _recommendations(proposal: Decision) -> list[str]:
    changes = proposal.before.changes_to(proposal.after)
    lines = [
        f"{r.parameter}: {changes[r.parameter][0]} → {changes[r.parameter][1]} ({r.rule}"
        + (f"; bound: {r.bound})" if r.bound else ")")
        for r in proposal.reasons
        if r.parameter in changes
    ]
    return lines or [proposal.summary]
