"""Timeouts: the censored fit, the rule, and that it does not ratchet."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_tuning.model import TuningBounds, TuningStrategy
from athena_tuning.tuning.estimation.censored_lognormal import CensoredTimes, LogNormal
from athena_tuning.tuning.policies.timeouts import Needed, needed, tail_of, timeouts
from athena_tuning.tuning.settings import TIMEOUTS
from tests.support.examples import examples

ORDER = (TuningStrategy.LATENCY, TuningStrategy.BALANCED, TuningStrategy.COST, TuningStrategy.THROUGHPUT)
TRUE_P99 = 16_900.0
SIGMA = 0.917
SLOW = LogNormal(math.log(TRUE_P99) - SIGMA * 2.3263, SIGMA)


def cut(values: np.ndarray, at: float) -> CensoredTimes:
    return CensoredTimes(values[values <= at], np.full(int((values > at).sum()), at))


def drawn(law: LogNormal, n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(law.mu, law.sigma, n)


def log_likelihood(values: np.ndarray, at: float, mu: float, sigma: float) -> float:
    """Return that of a lognormal law: the density of what ended, the tail beyond ``at`` for the others."""
    z = (np.log(values[values <= at]) - mu) / sigma
    density = float(np.sum(-z * z / 2 - math.log(sigma)))
    if (late := int(np.sum(values > at))) == 0:
        return density
    return density + late * math.log(math.erfc((math.log(at) - mu) / sigma / math.sqrt(2)) / 2)


@pytest.mark.parametrize("at", [2_000.0, 5_000.0, 20_000.0, math.inf])
def test_the_fit_is_the_top_of_the_censored_likelihood(at: float) -> None:
    values = drawn(SLOW, 1000, 3)
    fitted = cut(values, at).fit()
    assert fitted is not None
    top = log_likelihood(values, at, fitted.mu, fitted.sigma)
    for mu, sigma in ((0.01, 1.0), (-0.01, 1.0), (0.0, 1.01), (0.0, 0.99), (0.007, 1.007), (-0.007, 0.993)):
        assert log_likelihood(values, at, fitted.mu + mu, fitted.sigma * sigma) < top


def test_the_fit_of_tasks_that_all_ended_has_the_mean_and_spread_of_their_logs() -> None:
    values = drawn(SLOW, 1000, 3)
    fitted = CensoredTimes(values).fit()
    assert fitted is not None
    assert fitted.mu == pytest.approx(np.log(values).mean(), abs=1e-9)
    assert fitted.sigma == pytest.approx(np.log(values).std(), rel=1e-9)


def test_tasks_cut_off_at_five_seconds_still_tell_a_p99_of_seventeen() -> None:
    found = [cut(drawn(SLOW, 2000, seed), 5000.0).fit() for seed in range(20)]
    p99 = np.array([law.quantile(0.99) for law in found if law])
    assert len(p99) == 20
    assert float(np.median(p99)) == pytest.approx(TRUE_P99, rel=0.1)
    naive = [CensoredTimes(np.minimum(drawn(SLOW, 2000, seed), 5000.0)).fit() for seed in range(20)]
    assert max(law.quantile(0.99) for law in naive if law) < 0.75 * TRUE_P99


def test_a_timeout_does_not_ratchet() -> None:
    """Each round sees what the timeout of the round before cut off; the first answer is the last one."""
    rng = np.random.default_rng(1)
    bounds = TuningBounds(min_timeout_seconds=5.0, max_timeout_seconds=120.0)
    at, path = 5.0, []
    for seed in range(6):
        need = needed(cut(drawn(SLOW, 2000, seed), at * 1000), 0.01, rng)
        at = timeouts({"graph": need}, TuningStrategy.LATENCY, bounds)[0].value
        path.append(at)
    assert min(path) > TRUE_P99 / 1000 * TIMEOUTS.margin * 0.85
    assert max(path) / min(path) < 1.4


def test_the_upper_bound_mostly_covers_the_truth_and_narrows_with_evidence() -> None:
    rng = np.random.default_rng(5)
    few, many = ([cut(drawn(SLOW, n, s), 5000.0).upper(0.99, rng) for s in range(30)] for n in (300, 4000))
    assert sum(u >= TRUE_P99 for u in few) >= 21
    assert np.median(few) > np.median(many)
    assert np.median(many) < 1.2 * TRUE_P99


def test_a_second_hump_that_the_law_does_not_know_counts() -> None:
    fast, slow = np.full(980, 10.0) + np.arange(980) / 1000, np.full(20, 4000.0)
    need = needed(CensoredTimes(np.concatenate((fast, slow))), 0.01, np.random.default_rng(0))
    assert need.seconds == pytest.approx(4.0)


def test_where_nearly_nothing_ended_in_time_the_upper_bound_decides() -> None:
    need = needed(CensoredTimes(np.full(10, 100.0), np.full(500, 5000.0)), 0.01, np.random.default_rng(0))
    reason, _ = timeouts({"graph": need}, TuningStrategy.LATENCY, TuningBounds())
    assert (reason.value, reason.bound) == (30.0, "at most 30 s")


def test_where_the_least_timeout_is_far_above_no_bound_is_drawn() -> None:
    times = CensoredTimes(drawn(LogNormal(3.0, 0.5), 500, 1))  # 20 ms; 0.5 % take over 73 ms
    law = times.fit()
    assert law is not None
    far, near = (needed(times, 0.005, np.random.default_rng(0), least).seconds * 1000 for least in (5.0, 0.5))
    assert far == pytest.approx(max(law.quantile(0.995), times.seen(0.995)))
    assert near > law.quantile(0.995)


def test_the_tail_of_a_layer_keeps_whole_recalls_whole() -> None:
    for k in (1, 2, 5):
        assert 1 - (1 - tail_of(k)) ** k == pytest.approx(TIMEOUTS.lost)


def test_times_alike_or_cut_off_far_out_are_no_trouble() -> None:
    assert CensoredTimes(np.full(100, 7.0)).fit().quantile(0.99) == pytest.approx(7.0, rel=1e-3)
    law = CensoredTimes(10 + np.arange(100) / 1e4, np.full(3, 1e6)).fit()
    assert law is not None
    assert math.isfinite(law.quantile(0.999))


def need_of(seconds: float) -> Needed:
    return Needed(seconds, 0.005, 1000, 0)


@settings(max_examples=examples(200))
@given(
    st.dictionaries(st.sampled_from("abcde"), st.floats(1e-4, 300.0), min_size=1),
    st.floats(0.01, 20.0),
    st.floats(1.0, 10.0),
)
def test_timeouts_keep_their_bounds_and_the_order_of_the_strategies(
    seconds: dict[str, float], low: float, room: float
) -> None:
    bounds = TuningBounds(min_timeout_seconds=low, max_timeout_seconds=low * room)
    layers = {name: need_of(s) for name, s in seconds.items()}
    found = []
    for strategy in ORDER:
        longest, own = timeouts(layers, strategy, bounds)
        values = {name: own.value.get(name, longest.value) for name in layers}
        assert all(low - 1e-3 <= v <= low * room + 1e-3 for v in values.values())
        assert longest.value == max(values.values())
        found.append(values)
    for name in layers:
        latency, balanced, cost, throughput = (values[name] for values in found)
        assert latency <= balanced == cost <= throughput
        if throughput < low * room - 1e-3:
            assert latency < balanced < throughput or low < 0.02


def test_the_reason_says_when_the_bound_decided() -> None:
    bounds = TuningBounds()
    longest, own = timeouts({"semantic": need_of(0.02), "graph": need_of(9.0)}, ORDER[0], bounds)
    assert (longest.value, own.value, longest.bound) == (11.25, {"semantic": 5.0}, "at least 5 s")
    assert timeouts({"graph": need_of(9.0)}, ORDER[0], bounds)[0].bound is None
    assert timeouts({"graph": need_of(0.1)}, ORDER[1], bounds)[0].value == 6.25


def settled(draw: Callable[[np.random.Generator, int], np.ndarray], rounds: int = 5) -> tuple[float, Needed]:
    """Set a layer's timeout from what its last timeout let through; return it in ms, and the last need."""
    rng, at = np.random.default_rng(5), 10_000.0
    for _ in range(rounds):
        need = needed(cut(draw(rng, 2000), at), tail_of(2), rng)
        at = 1000 * timeouts({"graph": need}, TuningStrategy.LATENCY, TuningBounds())[0].value
    return at, need


