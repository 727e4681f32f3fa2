"""What a profiler's window looked like, in the few figures that rules and reports need."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.tuning.settings import RULES


@dataclass(frozen=True, slots=True)
class SpeedUp:
    """What running layers at the same time gives: 2.0 is half the time.

    ``Σ sᵢ / max sᵢ`` over recalls of two layers or more, s being service times without queue wait.
    ``kind`` is "measured" where recalls really ran in parallel, "possible" where they ran one after
    another (so that parallel running, once off, can come back), "unknown" without such recalls.

    Layers that disturb each other take longer side by side, and their own times hide it: a store with one
    slot shows 3.0 where the truth is 1.0. So where the same layers have also been seen one after another,
    those times are the numerator. Without any such recall the figure is an upper bound.
    """

    value: float = 1.0
    samples: int = 0
    kind: str = "unknown"


@dataclass(frozen=True, slots=True)
class WindowFigures:
    """What one scope's recalls looked like in the window. Times are ms, rates are 0 to 1."""

    samples: int
    mean_ms: float
    p99_ms: float
    success_rate: float
    speed_up: SpeedUp

    @property
    def known(self) -> bool:
        """Whether there is a p99 to conclude from."""
        return math.isfinite(self.p99_ms)


NO_FIGURES = WindowFigures(0, math.nan, math.nan, 1.0, SpeedUp())


def window_figures(profiler: PerformanceProfiler) -> dict[str, WindowFigures]:
    """Return the figures of "all" recalls and of each query type in the window."""
    recent = profiler.metrics[-RULES.recent :]
    figures = {}
    for scope in ("all", *profiler.query_types()):
        summary = profiler.summary() if scope == "all" else profiler.summary(query_type=scope)
        figures[scope] = WindowFigures(
            summary.count,
            summary.mean_latency_ms,
            summary.p99_latency_ms,
            1.0 - summary.errors / summary.known_success if summary.known_success else 1.0,
            speed_up(m for m in recent if scope in ("all", m.query_type)),
        )
    return figures


def speed_up(records: Iterable[QueryMetrics]) -> SpeedUp:
    """Return what parallel layers give, or would give, over ``records``; see ``SpeedUp``."""
    parallel: list[dict[str, float]] = []
    sequential: list[dict[str, float]] = []
    for m in records:
        if not m.cache_hit and len(m.layer_latencies) > 1:
            (parallel if m.parallel_execution else sequential).append(m.layer_latencies)
    alone = _means(sequential)
    if parallel:
        work = sum(alone.get(layer, ms) for times in parallel for layer, ms in times.items())
        return SpeedUp(_ratio(work, sum(max(t.values()) for t in parallel)), len(parallel), "measured")
    if sequential:
        work = sum(ms for times in sequential for ms in times.values())
        return SpeedUp(_ratio(work, sum(max(t.values()) for t in sequential)), len(sequential), "possible")
    return SpeedUp()


def _means(records: list[dict[str, float]]) -> Mapping[str, float]:
    totals: dict[str, list[float]] = defaultdict(list)
    for times in records:
        for layer, ms in times.items():
            totals[layer].append(ms)
    return {layer: sum(values) / len(values) for layer, values in totals.items()}


def _ratio(work: float, span: float) -> float:
    return work / span if span > 0 else 1.0
