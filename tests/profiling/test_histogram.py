"""The histogram: its buckets, its errors, merging, its bytes."""

from __future__ import annotations

import math
import pickle
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_tuning.profiling.histogram import (
    BUCKETS,
    SUB_BUCKETS,
    LatencyHistogram,
    bounds_of_one,
    bucket_bounds,
    bucket_of,
    bucket_of_one,
    exact,
    exact_sum,
)
from tests.support.examples import examples

WIDTH = 1 / SUB_BUCKETS
FIVE = (0.5, 0.9, 0.95, 0.99, 0.999)

latencies = st.floats(0, 4e9)
samples = st.lists(latencies, max_size=60)


def histogram_of(values) -> LatencyHistogram:
    histogram = LatencyHistogram()
    histogram.add_many(list(values))
    return histogram


@given(ms=latencies)
def test_a_latency_lies_within_its_bucket(ms):
    bucket = bucket_of_one(ms)
    low, high = bounds_of_one(bucket)
    assert 0 <= bucket < BUCKETS
    assert low <= ms < high
    assert high - low <= (WIDTH * low if bucket else 2.0**-20)


@given(values=st.lists(st.floats(0, 1e300), min_size=1, max_size=50))
def test_one_by_one_and_in_bulk_choose_the_same_bucket_and_sum(values):
    assert bucket_of(np.array(values)).tolist() == [bucket_of_one(ms) for ms in values]
    known = [ms for ms in values if ms < 4e9]
    assert exact_sum(np.array(known)) == sum(map(exact, known))


def test_buckets_cover_all_latencies_without_a_gap_and_in_order():
    low, high = bucket_bounds(np.arange(BUCKETS))
    assert low[0] == 0.0
    assert np.array_equal(low[1:], high[:-1])
    assert (high > low).all()
    each = [bounds_of_one(bucket) for bucket in range(BUCKETS)]
    assert each == list(zip(low.tolist(), high.tolist(), strict=True))
    assert high[-1] > 50 * 86_400_000


def test_what_is_too_large_shares_the_last_bucket():
    assert bucket_of_one(1e300) == bucket_of_one(2.0**33) == BUCKETS - 1


@settings(max_examples=examples(200))
@given(values=st.lists(latencies, min_size=1, max_size=300), q=st.floats(0, 1))
def test_a_quantile_is_off_by_a_bucket_at_most(values, q):
    expected = sorted(values)[min(int(q * len(values)), len(values) - 1)]
    quantiles = histogram_of(values).quantile(q)
    assert quantiles == pytest.approx(expected, rel=WIDTH, abs=2.0**-20)


@given(a=samples, b=samples)
def test_merging_is_commutative_and_is_the_histogram_of_all(a, b):
    one, other = histogram_of(a), histogram_of(b)
    assert one.merge(other) == other.merge(one) == histogram_of(a + b)
    assert (one, other) == (histogram_of(a), histogram_of(b)), "merging left its sources as they were"


@given(a=samples, b=samples, c=samples)
def test_merging_is_associative_to_the_last_bit(a, b, c):
    a, b, c = map(histogram_of, (a, b, c))
    left, right = a.merge(b).merge(c), a.merge(b.merge(c))
    assert left == right == LatencyHistogram.merged((c, a, b))
    assert left.to_bytes() == right.to_bytes()
    assert left.sum == right.sum


@given(values=samples, extra=samples, seed=st.integers(0, 99))
def test_what_was_added_and_taken_away_leaves_no_trace(values, extra, seed):
    histogram = histogram_of(values)
    for ms in extra:
        histogram.add(ms)
    for ms in random.Random(seed).sample(extra, len(extra)):
        histogram.add(ms, -1)
    assert histogram == histogram_of(values)
    assert histogram.sum == histogram_of(values).sum


@given(values=samples)
def test_bytes_come_back_as_the_same_histogram(values):
    histogram = histogram_of(values)
    assert LatencyHistogram.from_bytes(histogram.to_bytes()) == histogram
    assert pickle.loads(pickle.dumps(histogram)) == histogram
    twice = histogram_of(values)
    twice.add_bytes(histogram.to_bytes())
    assert twice == histogram.merge(histogram)


