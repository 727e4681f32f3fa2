"""What is asked now, and what was slow: by frequency and recency, with type, layer and time."""

from __future__ import annotations

import pytest

from athena_tuning.model import LayerTask
from athena_tuning.profiling import PerformanceProfiler


def record_queries(profiler, recall, text, *minutes_ago):
    for minutes in minutes_ago:
        profiler.record_query(recall(query_text=text, timestamp=profiler._clock() - 60 * minutes))


@pytest.fixture
def profiler(clock):
    return PerformanceProfiler(clock=clock)


def test_what_is_asked_more_often_comes_first(profiler, recall):
    record_queries(profiler, recall, "rare", 5)
    record_queries(profiler, recall, "common", 5, 5, 5)
    assert profiler.get_trending_queries() == ["common", "rare"]
    assert [query.count for query in profiler.trending()] == [3, 1]


def test_of_what_is_asked_as_often_the_newer_comes_first(profiler, recall):
    record_queries(profiler, recall, "old", 50, 50)
    record_queries(profiler, recall, "new", 2, 2)
    assert profiler.get_trending_queries() == ["new", "old"]


def test_lately_outweighs_often_but_long_ago(profiler, recall):
    record_queries(profiler, recall, "then", 59, 59, 59, 58)
    record_queries(profiler, recall, "now", 0, 0)
    assert profiler.get_trending_queries() == ["now", "then"]


def test_an_asking_counts_half_after_half_of_the_time_and_a_quarter_at_its_end(profiler, recall):
    for text, minutes in (("new", 0), ("half", 30), ("end", 60)):
        record_queries(profiler, recall, text, minutes)
    assert [query.score for query in profiler.trending(hours=1)] == pytest.approx([1.0, 0.5, 0.25])
    assert [query.score for query in profiler.trending(hours=2)] == pytest.approx([1.0, 2**-0.5, 0.5])


def test_scores_sink_while_nobody_asks_and_texts_leave_after_the_time(profiler, recall, clock):
    record_queries(profiler, recall, "once", 0)
    for minutes, score in ((0, 1.0), (30, 0.5), (29, 2 ** (-59 / 30))):
        clock.now += 60 * minutes
        assert profiler.trending()[0].score == pytest.approx(score)
    clock.now += 120
    assert profiler.get_trending_queries() == []
    assert profiler.get_trending_queries(hours=2) == ["once"]


def test_scores_stay_right_after_a_very_long_silence(clock, recall):
    profiler = PerformanceProfiler(window_hours=10_000, clock=clock)
    record_queries(profiler, recall, "before", 0)
    assert profiler.get_trending_queries(hours=0.1) == ["before"]
    clock.now += 3600 * 500
    record_queries(profiler, recall, "after", 0, 0)
    (query,) = profiler.trending(hours=0.1)
    assert (query.text, query.score) == ("after", pytest.approx(2.0))


def test_a_limit_keeps_the_highest_and_ties_are_in_the_order_of_the_text(profiler, recall):
    for text in ("c", "a", "b", "d"):
        record_queries(profiler, recall, text, 1)
    assert profiler.get_trending_queries(limit=2) == ["a", "b"]
    assert profiler.get_trending_queries(limit=0) == []


@pytest.mark.parametrize("hours", [0, -1, float("nan")])
def test_no_time_at_all_is_refused(profiler, hours):
    with pytest.raises(ValueError, match="hours must be above 0"):
        profiler.get_trending_queries(hours)


def test_slow_queries_are_the_slowest_first_from_the_percentile_on(profiler, recall):
    for ms in range(1, 101):
        profiler.record_query(recall(float(ms), query_text=f"took {ms}"))
    assert profiler.get_slow_queries(percentile=99) == [("took 100", 100.0)]
    assert profiler.get_slow_queries(percentile=90, limit=3) == [
        ("took 100", 100.0),
        ("took 99", 99.0),
        ("took 98", 98.0),
    ]
    assert len(profiler.get_slow_queries(percentile=0, limit=1000)) == 100
    assert profiler.get_slow_queries(percentile=100) == [("took 100", 100.0)]


def test_a_slow_record_tells_type_time_and_the_layer_that_dominated(profiler, recall, clock):
    for i in range(20):
        tasks = (LayerTask("semantic", 0.0, 0.5, 3.0, 1), LayerTask("graph", 0.0, 2.0, 40.0 + i, 2))
        profiler.record_query(
            recall(
                50.0 + i,
                query_id=f"r{i}",
                query_type="relational",
                timestamp=clock.now - i,
                layers_queried=["semantic", "graph"],
                layer_latencies={task.layer: task.service_ms for task in tasks},
                tasks=tasks,
            )
        )
    (slowest, *_) = profiler.slow_records(limit=3, percentile=90)
    assert (slowest.query_id, slowest.query_type, slowest.timestamp) == ("r19", "relational", clock.now - 19)
    assert max(slowest.layer_latencies.items(), key=lambda item: item[1]) == ("graph", 59.0)
    assert max(slowest.tasks, key=lambda task: task.service_ms).layer == "graph"
    (by_layer, *_) = profiler.slow_records(limit=1, layer="semantic", percentile=0)
    assert by_layer.layer_latencies["semantic"] == 3.0


def test_a_recall_of_unknown_latency_is_not_slow(profiler, recall):
    profiler.record_query(recall(None, query_text="unknown"))
    assert profiler.get_slow_queries(percentile=0) == []
    profiler.record_query(recall(1.0, query_text="known"))
    assert profiler.get_slow_queries(percentile=0) == [("known", 1.0)]


@pytest.mark.parametrize("percentile", [-1, 101, float("nan")])
def test_a_percentile_beyond_100_is_refused(profiler, percentile):
    with pytest.raises(ValueError, match="within 0 to 100"):
        profiler.get_slow_queries(percentile)