@pytest.mark.parametrize("scale_ms", [10.0, 100.0, 400.0])
def test_a_pareto_tail_loses_no_more_tasks_than_promised(scale_ms: float) -> None:
    at, need = settled(lambda rng, n: scale_ms * (1 + rng.pareto(1.5, n)))
    assert (scale_ms / at) ** 1.5 <= TIMEOUTS.lost
    if scale_ms > 300:
        assert need.disproved


@pytest.mark.parametrize("hang_ms", [8_000.0, 20_000.0])
def test_calls_that_hang_and_then_come_are_waited_for(hang_ms: float) -> None:
    def draw(rng: np.random.Generator, n: int) -> np.ndarray:
        return np.where(rng.random(n) < 0.02, hang_ms * rng.uniform(0.9, 1.0, n), rng.lognormal(3.0, 0.4, n))

    at, _ = settled(draw)
    assert at > hang_ms


def test_that_a_fit_was_disproved_is_said_and_no_timeout_gets_shorter() -> None:
    rng = np.random.default_rng(2)
    hung = np.where(rng.random(2000) < 0.02, 1e9, rng.lognormal(3.0, 0.4, 2000))
    need = needed(cut(hung, 12_000.0), 0.0025, rng)
    assert need.disproved
    reason, _ = timeouts({"graph": need}, TuningStrategy.LATENCY, TuningBounds())
    assert reason.value >= 12.0
    assert "more of graph were given up than a lognormal law allows" in reason.rule


def test_a_law_that_is_true_is_seldom_disproved() -> None:
    found = [(times, times.fit()) for times in (cut(drawn(SLOW, 2000, seed), 5000.0) for seed in range(60))]
    assert sum(law is not None and times.disproves(law) for times, law in found) <= 1
