from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_tuning.model import TuningBounds, TuningConfig, TuningStrategy
from athena_tuning.tuning.estimation.contention import ContentionLaw
from athena_tuning.tuning.settings import SEARCH
from athena_tuning.tuning.simulation.objective import objective
from athena_tuning.tuning.simulation.search import (
    SearchResult,
    Simulations,
    candidates,
    other_way,
    search,
    slowdowns,
)
from athena_tuning.tuning.slices import run_through
from athena_tuning.tuning.trace import Arrival, Trace

LATENCY, THROUGHPUT = TuningStrategy.LATENCY, TuningStrategy.THROUGHPUT
FREE = {"semantic": ContentionLaw(known=(1, 2, 3, 4, 5, 8, 13))}


def trace(recalls: int, rate: float, seed: int = 1) -> Trace:
    rng, now, arrivals = random.Random(seed), 0.0, []
    for _ in range(recalls):
        now += rng.expovariate(rate)
        arrivals.append(Arrival(now, "meta", (("semantic", 0.01 * rng.lognormvariate(0, 0.4)),)))
    return Trace(tuple(arrivals))


def found(
    asked: Trace, laws: Mapping[str, ContentionLaw], limit: int, strategy: TuningStrategy, **more: object
) -> SearchResult:
    incumbent = TuningConfig(max_concurrent=limit, strategy=strategy)
    grid = candidates(incumbent, TuningBounds(), 20)
    return run_through(search(Simulations([asked], laws, [laws]), incumbent, grid, strategy, **more))  # type: ignore[arg-type]


def test_a_limit_that_queues_is_raised_as_far_as_it_helps() -> None:
    best = found(trace(600, 480), FREE, 5, LATENCY).best
    assert best is not None
    assert best.config.max_concurrent in (6, 8, 10, 13)
    assert best.predicted < -0.08


def test_where_nothing_waits_the_answer_is_no_change() -> None:
    flat = found(trace(600, 20), FREE, 5, LATENCY)
    assert flat.best is None
    assert flat.recalls == 600
    assert 1 <= len(flat.candidates) <= 3


def test_an_embedded_store_is_told_to_run_fewer_at_once() -> None:
    law = {"semantic": ContentionLaw(sigma=0.4, kappa=0.15, known=(1, 2, 3, 4, 5))}
    best = found(trace(600, 110), law, 5, THROUGHPUT).best
    assert best is not None
    assert best.config.max_concurrent == 2


def test_a_gain_that_a_refit_denies_is_not_taken() -> None:
    incumbent = TuningConfig(max_concurrent=5, strategy=LATENCY)
    grid = candidates(incumbent, TuningBounds(), 20)
    doubt = {"semantic": ContentionLaw(sigma=1.0, known=(5,))}
    asked = trace(400, 480)
    assert (
        run_through(search(Simulations([asked], FREE, [FREE, doubt]), incumbent, grid, LATENCY)).best is None
    )


def test_what_is_banned_is_neither_taken_nor_told() -> None:
    banned = found(trace(600, 480), FREE, 5, LATENCY, banned=lambda c: c.max_concurrent >= 6)
    assert all(c.config.max_concurrent < 6 for c in banned.candidates)
    assert banned.best is None


@given(st.integers(1, 60), st.integers(2, 20), st.integers(0, 30), st.integers(1, 64))
def test_candidates_stay_within_the_bounds_and_what_the_law_may_be_asked(
    limit: int, low: int, more: int, largest: int
) -> None:
    law = ContentionLaw(known=(largest,))
    bounds = TuningBounds(min_concurrent=low, max_concurrent=low + more)
    grid = candidates(TuningConfig(max_concurrent=limit), bounds, law.trusted)
    assert all(low <= c.max_concurrent <= low + more for c in grid)
    assert all(c.max_concurrent <= max(1.5 * largest, largest + 1) for c in grid)
    assert all(c.max_concurrent != limit for c in grid)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([20.0, 300.0, 700.0]), st.integers(2, 20))
def test_what_is_taken_is_told_first_and_gains_within_its_interval(
    seed: int, rate: float, limit: int
) -> None:
    result = found(trace(260, rate, seed), FREE, limit, LATENCY)
    if result.best is not None:
        assert result.candidates[0] is result.best
        assert result.best.low <= result.best.predicted <= result.best.high < -0.04


