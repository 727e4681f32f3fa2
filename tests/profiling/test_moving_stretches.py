"""What was counted of a stretch of time moves on with it: nothing is counted again, all figures are right."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from athena_tuning.model import LayerTask
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.columns.selection import Selection
from athena_tuning.profiling.questions.statistics import Totals

HOUR = 3600.0


@pytest.fixture
def filled(recall, clock) -> PerformanceProfiler:
    """Two hours of recalls, which arrived in another order than they began."""
    rng, profiler = Random(5), PerformanceProfiler(clock=clock)
    for i in range(7200):
        at = clock.now - 2 * HOUR + i + rng.uniform(-20, 20)
        task = LayerTask("episodic", 0.0, rng.expovariate(0.1), 5.0, rng.randint(1, 4))
        kind = rng.choice(("temporal", "semantic"))
        profiler.record_query(
            recall(
                rng.lognormvariate(3, 1), timestamp=min(at, clock.now), query_type=kind,
                layer_latencies={"episodic": 5.0}, tasks=(task,),
            )
        )  # fmt: skip
    return profiler


READS = {
    "summary": lambda p, **of: p.summary(**of),
    "percentiles": lambda p, **of: p.percentiles((0.5, 0.99, 0.999), **of).tolist(),
    "levels": lambda p, **of: p.concurrency_report(**of),
    "waits": lambda p, **of: p.waits_over_time(60.0, **of),
    "cache": lambda p, **of: p.cache_report(**of),
    "sources": lambda p, **of: p.sources(**of),
    "together": lambda p, **of: [
        part if isinstance(part, list) else part.tolist() for part in p.co_occurrence(**of)
    ],
    "heatmap": lambda p, **of: p.hour_weekday("UTC", **of).p99.tolist(),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("way", [7.0, -7.0])
def test_a_moved_stretch_has_the_figures_of_one_that_is_counted_anew(filled, recall, clock, read, way):
    start = clock.now - 1.5 * HOUR
    for step in range(12):
        task = LayerTask("episodic", 0.0, 3.0 * step, 5.0, 2)
        filled.record_query(recall(30.0 + step, timestamp=start + HOUR + step * way - 1, tasks=(task,)))
        at = {"start": start + step * way, "end": start + step * way + HOUR, "query_type": "temporal"}
        moved = READS[read](filled, **at)
        filled._summaries._kept.clear()
        assert repr(moved) == repr(READS[read](filled, **at))
        READS[read](filled, **at)


def test_a_stretch_that_moves_on_counts_only_what_comes_and_leaves(filled, clock, monkeypatch):
    counted: list[int] = []
    many = Totals.apply
    monkeypatch.setattr(
        Totals, "apply", lambda self, rows, sign: (counted.append(len(rows)), many(self, rows, sign))
    )
    start = clock.now - 1.5 * HOUR
    filled.summary(start=start, end=start + HOUR)
    assert sum(counted) > 3000
    counted.clear()
    for step in range(1, 6):
        filled.summary(start=start + 2.0 * step, end=start + 2.0 * step + HOUR)
    assert 0 < sum(counted) < 60


def test_two_stretches_far_apart_are_both_kept(filled, clock, monkeypatch):
    now, before = ({"start": clock.now - n * HOUR, "end": clock.now - (n - 1) * HOUR} for n in (1, 2))
    for stretch in (now, before):
        filled.summary(**stretch)
    monkeypatch.setattr(Totals, "apply", lambda *_: pytest.fail("it was counted again"))
    assert filled.summary(**now).count + filled.summary(**before).count > 7000


@pytest.mark.parametrize(
    "other",
    [
        Selection(2, 63, "temporal"),
        Selection(2, 62, "semantic"),
        Selection(2, 62, "temporal", "graph"),
        Selection(20, 80, "temporal"),
        Selection(2, None, "temporal"),
    ],
)
def test_another_length_another_filter_or_a_far_moment_is_another_question(other):
    assert Selection(0, 60, "temporal").moves_to(Selection(2, 62, "temporal"))
    assert not Selection(0, 60, "temporal").moves_to(other)


def test_waits_over_time_are_those_of_the_layer_tasks_of_each_bucket(filled, clock):
    chosen = {"start": clock.now - HOUR, "end": clock.now, "query_type": "temporal"}
    waits, tasks = filled.waits_over_time(600.0, **chosen), filled.tasks(**chosen)
    assert len(waits.time) in {6, 7}
    for start, p50, p99 in zip(*waits, strict=True):
        own = np.sort(tasks.queue_ms[(tasks.time >= start) & (tasks.time < start + 600.0)])
        exact = [own[len(own) // 2], own[int(0.99 * len(own))]]
        assert [p50, p99] == pytest.approx(exact, rel=0.016)
    assert filled.waits_over_time(600.0, query_type="nobody asked") == ([], [], [])
