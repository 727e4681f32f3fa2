"""Experiments: intervals that hold at every look, blocks that are paired, promises that break."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from athena_tuning.model import Experiment, ExperimentMeasure, ExperimentVerdict, Objective, QueryMetrics
from athena_tuning.tuning.experiments import assessment
from athena_tuning.tuning.experiments.anytime_interval import anytime_interval
from athena_tuning.tuning.experiments.block_pairs import BlockPairs, BlockTally, latency_difference
from athena_tuning.tuning.experiments.broken_promises import PromiseWatch

START = 1_000_000.0
PLAN = Experiment("all", 7, START, seed=5)
TRIED = 8


def recall(
    at: float,
    version: int,
    ms: float = 10.0,
    *,
    worker: str = "w1",
    kind: str = "factual",
    hit: bool = False,
    success: bool = True,
    partial: bool = False,
) -> QueryMetrics:
    """Return a recall that began so many seconds after the start of the plan."""
    return QueryMetrics(
        f"{worker}-{at}",
        "q",
        kind,
        START + at,
        ms,
        None,
        hit,
        1,
        [],
        {},
        success,
        partial=partial,
        config_version=version,
    )


def obedient(plan: Experiment = PLAN, every: float = 0.5, tried_ms: float = 10.0) -> Iterator[QueryMetrics]:
    """Yield recalls of a manager that obeys a plan from its start to its end."""
    for i in range(int((plan.ends - plan.starts) / every)):
        tried = plan.tries_at(plan.starts + i * every)
        yield recall(i * every, TRIED if tried else plan.base, tried_ms if tried else 10.0)


# The schedule


def test_a_coin_says_which_config_comes_first_and_both_have_as_many_blocks() -> None:
    first = [PLAN.tries(2 * pair) for pair in range(PLAN.pairs)]
    assert {True, False} == set(first)
    assert all(PLAN.tries(2 * pair) != PLAN.tries(2 * pair + 1) for pair in range(PLAN.pairs))
    others = [Experiment("all", 7, START, seed=seed).tries(0) for seed in range(400)]
    assert 160 < sum(others) < 240


def test_nothing_is_tried_before_the_start_and_after_the_end() -> None:
    assert not PLAN.tries_at(START - 0.001)
    assert not PLAN.tries_at(PLAN.ends)
    assert PLAN.block_at(PLAN.ends - 1e-6) == 2 * PLAN.pairs - 1


@pytest.mark.parametrize("seconds", [59, 3601])
def test_an_experiment_that_is_too_short_or_too_long_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="60 to 3600 s"):
        Experiment("all", 7, START, seconds)


# The interval


def test_the_interval_holds_at_every_look_in_as_many_sequences_as_it_says() -> None:
    rng = np.random.default_rng(1)
    missed = 0
    for _ in range(1000):
        sequence = rng.normal(0.3, rng.uniform(0.01, 3), 40)
        looks = (anytime_interval(list(sequence[:n]), 0.05) for n in range(1, 41))
        missed += any(not low <= 0.3 <= high for _, low, high in looks)
    assert missed <= 50


def test_the_interval_gets_narrow_as_differences_come() -> None:
    rng = np.random.default_rng(2)
    sequence = list(rng.normal(0, 1, 400))
    widths = [high - low for n in (6, 20, 400) for _, low, high in [anytime_interval(sequence[:n], 0.05)]]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.5


# Whole experiments


def simulated(seed: int, change: float, per_second: float = 30.0) -> ExperimentVerdict:
    """Return the verdict of an experiment on recalls whose load and speed come and go, looked at each pair.

    Args:
        seed: of what happens.
        change: log ratio of latency under what is tried.
        per_second: mean rate of recalls.
    """
    rng = np.random.default_rng(seed)
    plan = Experiment("all", 7, START, seed=seed)
    slow, pairs = 0.0, []
    for pair in range(plan.pairs):
        sides = {}
        for block in (2 * pair, 2 * pair + 1):
            slow = 0.7 * slow + rng.normal(0, 0.05)
            load = 1 + 0.3 * math.sin(2 * math.pi * block * plan.block_seconds / 47 + seed)
            level = math.log(20) + slow + 0.3 * (load - 1) + change * plan.tries(block)
            sides[plan.tries(block)] = tally(rng, level, per_second * load * 8)
        pairs.append((sides[False], sides[True]))
        said = assessment.verdict(assessment.measures(pairs))
        if said is not ExperimentVerdict.OPEN:
            return said
    return ExperimentVerdict.OPEN


def tally(rng: np.random.Generator, level: float, recalls: float) -> BlockTally:
    """Return a block of recalls with a heavy tail, a hundredth of them refused."""
    n = int(rng.poisson(recalls))
    logs = rng.normal(level, 0.8, n)
    logs = np.where(rng.random(n) < 0.03, logs + rng.exponential(1.0, n), logs)
    refused = int(rng.binomial(n, 0.01))
    block = BlockTally(n, 0, refused, n - refused)
    block.latency.add_many(np.exp(logs[refused:]))
    block.by_type = {"factual": (n - refused, float(logs[refused:].sum()))}
    return block


def test_two_equal_configs_are_called_different_in_at_most_one_of_twenty_experiments() -> None:
    said = Counter(simulated(seed, 0.0) for seed in range(400))
    assert said[ExperimentVerdict.OPEN] >= 380


def test_a_fifth_more_or_less_is_found_in_most_experiments_of_five_minutes() -> None:
    worse = Counter(simulated(seed, math.log(1.2)) for seed in range(40))
    better = Counter(simulated(seed, math.log(0.8)) for seed in range(40))
    assert worse[ExperimentVerdict.WORSE] >= 30
    assert better[ExperimentVerdict.BETTER] >= 30


def test_what_is_faster_but_refuses_more_is_not_called_better() -> None:
    quicker, refuses = (
        ExperimentMeasure("typical latency", "ms", 10, 8, -0.2, -0.3, -0.1, 15),
        ExperimentMeasure("refused", "share", 0.0, 0.1, 0.1, 0.05, 0.15, 15),
    )
    fewer = ExperimentMeasure("complete", "share", 1.0, 0.9, -0.1, -0.15, -0.05, 15)
    assert assessment.verdict([quicker]) is ExperimentVerdict.BETTER
    assert assessment.verdict([quicker, refuses]) is ExperimentVerdict.MIXED
    assert assessment.verdict([fewer]) is ExperimentVerdict.WORSE


# Blocks


def test_recalls_count_in_the_block_that_they_began_in_once_it_has_settled() -> None:
    pairs = BlockPairs(PLAN, TRIED)
    pairs.count(obedient())
    found = pairs.pairs(PLAN.ends)
    assert len(found) == PLAN.pairs
    assert {(a.recalls, b.recalls) for a, b in found} == {(16, 16)}  # of 20 the first four settle
    assert pairs.disobedient() == []
    assert pairs.left_out(PLAN.ends) == 0


def test_a_pair_is_not_there_before_both_of_its_blocks_have_passed() -> None:
    pairs = BlockPairs(PLAN, TRIED)
    pairs.count(obedient())
    assert [len(pairs.pairs(START + seconds)) for seconds in (19.9, 20.0, 40.0)] == [0, 1, 2]


def test_a_manager_that_knows_no_experiments_is_told_and_not_counted() -> None:
    pairs = BlockPairs(PLAN, TRIED)
    pairs.count(obedient(), {"w1", "old"})
    pairs.count([recall(i * 0.5, 7, worker="old") for i in range(600)], {"w1", "old"})
    assert pairs.disobedient() == ["old"]
    assert {(a.recalls, b.recalls) for a, b in pairs.pairs(PLAN.ends)} == {(16, 16)}
    assert pairs.left_out(PLAN.ends) == 480


def test_a_manager_that_dies_counts_in_the_pairs_before_it_died_and_in_no_other() -> None:
    pairs = BlockPairs(PLAN, TRIED)
    names = {"w1", "w2"}
    pairs.count(obedient(), names)
    pairs.count(
        [m._replace(query_id="w2-1") for m in obedient() if m.timestamp < START + 50],
        names,
    )
    counts = [(a.recalls, b.recalls) for a, b in pairs.pairs(PLAN.ends)]
    assert counts[:3] == [(32, 32), (32, 32), (16, 16)]


def test_what_the_cache_answered_does_not_count_for_latency_unless_a_config_has_none() -> None:
    for with_cached, timed in ((False, 8), (True, 16)):
        pairs = BlockPairs(PLAN, TRIED, with_cached=with_cached)
        pairs.count(m._replace(cache_hit=i % 2 == 0) for i, m in enumerate(obedient()))
        [(in_force, tried), *_] = pairs.pairs(PLAN.ends)
        assert (in_force.timed, tried.timed) == (timed, timed)
        assert in_force.cached == 8


def test_another_mix_of_types_is_no_difference_of_latency() -> None:
    fast, slow = math.log(10) * 1.0, math.log(100)
    in_force = BlockTally(100, by_type={"factual": (90, 90 * fast), "meta": (10, 10 * slow)})
    tried = BlockTally(100, by_type={"factual": (10, 10 * fast), "meta": (90, 90 * slow)})
    assert latency_difference(in_force, tried) == pytest.approx(0.0)
    assert tried.typical_ms > 5 * in_force.typical_ms


def test_only_recalls_of_the_type_count_where_an_experiment_is_about_one() -> None:
    plan = Experiment("meta", 7, START, seed=5)
    pairs = BlockPairs(plan, TRIED)
    pairs.count(obedient(plan))
    assert all(not a.recalls and not b.recalls for a, b in pairs.pairs(plan.ends))


# Promises


def promises(*, tried: int, tried_slow: int, in_force: int = 0, in_force_slow: int = 0) -> str:
    """Return what is broken of a p99 of 100 ms after so many recalls under either config."""
    watch = PromiseWatch(PLAN, TRIED, [Objective(p99_ms=100.0)])
    block = next(n for n in range(30) if PLAN.tries(n))
    at = PLAN.starts_at(block) - START
    watch.count(recall(at, TRIED, 500.0 if i < tried_slow else 10.0) for i in range(tried))
    watch.count(recall(-1, 7, 500.0 if i < in_force_slow else 10.0) for i in range(in_force))
    return watch.broken()


def test_a_promise_breaks_where_chance_alone_would_not_have_it_missed_so_often() -> None:
    assert promises(tried=300, tried_slow=6, in_force=1000) == ""
    assert promises(tried=300, tried_slow=15, in_force=1000) == (
        "the promised p99 of 100 ms broke: 15 of 300 recalls missed it"
    )


def test_a_promise_that_the_config_in_force_breaks_as_much_is_not_held_against_the_other() -> None:
    assert promises(tried=300, tried_slow=60, in_force=600, in_force_slow=120) == ""


def test_more_refused_answers_break_what_nobody_promised() -> None:
    watch = PromiseWatch(PLAN, TRIED, [])
    at = PLAN.starts_at(next(n for n in range(30) if PLAN.tries(n))) - START
    watch.count(recall(-1, 7) for _ in range(200))
    assert watch.broken() == ""
    watch.count(recall(at, TRIED, success=i > 40, partial=i <= 40) for i in range(200))
    assert watch.broken().startswith("more answers were refused, failed or incomplete than before")
