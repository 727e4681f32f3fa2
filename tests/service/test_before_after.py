"""Before and after a moment are compared at equal load alone, and it is said where they cannot be."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.service.before_after import LEAST, before_after
from athena_tuning.service.view import View

NOW = 1_790_000_000.0
MOMENT = NOW - 600.0
VIEW = View(NOW - 3600, NOW, sources=None)


def recall(n: int, at: float, ms: float, kind: str = "factual", hit: bool = False) -> QueryMetrics:
    return QueryMetrics(f"m-{n}", f"q{n}", kind, at, ms, None, hit, 1, ["graph"], {"graph": ms}, True)


def window(
    rate: Callable[[float], float],
    ms: Callable[[float], float],
    kind: Callable[[float], str] = lambda _: "factual",
) -> PerformanceProfiler:
    """Recalls over twenty minutes around the moment, so many a second."""
    profiler = PerformanceProfiler(clock=lambda: NOW, max_metrics=100_000)
    at, n = MOMENT - 600, 0
    while at < NOW - 1:
        profiler.record_query(recall(n, at, ms(at), kind(at)))
        at, n = at + 1 / rate(at), n + 1
    return profiler


def test_equal_load_is_compared_and_the_change_is_seen() -> None:
    told = before_after(
        window(lambda _: 5.0, lambda at: 10.0 if at < MOMENT else 40.0), VIEW, MOMENT, None, None
    )
    assert told.why_not == ""
    assert told.before is not None
    assert told.after is not None
    assert (told.before.p50_ms, told.after.p50_ms) == (10.0, 40.0)
    assert told.before.per_second == pytest.approx(told.after.per_second, rel=0.25)


def test_a_load_that_was_never_alike_cannot_be_compared() -> None:
    told = before_after(
        window(lambda at: 3.0 if at < MOMENT else 12.0, lambda _: 10.0), VIEW, MOMENT, None, None
    )
    assert told.why_not == "the load was never alike: 2.98 /s before, 11.9 /s after"


def test_only_stretches_of_equal_load_count() -> None:
    """After the moment half of the time is a rush in which everything is slow: it has no match before."""
    rush = lambda at: at >= MOMENT and int(at - MOMENT) // 60 % 2 == 1  # noqa: E731
    told = before_after(
        window(lambda at: 20.0 if rush(at) else 4.0, lambda at: 500.0 if rush(at) else 10.0),
        VIEW, MOMENT, None, None,
    )  # fmt: skip
    assert told.why_not == ""
    assert told.after is not None
    assert told.after.p50_ms == 10.0
    assert told.after.per_second == pytest.approx(4.0, rel=0.3)


def test_other_queries_cannot_be_compared() -> None:
    told = before_after(
        window(lambda _: 5.0, lambda _: 10.0, lambda at: "factual" if at < MOMENT else "planning"),
        VIEW, MOMENT, None, None,
    )  # fmt: skip
    assert "other types of queries" in told.why_not


def test_what_the_cache_answered_is_counted_but_not_compared() -> None:
    profiler = window(lambda _: 5.0, lambda _: 10.0)
    for n in range(300):
        profiler.record_query(recall(10_000 + n, MOMENT + 10 + n / 10, 0.1, hit=True))
    told = before_after(profiler, VIEW, MOMENT, None, None)
    assert told.why_not == ""
    assert told.before is not None
    assert told.after is not None
    assert told.before.cached == 0.0 < told.after.cached
    assert told.after.p50_ms == 10.0


def test_too_few_recalls_are_not_compared_and_a_p99_needs_more_than_a_median() -> None:
    assert str(LEAST) in before_after(window(lambda _: 0.05, lambda _: 1.0), VIEW, MOMENT, None, None).why_not
    told = before_after(window(lambda _: 0.5, lambda _: 1.0), VIEW, MOMENT, None, None)
    assert told.after is not None
    assert told.after.p50_ms == 1.0
    assert math.isnan(told.after.p99_ms)


def test_sides_end_where_the_config_changed_otherwise() -> None:
    profiler = window(lambda _: 5.0, lambda at: 90.0 if at < MOMENT - 60 or at > MOMENT + 60 else 10.0)
    told = before_after(profiler, VIEW, MOMENT, MOMENT - 65, MOMENT + 60)
    assert told.before is not None
    assert told.after is not None
    assert (told.before.p50_ms, told.after.p50_ms) == (10.0, 10.0)
