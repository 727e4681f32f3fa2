"""A fast forward has the arrivals that were asked for, the measured costs, and says it is simulated."""

from __future__ import annotations

import time

import numpy as np
import pytest

from athena_tuning.load.fast_forward import fast_forward, mix_of, store_forward, usual_evidence
from athena_tuning.load.spec import LoadSpec
from athena_tuning.model import LayerTask, QueryMetrics, TuningConfig
from athena_tuning.model.source import kind_of
from athena_tuning.samples import sample_workloads
from athena_tuning.store import open_store

END = 1.9e9


def evidence(n=300, ms=40.0):
    """Return recalls of two types in turn; temporal ones take twice as long."""
    return [_record(i, "temporal" if i % 2 else "factual", ms * (1 + i % 2)) for i in range(n)]


def _record(i, kind, ms):
    task = LayerTask("semantic", 0.0, 0.0, ms, 1)
    layers = {"semantic": ms}
    return QueryMetrics(
        f"q{i}", f"question {i}", kind, 1e9 + i, ms, None, False, 1, list(layers), layers, True, tasks=(task,)
    )


SPEC = LoadSpec(rate_per_s=2.0, duration_s=3600.0, mix={"factual": 1.0, "temporal": 1.0}, repetition=0.0)


def test_everything_is_marked_as_simulated_and_lies_in_the_time_asked_for():
    records = list(fast_forward(evidence(), SPEC, ending_at=END))
    assert {m.source for m in records} == {"simulated"}
    assert len(records) == pytest.approx(7200, rel=0.05)
    times = [m.timestamp for m in records]
    assert min(times) >= END - 3600
    assert max(times) <= END
    assert times == sorted(times)
    assert len({m.query_id for m in records}) == len(records)


def test_recalls_cost_what_the_evidence_says_for_their_type():
    records = list(fast_forward(evidence(), SPEC, config=TuningConfig(max_concurrent=20), ending_at=END))
    missed = [m for m in records if not m.cache_hit]
    for kind, ms in (("factual", 40.0), ("temporal", 80.0)):
        assert np.median([m.latency_ms for m in missed if m.query_type == kind]) == pytest.approx(
            ms, rel=0.01
        )


def test_a_lower_limit_makes_recalls_wait():
    busy = LoadSpec(rate_per_s=30.0, duration_s=120.0, mix={"factual": 1.0, "temporal": 1.0}, repetition=0.0)
    p99 = [
        np.percentile([m.latency_ms for m in fast_forward(evidence(), busy, config=c, ending_at=END)], 99)
        for c in (TuningConfig(max_concurrent=2), TuningConfig(max_concurrent=20))
    ]
    assert p99[0] > 2 * p99[1]


def test_the_same_seed_is_the_same_run():
    first = list(fast_forward(evidence(), SPEC, ending_at=END))
    assert list(fast_forward(evidence(), SPEC, ending_at=END)) == first


@pytest.mark.parametrize("ending_at", [END, END + 30_000])
def test_a_day_has_its_peak_at_lunch_here(ending_at):
    day = LoadSpec("day", rate_per_s=0.1, duration_s=2 * 86400.0, mix={"factual": 1.0})
    hours = [time.localtime(m.timestamp).tm_hour for m in fast_forward(evidence(), day, ending_at=ending_at)]
    counts = np.bincount(hours, minlength=24)
    assert int(counts.argmax()) in {11, 12, 13}
    assert counts[3] < counts.max() / 1.8


def test_layer_times_alone_are_evidence_enough():
    bare = [m._replace(tasks=(), latency_ms=None, success=None) for m in evidence()]
    records = list(fast_forward(bare, SPEC, ending_at=END))
    assert {round(m.latency_ms) for m in records if not m.cache_hit} == {40, 80}
    assert mix_of(bare) == {"factual": 0.5, "temporal": 0.5}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (LoadSpec(duration_s=None), "duration"),
        (LoadSpec("replay"), "pattern"),
        (LoadSpec(clients=2), "open loop"),
        (LoadSpec(rate_per_s=1000, duration_s=5000), "1,000,000"),
        (LoadSpec(mix={"planning": 1.0}), "no layer times for planning"),
    ],
)
def test_what_cannot_be_forwarded_is_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        fast_forward(evidence(), spec, ending_at=END)


def test_what_is_stored_is_still_marked_as_simulated_and_two_runs_are_two_workers():
    with open_store("memory://") as store:
        for _ in range(2):
            made = fast_forward(evidence(), SPEC, ending_at=END)
            assert store_forward(made, store).records == pytest.approx(7200, rel=0.05)
        records = store.tail_metrics(limit=10**9).records
    assert {kind_of(m.source) for m in records} == {"simulated"}
    assert len({m.source for m in records}) == 2
    assert len(records) == pytest.approx(14_400, rel=0.05)


def test_progress_grows_to_the_whole():
    told = []
    list(fast_forward(evidence(), SPEC, ending_at=END, progress=told.append))
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_evidence_is_what_was_measured_live_and_a_sample_where_that_is_too_little():
    with open_store("memory://") as store:
        store.append_metrics("w", 1, [m._replace(source="simulated") for m in evidence()])
        assert usual_evidence(store) == sample_workloads.load_records("mixed")
        store.append_metrics("w", 2, evidence())
        assert [m.query_id for m in usual_evidence(store)] == [m.query_id for m in evidence()]