@pytest.mark.parametrize("n", [1, 255, 256, 65_536, 2**32])
def test_counts_of_any_size_come_back(n):
    histogram = LatencyHistogram()
    histogram.add(5.0, n)
    histogram.add(7000.0)
    back = LatencyHistogram.from_bytes(histogram.to_bytes())
    assert (back, back.count) == (histogram, n + 1)


def test_bytes_begin_with_the_version_and_another_version_is_refused():
    blob = histogram_of([1.0, 2.0]).to_bytes()
    assert blob[0] == 1
    with pytest.raises(ValueError, match="version 2; this program reads version 1"):
        LatencyHistogram.from_bytes(b"\x02" + blob[1:])


@given(values=st.lists(latencies, min_size=1, max_size=30), data=st.data())
def test_bytes_cut_short_or_too_long_are_refused_and_nothing_is_added(values, data):
    blob = histogram_of(values).to_bytes()
    into = histogram_of([3.0])
    for damaged in (blob[: data.draw(st.integers(0, len(blob) - 1))], blob + b"\0"):
        with pytest.raises(ValueError, match=r"histogram (has|of)"):
            into.add_bytes(damaged)
    assert into == histogram_of([3.0])


@given(blob=st.binary(max_size=80).map(lambda tail: b"\x01\x01\x01" + tail))
def test_any_bytes_are_a_histogram_or_refused(blob):
    try:
        histogram = LatencyHistogram.from_bytes(blob)
    except ValueError:
        return
    histogram.quantiles(FIVE)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf, -math.inf])
def test_an_impossible_latency_is_refused_and_nothing_is_counted(bad):
    histogram = histogram_of([1.0])
    with pytest.raises(ValueError, match="finite number of ms"):
        histogram.add(bad)
    with pytest.raises(ValueError, match="finite number of ms"):
        histogram.add_many([2.0, bad])
    assert histogram == histogram_of([1.0])


def test_an_empty_histogram_knows_nothing():
    empty = LatencyHistogram()
    assert empty.count == empty.sum == 0
    assert math.isnan(empty.mean)
    assert np.isnan(empty.quantiles(FIVE)).all()
    assert LatencyHistogram.from_bytes(empty.to_bytes()) == empty


@pytest.mark.parametrize("q", [-0.01, 1.01, math.nan])
def test_a_quantile_beyond_0_to_1_is_refused(q):
    with pytest.raises(ValueError, match="within 0 to 1"):
        histogram_of([1.0]).quantile(q)


DATA = {
    "lognormal": lambda rng: rng.lognormal(3, 1, 40_000),
    "bimodal": lambda rng: np.concatenate([rng.normal(5, 0.5, 30_000), rng.normal(400, 20, 10_000)]).clip(
        0.1
    ),
    "constant": lambda rng: np.full(40_000, 12.3),
    "a gap at p99": lambda rng: np.concatenate([np.full(39_601, 10.0), np.full(399, 5000.0)]),
}


@pytest.mark.parametrize("name", DATA)
def test_a_merged_percentile_is_within_the_buckets_error_of_the_exact_one(name):
    values = DATA[name](np.random.default_rng(11))
    parts = [histogram_of(part) for part in np.array_split(np.random.default_rng(1).permutation(values), 8)]
    ordered = np.sort(values)
    exact_ones = np.array([ordered[int(q * len(ordered))] for q in FIVE])
    quantiles = LatencyHistogram.merged(parts).quantiles(FIVE)
    assert np.abs(quantiles / exact_ones - 1).max() <= WIDTH
    assert LatencyHistogram.merged(parts).mean == pytest.approx(values.mean())


def test_percentiles_of_parts_must_not_be_averaged():
    slow, fast = histogram_of(np.full(100, 1000.0)), histogram_of(np.full(9900, 1.0))
    merged = slow.merge(fast).quantile(0.5)
    assert merged == pytest.approx(1.0, rel=WIDTH)
    assert abs((slow.quantile(0.5) + fast.quantile(0.5)) / 2 - merged) > 400


def test_a_minutes_histogram_is_small():
    histogram = histogram_of(np.random.default_rng(5).lognormal(3, 1, 5_000))
    assert len(histogram.to_bytes()) < 1_500
