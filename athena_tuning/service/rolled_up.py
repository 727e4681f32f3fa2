"""Figures over time from the store's roll-ups: of what the dashboard's window has let go, or never held."""

from __future__ import annotations

import math

import numpy as np

from athena_tuning.profiling import TimeSeries
from athena_tuning.profiling.histogram import Floats, Ints
from athena_tuning.service.view import View
from athena_tuning.store import Store
from athena_tuning.store.retention import Level
from athena_tuning.store.rollup import RECALLS, Summary


def over_time(store: Store, view: View) -> tuple[TimeSeries, float] | None:
    """Return a period's figures by bucket, and the bucket's seconds; None where nothing is kept of it.

    The bucket is a minute, or an hour where minutes are not kept any more; the first and the last may reach
    beyond the period. Percentiles are within 1.6 %.

    Raises:
        StoreError: if the store cannot be read.
    """
    for level in (Level.MINUTE, Level.HOUR, Level.DAY):
        rows = store.rollups(view.start, view.end, level=level, layer=RECALLS, sources=view.sources)
        if len(rows):
            by_start = {int(start): seen for (start,), seen in rows.summaries("start").items()}
            return _series(by_start, int(level)), float(level)
    return None


def total(store: Store, view: View) -> Summary:
    """Return what the roll-ups of a period say together. Raises as ``over_time`` does."""
    return store.rollups(view.start, view.end, layer=RECALLS, sources=view.sources).total()


def _series(by_start: dict[int, Summary], step: int) -> TimeSeries:
    starts = range(min(by_start), max(by_start) + step, step)
    seen = [by_start.get(start) for start in starts]

    def counts(name: str) -> Ints:
        return np.array([getattr(each, name) if each else 0 for each in seen], np.int64)

    def times(name: str) -> Floats:
        return np.array([getattr(each, name) if each else math.nan for each in seen], np.float64)

    return TimeSeries(
        np.array(starts, np.float64),
        counts("count"),
        counts("errors"),
        counts("refused"),
        counts("hits"),
        times("mean_ms"),
        times("p50_ms"),
        times("p95_ms"),
        times("p99_ms"),
    )
