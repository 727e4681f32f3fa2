"""A batch as a blob: what comes back, what is refused, what damage is noticed."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.store.encoding import encode
from athena_tuning.store.segment import Segment, records_of
from athena_tuning.store.text_policy import TextPolicy, text_id
from tests.support.examples import examples

Recalls = Callable[..., list[QueryMetrics]]

NAMES = st.text(max_size=8)
DURATIONS = st.integers(0, 10**13).map(lambda ns: ns / 1_000_000)
TASKS = st.builds(
    LayerTask,
    st.sampled_from(["graph", "semantic", "épisodique"]),
    DURATIONS,
    DURATIONS,
    DURATIONS,
    st.integers(0, 2**40),
    st.sampled_from(TaskOutcome),
    st.integers(0, 10**6),
)
RECORDS = st.builds(
    QueryMetrics,
    st.one_of(st.integers(0, 2**70).map(lambda n: f"w-{n}"), NAMES),
    NAMES,
    NAMES,
    st.integers(1, 4 * 10**15).map(lambda us: us / 1_000_000),
    st.none() | DURATIONS,
    st.none() | DURATIONS,
    st.none() | st.booleans(),
    st.none() | st.integers(0, 10**6),
    st.lists(st.sampled_from(["graph", "semantic", "other"]), max_size=3),
    st.dictionaries(st.sampled_from(["graph", "semantic", "other"]), DURATIONS, max_size=3),
    st.none() | st.booleans(),
    error=st.none() | st.text(min_size=1, max_size=8),
    parallel_execution=st.booleans(),
    concurrency_level=st.integers(0, 2**40),
    accuracy_score=st.floats(0, 1),
    user_satisfaction=st.none() | st.floats(0, 1),
    tasks=st.lists(TASKS, max_size=4).map(tuple),
    partial=st.booleans(),
    config_version=st.integers(0, 2**40),
    source=st.sampled_from(["live", "sample", "imported"]),
)


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=8))
def test_any_batch_comes_back_as_it_was(batch: list[QueryMetrics]) -> None:
    encoded = encode(batch)
    assert (encoded.records, encoded.refused) == (len(batch), 0)
    assert records_of(Segment(encoded.data), encoded.texts) == batch
    assert encoded.oldest == min(m.timestamp for m in batch)
    assert encoded.newest == max(m.timestamp for m in batch)


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=6), st.integers(0, 11))
def test_the_newer_rows_of_a_segment_are_the_newer_records(batch: list[QueryMetrics], place: int) -> None:
    since = batch[place % len(batch)].timestamp
    encoded = encode(batch)
    rows = records_of(Segment(encoded.data).since(since), encoded.texts)
    assert rows == [m for m in batch if m.timestamp >= since]


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=4), st.data())
def test_a_segment_cut_short_is_noticed(batch: list[QueryMetrics], data: st.DataObject) -> None:
    blob = encode(batch).data
    end = data.draw(st.integers(0, len(blob) - 1))
    with pytest.raises(ValueError, match=r"cut short|damaged"):
        Segment(blob[:end])


def test_a_segment_of_another_version_is_refused(recalls: Recalls) -> None:
    blob = encode(recalls(3)).data
    with pytest.raises(ValueError, match="version 9"):
        Segment(b"\x09" + blob[1:])


def test_unknown_never_becomes_zero(recalls: Recalls) -> None:
    known, *_ = recalls(1)
    unknown = known._replace(
        latency_ms=None, memory_mb=None, cache_hit=None, result_count=None, success=None, error=None
    )
    mixed = [known, unknown, known._replace(latency_ms=math.nan)]
    back = records_of(Segment(encode(mixed).data), {text_id(known.query_text): known.query_text})
    assert back[1] == unknown
    assert back[2].latency_ms is None
    assert back[0] == known


def test_durations_keep_their_nanoseconds(recalls: Recalls) -> None:
    one = recalls(1)[0]._replace(latency_ms=1234.567891234)
    back = records_of(Segment(encode([one]).data), {})[0]
    assert back.latency_ms == 1234.567891


@pytest.mark.parametrize(
    "odd",
    [
        {"timestamp": math.nan},
        {"timestamp": 1e300},
        {"latency_ms": "slow"},
        {"query_text": None},
        {"query_id": 7},
        {"cache_hit": "yes"},
        {"layers_queried": None},
        {"layer_latencies": [("graph", 1.0)]},
        {"tasks": (("graph", 1.0),)},
        {"concurrency_level": 1.5},
        {"config_version": None},
        {"config_version": 2**80},
        {"error": 5},
    ],
    ids=str,
)
def test_an_odd_record_is_left_out_counted_and_logged(
    recalls: Recalls, odd: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    good = recalls(4)
    encoded = encode([*good[:2], good[0]._replace(**odd), *good[2:]])  # type: ignore[arg-type]
    assert (encoded.records, encoded.refused) == (4, 1)
    assert records_of(Segment(encoded.data), encoded.texts) == good
    assert "cannot be stored" in caplog.text


def test_a_batch_of_nothing_but_odd_records_is_empty() -> None:
    encoded = encode(["no record"])  # type: ignore[list-item]
    assert (encoded.records, encoded.refused, encoded.data) == (0, 1, b"")


def test_a_text_is_given_out_once_however_often_it_was_asked(recalls: Recalls) -> None:
    batch = [m._replace(query_text="again?") for m in recalls(50)]
    assert encode(batch).texts == {text_id("again?"): "again?"}
    assert encode(batch, TextPolicy.HASH).texts == {}


def test_a_record_takes_few_bytes(recalls: Recalls) -> None:
    assert len(encode(recalls(1000)).data) / 1000 <= 60
    assert len(encode(recalls(100)).data) / 100 <= 60
