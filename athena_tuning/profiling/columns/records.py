"""Columns back to whole records: for ``profiler.metrics``, the slowest recalls, the store's flusher."""

from __future__ import annotations

import math

from athena_tuning.model import LayerTask, QueryMetrics
from athena_tuning.profiling.columns.block import One, Rows
from athena_tuning.profiling.columns.column_batch import columns_of
from athena_tuning.profiling.columns.names import Names
from athena_tuning.profiling.columns.rows import OUTCOMES
from athena_tuning.profiling.columns.table import (
    CACHE_HIT,
    CACHE_KNOWN,
    PARALLEL,
    PARTIAL,
    SUCCESS,
    SUCCESS_KNOWN,
    TaskRow,
)
from athena_tuning.profiling.columns.window import FEW, View


def records_of(rows: Rows) -> list[QueryMetrics]:
    """Rebuild the records of some rows, as they were after the rules; waits and offsets to the µs."""
    if len(rows) > FEW:
        columns = columns_of(rows)
        return columns.records(columns.texts)
    ids = rows.block.ids(rows.places().tolist())
    return [_record(query_id, one, rows.block.names) for query_id, one in zip(ids, rows.ones(), strict=True)]


def _record(query_id: str, one: One, names: Names) -> QueryMetrics:
    row, tasks, (layers, timed, measured), query_type = one
    flags = row.flags
    return QueryMetrics(
        query_id,
        names.texts[row.text],
        query_type,
        row.time,
        _known(row.latency),
        _known(row.memory),
        bool(flags & CACHE_HIT) if flags & CACHE_KNOWN else None,
        None if row.results < 0 else row.results,
        list(layers),
        {layer: tasks[layer].service for layer in timed},
        bool(flags & SUCCESS) if flags & SUCCESS_KNOWN else None,
        names.errors[row.error],
        bool(flags & PARALLEL),
        row.concurrency,
        row.accuracy,
        _known(row.satisfaction),
        tuple([_task(layer, tasks[layer]) for layer in measured]),
        bool(flags & PARTIAL),
        row.config,
        names.sources[row.source],
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _task(layer: str, row: TaskRow) -> LayerTask:
    service, queue, offset, in_flight, outcome, results = row
    return LayerTask(layer, offset / 1000, queue / 1000, service, in_flight, OUTCOMES[outcome], results)


def page(view: View, position: int, end: int, limit: int) -> tuple[list[QueryMetrics], int]:
    """Return up to ``limit`` visible records from ``position`` on, and the position to go on from."""
    parts, reached = rows_from(view, position, end, limit)
    return [record for rows in parts for record in records_of(rows)], reached


def rows_from(view: View, position: int, end: int, limit: int) -> tuple[list[Rows], int]:
    """Return up to ``limit`` visible rows from ``position`` on, and the position to go on from."""
    parts: list[Rows] = []
    left = limit
    for block in view.blocks:
        if block.base + len(block) <= position:
            continue
        rows = view.part(block, position, end)
        if not len(rows):
            continue
        rows = rows.part(0, left)
        if len(rows):
            parts.append(rows)
        left -= len(rows)
        if not left:
            return parts, int(rows.positions()[-1]) + 1 if len(rows) else position
    return parts, max(position, min(end, view.end))


def numbered(view: View, low: int, high: int) -> list[QueryMetrics]:
    """Return the visible records number ``low`` to ``high``."""
    records: list[QueryMetrics] = []
    for rows in view.rows():
        n = len(rows)
        if low < n and high > 0:
            records += records_of(rows.part(max(low, 0), min(high, n)))
        low, high = low - n, high - n
    return records
