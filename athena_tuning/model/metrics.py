"""What is measured: one record a recall, one a layer task, and their summaries."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

LAYERS = ("episodic", "semantic", "procedural", "prospective", "graph")
"""The layers every manager has; others may be registered beside them."""

QUERY_TYPES = ("temporal", "relational", "planning", "procedural", "prospective", "meta", "factual")
"""What a recall can be about, in the order in which the classifier tries them."""


SECOND_CALL = " (2nd)"
"""What a layer's second call is called behind the layer's name; no layer of its own may end so."""


class TaskOutcome(StrEnum):
    """How one layer task ended."""

    OK = "ok"
    TIMEOUT = "timeout"
    ERROR = "error"


class LayerTask(NamedTuple):
    """Telemetry of one layer's share of a recall. Times are ms; ``offset_ms`` counts from the recall's start.

    ``queue_ms`` is the wait for a slot under the shared limit, ``service_ms`` the layer's own time once it
    had one; the two are never mixed. ``in_flight`` counts the tasks running as this one started, itself
    included. A timed-out task's ``service_ms`` is what had passed when it was given up: a lower bound.

    A call that was slow and made a second time has two: its layer's, up to the first answer, and one for the
    second call, named after it, which is OK if it answered first and else was given up.
    """

    layer: str
    offset_ms: float
    queue_ms: float
    service_ms: float
    in_flight: int
    outcome: TaskOutcome = TaskOutcome.OK
    result_count: int = 0

    @property
    def is_second_call(self) -> bool:
        """Whether it is the second call of the layer that it is named after."""
        return self.layer.endswith(SECOND_CALL)


class QueryMetrics(NamedTuple):
    """One finished recall, as measured. A tuple inside, because one is made for every recall.

    Nothing is validated here: a recall must not fail because its record is odd. The profiler rejects or
    normalises what it folds, by stated rules, and counts it. ``None`` means unknown, never zero.

    Attributes:
        query_id: unique id of the recall.
        query_text: what was asked.
        query_type: one of ``QUERY_TYPES``, or a name of the caller's own.
        timestamp: Unix seconds at the recall's start; 0: the time, by the profiler's clock, at which it is
            folded into the window.
        latency_ms: the whole recall, queue waits included.
        memory_mb: peak Python memory where it was asked for.
        cache_hit: whether the result came from the cache.
        result_count: items returned.
        layers_queried: the layers that really ran.
        layer_latencies: each layer's own service time in ms.
        success: False only if every layer failed.
        error: what failed, if something did.
        parallel_execution: whether the layers ran at the same time.
        concurrency_level: layer tasks of this recall that could run at once.
        accuracy_score: quality of the answer, 0 to 1.
        user_satisfaction: feedback, 0 to 1.
        tasks: telemetry of every layer task.
        partial: whether a layer that was asked is missing from the answer; with ``success`` False the whole
            recall was refused, see ``refused``.
        config_version: the version in force when the recall began; 0 before the first.
        source: a ``Source``, with the batch that it belongs to behind a colon where there is one.

    Examples:
        >>> m = QueryMetrics("q1", "last deploy?", "temporal", 0, 12.5, 0.0, False, 3, ["episodic"],
        ...                  {"episodic": 11.0}, True)
        >>> m.latency_ms, m.source
        (12.5, 'live')
    """

    query_id: str
    query_text: str
    query_type: str
    timestamp: float
    latency_ms: float | None
    memory_mb: float | None
    cache_hit: bool | None
    result_count: int | None
    layers_queried: list[str]
    layer_latencies: dict[str, float]
    success: bool | None
    error: str | None = None
    parallel_execution: bool = False
    concurrency_level: int = 1
    accuracy_score: float = 1.0
    user_satisfaction: float | None = None
    tasks: tuple[LayerTask, ...] = ()
    partial: bool = False
    config_version: int = 0
    source: str = "live"

    @property
    def refused(self) -> bool:
        """Whether it was turned away unserved, because more recalls came than could be served."""
        return self.partial and self.success is False


@dataclass(frozen=True, slots=True)
class LayerMetrics:
    """What one layer did within the window. Latencies are service times in ms, rates are 0 to 1.

    ``avg_memory_mb`` is of recalls that asked this layer alone; NaN where none of them was measured.
    """

    layer_name: str
    total_queries: int
    successful_queries: int
    avg_latency_ms: float
    p50_latency_ms: float
    p99_latency_ms: float
    avg_memory_mb: float
    error_rate: float
    cache_hit_rate: float
    p90_latency_ms: float = math.nan
    p95_latency_ms: float = math.nan
    p999_latency_ms: float = math.nan
    avg_queue_ms: float = math.nan
    p99_queue_ms: float = math.nan


@dataclass(frozen=True, slots=True)
class QueryTypeMetrics:
    """What one type of query did within the window. Latencies are whole recalls in ms, rates are 0 to 1."""

    query_type: str
    total_queries: int
    avg_latency_ms: float
    p99_latency_ms: float
    parallel_speedup: float = 1.0
    cache_hit_rate: float = 0.0
    success_rate: float = 1.0
    avg_accuracy: float = 1.0
    p50_latency_ms: float = math.nan
    p90_latency_ms: float = math.nan
    p95_latency_ms: float = math.nan
    p999_latency_ms: float = math.nan
