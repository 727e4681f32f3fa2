"""Columns back to whole records: for ``profiler.metrics``, the slowest recalls, the store's flusher."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from athena_tuning.model import LayerTask, QueryMetrics
from athena_tuning.profiling.block import Rows
from athena_tuning.profiling.columns import (
    CACHE_HIT,
    CACHE_KNOWN,
    PARALLEL,
    PARTIAL,
    SUCCESS,
    SUCCESS_KNOWN,
)
from athena_tuning.profiling.rows import OUTCOMES
from athena_tuning.profiling.window import View


def records_of(rows: Rows) -> list[QueryMetrics]:
    """Rebuild the records of some rows, as they were after the rules; waits and offsets to the µs."""
    names = rows.block.names
    ids = rows.block.ids(rows.places().tolist())
    columns = (rows[name].tolist() for name in rows.block.records.columns)
    tasks = _layer_rows(rows)
    found = []
    for i, row in enumerate(zip(*columns, strict=True)):
        time, latency, memory, accuracy, satisfaction, _, _, results, text, kind, shape, *rest = row
        error, source, flags, concurrency, config, _ = rest
        layers, timed, measured = names.shapes[shape]
        own = {layer: tasks[layer][i] for layer in layers}
        found.append(
            QueryMetrics(
                ids[i],
                names.texts[text],
                names.types[kind],
                time,
                _known(latency),
                _known(memory),
                bool(flags & CACHE_HIT) if flags & CACHE_KNOWN else None,
                None if results < 0 else results,
                list(layers),
                {layer: own[layer][0] for layer in timed},
                bool(flags & SUCCESS) if flags & SUCCESS_KNOWN else None,
                names.errors[error],
                bool(flags & PARALLEL),
                concurrency,
                accuracy,
                _known(satisfaction),
                tuple([_task(layer, own[layer]) for layer in measured]),
                bool(flags & PARTIAL),
                config,
                names.sources[source],
            )
        )
    return found


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _task(layer: str, row: tuple[Any, ...]) -> LayerTask:
    service, queue, offset, in_flight, outcome, results = row
    return LayerTask(layer, offset / 1000, queue / 1000, service, in_flight, OUTCOMES[outcome], results)


def _layer_rows(rows: Rows) -> dict[str, dict[int, tuple[Any, ...]]]:
    """Return for each layer its rows by the place of their record among ``rows``."""
    places = rows.positions()
    found = {}
    for layer, table in rows.block.tasks.items():
        asked = rows.of_layer(layer)
        beside = np.searchsorted(places, asked.positions()).tolist()
        columns = (asked.task(name).tolist() for name in table.columns)
        found[layer] = dict(zip(beside, zip(*columns, strict=True), strict=True))
    return found


def page(view: View, position: int, end: int, limit: int) -> tuple[list[QueryMetrics], int]:
    """Return up to ``limit`` visible records from ``position`` on, and the position to go on from."""
    found: list[QueryMetrics] = []
    for block in view.blocks:
        if block.base + len(block) <= position:
            continue
        rows = view.part(block, position, end)
        if not len(rows):
            continue
        rows = rows.part(0, limit - len(found))
        found += records_of(rows)
        if len(found) == limit:
            return found, int(rows.positions()[-1]) + 1
    return found, max(position, min(end, view.end))
