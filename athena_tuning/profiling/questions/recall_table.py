"""Recalls of the window as the columns of a table for pandas, without building a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from athena_tuning.frames import TEXT, TIME, Columns
from athena_tuning.profiling.columns.block import Rows
from athena_tuning.profiling.columns.dictionary import Dictionary
from athena_tuning.profiling.columns.names import Names
from athena_tuning.profiling.columns.selection import Selection
from athena_tuning.profiling.columns.table import (
    CACHE_HIT,
    CACHE_KNOWN,
    PARALLEL,
    PARTIAL,
    SUCCESS,
    SUCCESS_KNOWN,
)
from athena_tuning.profiling.columns.window import View
from athena_tuning.profiling.histogram import Floats, Ints


def recall_table(view: View, selection: Selection, names: Names) -> Columns:
    """Return the selected recalls as columns, in the order of their arrival."""
    parts = list(selection.parts(view))

    def column(name: str) -> npt.NDArray[Any]:
        return np.concatenate([rows[name] for rows in parts]) if parts else np.zeros(0)

    def named(name: str) -> npt.NDArray[np.object_]:
        return _named(names.by_column[name], column(name).astype(np.int64))

    flags = column("flags").astype(np.uint8)
    results = column("results").astype(np.float64)
    shapes = named("shape")
    return {
        "recall": ("int64", np.concatenate([rows.positions() for rows in parts]) if parts else []),
        "query_id": (TEXT, [i for rows in parts for i in rows.block.ids(rows.places().tolist())]),
        "query_text": (TEXT, named("text")),
        "query_type": ("category", named("type")),
        "timestamp": (TIME, column("time")),
        "latency_ms": ("float64", column("latency")),
        "memory_mb": ("float64", column("memory")),
        "cache_hit": ("boolean", _flag(flags, CACHE_KNOWN, CACHE_HIT)),
        "result_count": ("Int64", np.where(results < 0, np.nan, results)),
        "layers_queried": ("object", [shape.layers for shape in shapes]),
        "success": ("boolean", _flag(flags, SUCCESS_KNOWN, SUCCESS)),
        "error": (TEXT, named("error")),
        "parallel_execution": ("bool", (flags & PARALLEL) > 0),
        "concurrency_level": ("int64", column("concurrency")),
        "accuracy_score": ("float64", column("accuracy")),
        "user_satisfaction": ("float64", column("satisfaction")),
        "partial": ("bool", (flags & PARTIAL) > 0),
        "config_version": ("int64", column("config")),
        "source": ("category", named("source")),
    } | {
        f"layer_{layer}_ms": ("float64", _service(parts, names, layer))
        for layer in sorted({layer for shape in set(shapes) for layer in shape.timed})
    }


def _named(values: Dictionary[Any], numbers: Ints) -> npt.NDArray[np.object_]:
    """Return the values of numbers; a number that is used again later already has its value here."""
    used, place = np.unique(numbers, return_inverse=True)
    held = np.empty(len(used), np.object_)
    for at, number in enumerate(used.tolist()):
        held[at] = values[number]
    return held[place]


def _flag(flags: npt.NDArray[np.uint8], known: int, on: int) -> Floats:
    return np.where(flags & known, (flags & on) > 0, np.nan)


def _service(parts: Sequence[Rows], names: Names, layer: str) -> Floats:
    """Return a layer's own time in each recall; NaN where it was not asked, or gave no time."""
    timed = names.timed(layer)
    times = []
    for rows in parts:
        ms = np.full(len(rows), np.nan)
        of_layer = rows.of_layer(layer)
        of_layer = of_layer.where(timed[of_layer["shape"]])
        ms[np.searchsorted(rows.places(), of_layer.places())] = of_layer.task("service")
        times.append(ms)
    return np.concatenate(times)
