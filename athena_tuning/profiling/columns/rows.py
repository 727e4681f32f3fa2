"""One record to its rows: what ``record_batch`` does for many."""

from __future__ import annotations

import math
from itertools import product

from athena_tuning.model import QueryMetrics, TaskOutcome
from athena_tuning.profiling.columns.names import Names, Shape
from athena_tuning.profiling.columns.table import (
    CACHE_HIT,
    CACHE_KNOWN,
    PARALLEL,
    PARTIAL,
    SUCCESS,
    SUCCESS_KNOWN,
    RecordRow,
    TaskRow,
)
from athena_tuning.profiling.overlap import time_covered

OUTCOMES = tuple(TaskOutcome)
OUTCOME_ID: dict[str, int] = {outcome: place for place, outcome in enumerate(OUTCOMES)}

_CACHE = {None: 0, False: CACHE_KNOWN, True: CACHE_KNOWN | CACHE_HIT}
_SUCCESS = {None: 0, False: SUCCESS_KNOWN, True: SUCCESS_KNOWN | SUCCESS}
FLAGS: dict[tuple[bool | None, bool | None, bool, bool], int] = {
    (hit, success, parallel, partial): _CACHE[hit]
    | _SUCCESS[success]
    | PARALLEL * parallel
    | PARTIAL * partial
    for hit, success, parallel, partial in product(_CACHE, _SUCCESS, (False, True), (False, True))
}
"""The bits of cache hit, success, parallel execution and partial answer."""


def shape_of(m: QueryMetrics) -> Shape:
    """Return who was asked, timed and measured."""
    return Shape(tuple(m.layers_queried), tuple(m.layer_latencies), tuple([task.layer for task in m.tasks]))


def record_row(m: QueryMetrics, names: Names) -> RecordRow:
    """Return the row of one record."""
    latency = math.nan if m.latency_ms is None else m.latency_ms
    work, span = work_and_span(m)
    return RecordRow(
        m.timestamp,
        latency,
        math.nan if m.memory_mb is None else m.memory_mb,
        m.accuracy_score,
        math.nan if m.user_satisfaction is None else m.user_satisfaction,
        round(work * 1000),
        round(span * 1000),
        -1 if m.result_count is None else m.result_count,
        names.texts.id_of(m.query_text),
        names.types.id_of(m.query_type),
        names.shapes.id_of(shape_of(m)),
        names.errors.id_of(m.error),
        names.sources.id_of(m.source),
        FLAGS[m.cache_hit, m.success, m.parallel_execution, m.partial],
        m.concurrency_level,
        m.config_version,
        max([task.in_flight for task in m.tasks], default=0),
    )


def task_rows(m: QueryMetrics) -> dict[str, TaskRow]:
    """Return the row of each asked layer."""
    stand_in = math.nan if m.latency_ms is None else m.latency_ms
    rows = {
        layer: TaskRow(m.layer_latencies.get(layer, stand_in), 0, 0, 0, 0, 0) for layer in m.layers_queried
    }
    for layer, offset, queue, service, in_flight, outcome, results in m.tasks:
        own = m.layer_latencies.get(layer, service)
        queue_us, offset_us = round(queue * 1000), round(offset * 1000)
        rows[layer] = TaskRow(own, queue_us, offset_us, in_flight, OUTCOME_ID[outcome], results)
    return rows


def work_and_span(m: QueryMetrics) -> tuple[float, float]:
    """Return ms of service over all layers, and ms in which at least one was in service.

    From tasks the span is the union of their service intervals: waits are in neither, so a speed-up of
    work / span cannot come from queueing. Without tasks the whole latency of a parallel recall stands in.
    """
    if m.tasks:
        spans, work = [], 0.0
        for _, offset, queue, service, *_ in m.tasks:
            spans.append((offset + queue, offset + queue + service))
            work += service
        return work, time_covered(spans)
    work = sum(m.layer_latencies.values())
    if not m.parallel_execution:
        return work, work
    return (work, m.latency_ms) if work and m.latency_ms else (0.0, 0.0)
