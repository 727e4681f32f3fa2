"""Every read of a window that takes a filter counts only the sources that are asked for."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
import pytest

from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.testing.made_recalls import made_recalls

NOW = 1_700_000_600.0
MIXED = ("live", "load:r1", "sample:fast", "load:r2", "simulated:day")
RANGE: dict[str, Any] = {"start": NOW - 700, "end": NOW}
Read = Callable[..., Any]
READS: dict[str, Read] = {
    "summary": lambda p, **w: p.summary(**w),
    "percentiles": lambda p, **w: p.percentiles((0.5, 0.9, 0.99), **w),
    "rough percentiles": lambda p, **w: p.percentiles((0.5, 0.9), exact=False, **w),
    "time_series": lambda p, **w: p.time_series(30.0, **w),
    "hour_weekday": lambda p, **w: p.hour_weekday("UTC", **w),
    "cache_report": lambda p, **w: p.cache_report(**w),
    "concurrency_report": lambda p, **w: p.concurrency_report(**w),
    "co_occurrence": lambda p, **w: p.co_occurrence(**w),
    "sources": lambda p, **w: p.sources(**w),
    "slow_records": lambda p, **w: p.slow_records(20, 50, **w),
    "newest": lambda p, **w: p.newest(30, **w),
    "to_pandas": lambda p, **w: p.to_pandas(**w).drop(columns="recall").to_dict("list"),
    "tasks": lambda p, **w: sorted(p.tasks(**w).service_ms.tolist()),
    "trending": lambda p, sources, **_: p.trending(1, 10, sources=sources),
}


def window(records: list[QueryMetrics], step: int) -> PerformanceProfiler:
    profiler = PerformanceProfiler(clock=lambda: NOW)
    for first in range(0, len(records), step):
        for record in records[first : first + step]:
            profiler.record_query(record)
        profiler.fold()
    return profiler


def same(one: Any, other: Any) -> None:
    np.testing.assert_equal(plain(one), plain(other))


def plain(value: Any) -> Any:
    """Return records as what they are made of, which compares NaN with NaN."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value


@pytest.mark.parametrize("step", [1, 600])
@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    "sources",
    [{"live"}, {"live", "load"}, {"load:r2"}, {"sample"}, {"nothing"}],
    ids=lambda s: "+".join(sorted(s)),
)
def test_a_read_of_some_sources_is_what_a_window_of_those_alone_says(
    read: str, sources: set[str], step: int
) -> None:
    mixed = [m._replace(source=s) for m, s in zip(made_recalls(600), cycle(MIXED), strict=False)]
    alone = [m for m in mixed if m.source in sources or m.source.partition(":")[0] in sources]
    both, ours = window(mixed, step), window(alone, 600)
    same(READS[read](both, **RANGE, sources=sources), READS[read](ours, **RANGE, sources=None))
    if step == 1:  # and again, when what was counted is only caught up with
        for record in made_recalls(5, seed=9, start=NOW - 50):
            both.record_query(record._replace(source="imported:x"))
        same(READS[read](both, **RANGE, sources=sources), READS[read](ours, **RANGE, sources=None))


def test_sources_are_counted_by_kind() -> None:
    mixed = [m._replace(source=s) for m, s in zip(made_recalls(500), cycle(MIXED), strict=False)]
    assert window(mixed, 100).sources() == {"load": 200, "live": 100, "sample": 100, "simulated": 100}
