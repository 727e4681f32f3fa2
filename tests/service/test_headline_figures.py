"""The figures that stand large: of the last minute, the view's beneath, no more than recalls carry."""

from __future__ import annotations

import pytest

from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.service.headline_figures import HeadlineFigure, Slots, headline_figures, now_seconds
from athena_tuning.service.view import View
from athena_tuning.service.window_reads import TOO_FEW

VIEW = View(1.7e9, 1.7e9 + 3600)
SLOTS = Slots(3, 7, 15)


def window(*parts: tuple[int, float, float, float]) -> PerformanceProfiler:
    """Return a window of (recalls, from, to, ms): seconds before the view's end."""
    profiler = PerformanceProfiler(clock=lambda: VIEW.end, max_metrics=50_000)
    for recalls, start, end, ms in parts:
        for n in range(recalls):
            at = VIEW.end - start + n * (start - end) / recalls
            profiler.record_query(
                QueryMetrics(f"{start}-{n}", "?", "factual", at, ms, None, False, 1, [], {}, True)
            )
    return profiler


def by_label(profiler: PerformanceProfiler, promised_ms: float | None = None) -> dict[str, HeadlineFigure]:
    return {figure.label: figure for figure in headline_figures(profiler, VIEW, promised_ms, SLOTS)}


def test_large_is_the_last_minute_and_beneath_it_the_whole_view() -> None:
    figures = by_label(window((3000, 3600, 60, 10.0), (600, 60, 0, 80.0)))
    assert figures["p99"].value == "80.0 ms"
    assert figures["p50"].value == "80.0 ms"
    assert figures["p50"].beneath == "in all 10.0 ms"
    assert figures["Recalls"].value == "10 /s"
    assert figures["Recalls"].beneath == "in all 1 /s"
    assert (figures["Tasks waiting"].value, figures["Tasks waiting"].beneath) == ("7", "3 of 15 slots busy")


@pytest.mark.parametrize(
    ("recalls", "over", "seconds", "known"),
    [(600, 60, 60.0, True), (600, 300, 300.0, True), (400, 900, 60.0, False)],
)
def test_now_is_as_long_as_a_p99_needs_and_says_so_where_recalls_are_too_few(
    recalls: int, over: float, seconds: float, known: bool
) -> None:
    profiler = window((recalls, over, 0, 10.0))
    assert now_seconds(profiler, VIEW) == seconds
    assert (by_label(profiler)["p99"].value != TOO_FEW) is known


def test_a_promise_that_is_missed_is_marked_and_its_share_shown() -> None:
    profiler = window((540, 60, 6, 10.0), (60, 6, 0, 300.0))
    figures = by_label(profiler, 250.0)
    assert figures["p99"].level == "bad"
    assert figures["Within 250 ms"].value == "90.0 %"
    assert figures["Within 250 ms"].level == "bad"
    assert by_label(profiler, 500.0)["p99"].level == ""


def test_rates_count_only_the_part_of_a_period_that_was_seen() -> None:
    assert by_label(window((1000, 100, 0, 10.0)))["Recalls"].beneath == "in all 10 /s"
