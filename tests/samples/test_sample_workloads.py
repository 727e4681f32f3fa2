"""The recorded workloads: really run, each showing what it says it teaches."""

from __future__ import annotations

import time

import numpy as np
import pytest

from athena_tuning import locations
from athena_tuning.load.patterns import DAY_SECONDS, spacing
from athena_tuning.load.record_samples import recipes, record, write
from athena_tuning.recall import MemoryManager
from athena_tuning.samples.sample_memory import generate
from athena_tuning.samples.sample_workloads import list_samples, load_records, sample_memory

NAMES = {"fast", "slow", "mixed", "cache-heavy", "bursty", "day"}


def latencies(name):
    return np.array([m.latency_ms for m in load_records(name)])


def test_every_recipe_is_recorded_and_described():
    samples = {sample.name: sample for sample in list_samples()}
    assert set(samples) == NAMES == {recipe["name"] for recipe in recipes()}
    for recipe in recipes():
        sample = samples[recipe["name"]]
        assert (sample.title, sample.teaches) == (recipe["title"], recipe["teaches"])
        assert recipe["load"].items() <= sample.made["load"].items()


@pytest.mark.parametrize("name", sorted(NAMES))
def test_records_are_whole_and_in_the_order_of_time(name):
    records = load_records(name)
    assert len(records) == next(s.recalls for s in list_samples() if s.name == name) > 1000
    times = [m.timestamp for m in records]
    assert times == sorted(times)
    assert len({m.query_id for m in records}) == len(records)
    assert {m.source for m in records} == {"sample"}
    assert {m.config_version for m in records} == {0}
    assert all(m.latency_ms > 0 for m in records)


def test_all_samples_together_are_small():
    files = [sample_memory(), *(locations.sample_data() / "workloads").iterdir()]
    assert sum(file.stat().st_size for file in files) < 4_000_000


def test_loading_moves_the_times_and_nothing_else():
    recorded, moved = load_records("fast"), load_records("fast", ending_at=2e9)
    assert moved[-1].timestamp == pytest.approx(2e9)
    gaps = np.diff([m.timestamp for m in recorded])
    assert np.diff([m.timestamp for m in moved]) == pytest.approx(gaps, abs=1e-5)
    assert [m.latency_ms for m in moved] == [m.latency_ms for m in recorded]


def test_a_recorded_day_keeps_its_hours_wherever_it_ends():
    for ending_at in (1.9e9, 1.9e9 + 40_000):
        records = load_records("day", ending_at=ending_at)
        times = np.array([m.timestamp for m in records])
        assert ending_at - DAY_SECONDS <= times[0]
        assert times[-1] <= ending_at
        hours = np.bincount([time.localtime(at).tm_hour for at in times], minlength=24)
        assert int(hours.argmax()) in {11, 12, 13}
        assert hours[3] < hours.max() / 2


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"no sample workload .*; there are .*bursty"):
        load_records("../secret")


def test_fast_is_fast_and_slow_is_slow_with_partial_answers():
    assert np.percentile(latencies("fast"), 95) < 100
    assert np.percentile(latencies("slow"), 99) > 1000
    assert np.percentile(latencies("slow"), 99) > 3 * np.percentile(latencies("slow"), 50)
    partial = [m.partial for m in load_records("slow")]
    assert 0.001 < np.mean(partial) < 0.2


def test_mixed_has_slower_types_and_errors_that_fail_no_recall():
    records = load_records("mixed")
    typical = {
        kind: np.median([m.latency_ms for m in records if m.query_type == kind and not m.cache_hit])
        for kind in ("temporal", "relational", "prospective")
    }
    assert typical["prospective"] > typical["relational"] > 2 * typical["temporal"]
    assert any(m.partial for m in records)
    assert all(m.success for m in records)


def test_cache_heavy_is_answered_from_the_cache_mostly():
    records = load_records("cache-heavy")
    hits = [m.latency_ms for m in records if m.cache_hit]
    misses = [m.latency_ms for m in records if not m.cache_hit]
    assert len(hits) > 2 * len(misses)
    assert np.median(misses) > 10 * np.median(hits)


def test_bursty_waits_for_slots_in_bursts_and_not_at_other_times():
    records = load_records("bursty")
    waits = np.array([task.queue_ms for m in records for task in m.tasks])
    assert np.median(waits) < 5
    assert np.percentile(waits, 99) > 50
    begin = records[0].timestamp
    measured = spacing([m.timestamp - begin for m in records], records[-1].timestamp - begin, 8.0)
    assert measured.cv > 1.3
    assert measured.dispersion > 40


def test_a_recipe_really_runs_and_what_it_writes_reads_back(tmp_path):
    path = tmp_path / "memory.db"
    with MemoryManager(path) as manager:
        manager.remember_many(list(generate())[:200])
    recipe = {
        "name": "tiny",
        "title": "Tiny",
        "teaches": "nothing",
        "load": {"rate_per_s": 60.0, "duration_s": 0.5, "seed": 3},
        "waits_ms": {"semantic": 5.0},
        "config": {"max_concurrent": 3},
    }
    told, records = record(recipe, path)
    assert told["config"]["max_concurrent"] == 3
    assert len(records) == told["recalls"] > 10
    asked = [task for m in records for task in m.tasks if task.layer == "semantic"]
    assert asked
    assert min(task.service_ms for task in asked) > 1
    write(tmp_path / "out", told, records)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["tiny.json", "tiny.jsonl.gz"]