def test_mean_work_is_of_a_recall_and_laws_that_change_nothing_are_left_out() -> None:
    arrivals = (
        Arrival(0.0, "x", (("semantic", 0.1), ("graph", 0.4))),
        Arrival(1.0, "x", (("semantic", 0.3),)),
    )
    assert Trace(arrivals).mean_work == pytest.approx({"semantic": 0.2, "graph": 0.2})
    laws = {"semantic": ContentionLaw(sigma=0.001), "graph": ContentionLaw(sigma=0.5)}
    assert list(slowdowns(laws, 5)) == ["graph"]


def test_layers_that_slow_down_alike_share_a_law_whatever_their_work() -> None:
    alike = {layer: ContentionLaw(sigma=0.5, work_ms=ms) for layer, ms in (("graph", 3.0), ("semantic", 9.0))}
    slow = slowdowns({**alike, "episodic": ContentionLaw(sigma=0.4)}, 5)
    assert slow["graph"] is slow["semantic"]
    assert (slow["graph"](5), slow["episodic"](5)) == (3.0, 2.6)


def test_the_other_way_is_the_other_of_two() -> None:
    config = TuningConfig()
    assert not other_way(config).enable_parallel
    assert other_way(other_way(config)) == config


@pytest.mark.parametrize("parallel", [True, False])
def test_limits_that_no_recall_reaches_are_simulated_once_and_score_as_by_themselves(parallel: bool) -> None:
    asked, laws = trace(300, 20), {"semantic": ContentionLaw(sigma=0.1), "graph": ContentionLaw(sigma=0.2)}
    limits = [20, 16, 13, 10, 8]
    shared = Simulations([asked], laws)
    simulated: list[int] = []
    for limit in limits:
        config = TuningConfig(max_concurrent=limit, enable_parallel=parallel)
        alone = run_through(Simulations([asked], laws).of(config))
        assert run_through(shared.of(config), simulated.append) == alone
    assert sum(simulated) == len(asked)


def test_a_limit_that_recalls_wait_for_says_nothing_of_another() -> None:
    shared = Simulations([trace(300, 480)], FREE)
    p99 = [run_through(shared.of(TuningConfig(max_concurrent=limit))).p99_ms for limit in (3, 4, 5)]
    assert p99[0] > p99[1] > p99[2]


def test_what_is_surely_slower_is_not_simulated_to_its_end_and_goes_on_where_somebody_asks_again() -> None:
    asked, config = trace(600, 480), TuningConfig(max_concurrent=4)
    simulations, done = Simulations([asked], FREE), list[int]()
    assert run_through(simulations.unless_slower(config, 20.0), done.append) is None
    assert sum(done) < 0.5 * len(asked)
    assert run_through(simulations.unless_slower(config, 10.0), done.append) is None
    assert run_through(simulations.of(config), done.append) == run_through(
        Simulations([asked], FREE).of(config)
    )
    assert sum(done) == len(asked)


@pytest.mark.parametrize("strategy", TuningStrategy)
@given(st.integers(0, 20), st.sampled_from([60, 240, 420, 520]), st.integers(2, 12))
@settings(max_examples=8)
def test_the_best_of_the_grid_is_the_one_that_a_search_without_stopping_finds(
    strategy: TuningStrategy, seed: int, rate: int, limit: int
) -> None:
    laws = {"semantic": ContentionLaw(sigma=0.05, kappa=0.01, known=(1, 2, 3, 5, 8, 13))}
    asked, incumbent = trace(300, rate, seed), TuningConfig(max_concurrent=limit, strategy=strategy)
    whole = Simulations([asked], laws)
    base = run_through(whole.of(incumbent))
    values = {
        c: objective(strategy, run_through(whole.of(c)), base)
        for c in candidates(incumbent, TuningBounds(), 20)
    }
    result = found(asked, laws, limit, strategy)
    least = min(values.values())
    if result.best is not None and result.best.config.enable_parallel:
        assert result.best.predicted <= least + SEARCH.tie
    if result.best is None and result.candidates:
        assert least > -SEARCH.gain or result.candidates[0].predicted <= least
