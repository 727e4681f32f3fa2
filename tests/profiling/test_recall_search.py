"""A search finds what a look at every record finds, in the order asked for, and counts it by kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.questions.recall_search import BANDS_MS, Answer, RecallQuery
from athena_tuning.samples.sample_workloads import load_records

NOW = 1_790_000_000.0
BOTH = frozenset({Answer.PARTIAL, Answer.REFUSED})


def became(m: QueryMetrics) -> Answer:
    if m.refused:
        return Answer.REFUSED
    if m.cache_hit:
        return Answer.CACHED
    if m.partial:
        return Answer.PARTIAL
    return Answer.FAILED if m.success is False else Answer.FULL


@pytest.fixture(scope="module")
def recorded() -> PerformanceProfiler:
    """A recorded workload with some recalls that are partial, failed and refused."""
    profiler = PerformanceProfiler(clock=lambda: NOW)
    for i, m in enumerate(load_records("mixed", ending_at=NOW - 1)):
        changed = m
        if i % 17 == 0:
            changed = m._replace(partial=True)
        elif i % 23 == 0:
            changed = m._replace(success=False, error="down")
        elif i % 29 == 0:
            changed = m._replace(partial=True, success=False, latency_ms=None, cache_hit=False)
        profiler.record_query(changed._replace(config_version=i % 3))
    return profiler


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (RecallQuery(), lambda m: True),
        (RecallQuery("Incident OF"), lambda m: {"incident", "of"} <= set(_within(m, "incident", "of"))),
        (RecallQuery(answers=BOTH), lambda m: became(m) in BOTH),
        (RecallQuery(answers=frozenset({Answer.FAILED})), lambda m: became(m) is Answer.FAILED),
        (RecallQuery(least_ms=5.0, most_ms=20.0), lambda m: 5 <= (m.latency_ms or 0) < 20),
        (RecallQuery("no query says this"), lambda m: False),
    ],
)  # fmt: skip
def test_search_finds_what_a_look_at_every_record_finds(
    recorded: PerformanceProfiler, wanted: RecallQuery, fits: Callable[[QueryMetrics], bool]
) -> None:
    expected = [m for m in recorded.metrics if fits(m)]
    matches = recorded.search(wanted, limit=40)
    assert matches.count == len(expected)
    assert matches.searched == len(recorded.metrics)
    slowest = sorted((m.latency_ms or -1.0 for m in expected), reverse=True)[:40]
    assert [m.latency_ms or -1.0 for m in matches.records] == slowest
    assert all(fits(m) for m in matches.records)
    assert sum(matches.by_type.values()) == sum(matches.by_version.values()) == len(expected)


def _within(m: QueryMetrics, *words: str) -> list[str]:
    return [word for word in words if word in m.query_text.casefold()]


def test_search_by_newest_gives_the_newest_first_and_a_filter_narrows_it(
    recorded: PerformanceProfiler,
) -> None:
    matches = recorded.search(RecallQuery(), order="newest", limit=5, query_type="temporal", config_version=1)
    expected = [m for m in recorded.metrics if m.query_type == "temporal" and m.config_version == 1]
    assert [m.timestamp for m in matches.records] == sorted((m.timestamp for m in expected), reverse=True)[:5]
    assert matches.by_type == {"temporal": len(expected)}
    assert matches.by_version == {1: len(expected)}


def test_search_counts_answers_beside_those_asked_for_and_bands_beside_the_one_asked_for(
    recorded: PerformanceProfiler,
) -> None:
    matches = recorded.search(RecallQuery(answers=frozenset({Answer.PARTIAL}), least_ms=10.0))
    everything = [became(m) for m in recorded.metrics]
    assert matches.by_answer == {answer: everything.count(answer) for answer in Answer}
    partial = [m for m in recorded.metrics if became(m) is Answer.PARTIAL and m.latency_ms is not None]
    assert sum(matches.bands) == sum(BANDS_MS[0] <= (m.latency_ms or 0) < BANDS_MS[-1] for m in partial)


def test_a_recall_is_found_by_its_id_and_what_took_longer_than_a_promise_is_counted(
    recorded: PerformanceProfiler,
) -> None:
    wanted = recorded.metrics[100]
    assert recorded.find(wanted.query_id) == wanted
    assert recorded.find("no such recall") is None
    assert recorded.slower_than(20.0) == sum((m.latency_ms or 0.0) > 20 for m in recorded.metrics)


def test_search_finds_what_one_manager_served_in_blocks_that_grow_and_that_are_sealed() -> None:
    profiler = PerformanceProfiler(clock=lambda: NOW, max_metrics=40_000)
    recorded = load_records("mixed", ending_at=NOW - 1)
    many = [
        m._replace(query_id=f"{'node-1' if i % 3 else 'node-10'}-{i}", timestamp=NOW - 1 - i % 3600)
        for i, m in enumerate(recorded * 6)
    ]
    for m in many:
        profiler.record_query(m)
    own = [m for m in many if m.query_id.startswith("node-1-")]
    for manager, count in (("node-1", len(own)), ("node-10", len(many) - len(own)), ("node", 0)):
        found = profiler.search(RecallQuery(manager=manager), limit=5)
        assert found.count == sum(found.by_source.values()) == count
        assert all(m.query_id.startswith(f"{manager}-") for m in found.records)
    profiler.record_query(many[1]._replace(query_id="node-1-new"))
    assert profiler.search(RecallQuery(manager="node-1"), limit=5).count == len(own) + 1
