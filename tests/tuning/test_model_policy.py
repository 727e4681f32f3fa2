"""The model policy against a simulated manager: what it decides, when, and what it says about it."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest

from athena_tuning.model import Action, QueryMetrics
from athena_tuning.testing.virtual_manager import VirtualManager, latency
from athena_tuning.tuning.policies.model_policy import ModelPolicy
from athena_tuning.tuning.settings import REVIEW
from athena_tuning.tuning.trace import Arrival, Trace

LEAST, REPEATED = REVIEW.first, REVIEW.repeated


def trace(recalls: int, rate: float, layers: tuple[str, ...] = ("semantic", "graph")) -> Trace:
    rng, now, arrivals = random.Random(4), 0.0, []
    for _ in range(recalls):
        now += rng.expovariate(rate)
        works = tuple((layer, 0.02 * rng.lognormvariate(0, 0.4)) for layer in layers)
        arrivals.append(Arrival(now, "factual", works))
    return Trace(tuple(arrivals))


def ran(recalls: Trace, *more: object, **how: object) -> VirtualManager:
    return VirtualManager(recalls, ModelPolicy(), *more, start=latency(), **how).run()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def busy() -> VirtualManager:
    return ran(trace(2500, 220))


@pytest.fixture(scope="module")
def flat() -> VirtualManager:
    return ran(trace(2500, 12))


@pytest.mark.slow
def test_a_limit_that_recalls_wait_for_is_raised_tried_and_confirmed(busy: VirtualManager) -> None:
    first = busy.limit_changes[0]
    assert first.action is Action.CANARY
    assert first.after.max_concurrent > first.before.max_concurrent == 5
    assert busy.configs.default.config.max_concurrent >= 12
    confirmed = [d for d in busy.decisions if d.action is Action.CONFIRM and d.observed is not None]
    assert confirmed
    assert confirmed[0].verdict_on in {d.decision_id for d in busy.decisions}
    assert confirmed[0].observed is not None
    assert confirmed[0].observed < 0


@pytest.mark.slow
def test_where_all_limits_are_as_good_it_says_so_and_changes_none(flat: VirtualManager) -> None:
    assert not flat.limit_changes
    kept = [d for d in flat.decisions if d.action is Action.KEEP]
    assert kept
    assert all(d.summary.startswith("No change:") for d in kept)


def test_a_decision_to_keep_tells_what_it_looked_at(flat: VirtualManager) -> None:
    told = next(d for d in flat.decisions if d.action is Action.KEEP)
    assert told.samples >= LEAST
    assert 1 <= len(told.candidates) <= 3
    assert all(c.low <= c.predicted <= c.high for c in told.candidates)
    assert [c.predicted for c in told.candidates] == sorted(c.predicted for c in told.candidates)
    assert told.after == told.before


@pytest.mark.slow
def test_limits_stay_within_the_bounds_and_changes_are_few(
    busy: VirtualManager, flat: VirtualManager
) -> None:
    for world in (busy, flat):
        assert all(2 <= d.after.max_concurrent <= 20 for d in world.decisions)
        assert sum(d.after != d.before for d in world.decisions) <= 10


def test_searches_never_ask_the_law_beyond_its_trust(busy: VirtualManager) -> None:
    largest = 5
    for made in busy.decisions:
        if made.candidates:
            trusted = max(1.5 * largest, largest + 1)
            assert all(c.config.max_concurrent <= trusted for c in made.candidates)
        largest = max(largest, made.after.max_concurrent)


@pytest.mark.slow
def test_an_embedded_store_gets_fewer_at_once() -> None:
    world = ran(trace(4000, 55, ("semantic",)), {"semantic": lambda n: 1 if n < 3 else n / 2 + 0.2 * n})
    assert world.configs.default.config.max_concurrent <= 4


@pytest.mark.slow
def test_a_change_that_nobody_carries_out_is_told_once_in_a_while() -> None:
    world = ran(trace(2500, 220), apply=False)
    told = [d.after.max_concurrent for d in world.limit_changes]
    assert told
    for limit in set(told):
        assert told.count(limit) <= 1 + 2500 // REPEATED


def test_failures_under_a_change_roll_back_at_once_and_it_only_watches() -> None:
    def failing(m: QueryMetrics) -> QueryMetrics:
        return m._replace(success=m.config_version == 1 or int(m.query_id[1:]) % 2 == 0)

    world = ran(trace(1800, 220), record=failing)
    back = next(d for d in world.decisions if d.action is Action.ROLLBACK)
    assert back.after.max_concurrent == 5
    assert "Rolled back at once" in back.summary
    later = world.limit_changes[world.limit_changes.index(back) + 1 :]
    assert not later


def test_below_the_least_evidence_it_proposes_what_the_rules_would() -> None:
    world = ran(trace(LEAST // 2, 50))
    assert world.tuner.propose().policy == "rules"
    assert ran(trace(2 * LEAST, 50)).tuner.propose().policy == "model"


def test_a_proposal_is_kept_until_there_is_more_to_say(busy: VirtualManager) -> None:
    first, second = busy.tuner.propose(), busy.tuner.propose()
    assert first.candidates is second.candidates
    by_type = busy.tuner.propose("factual")
    assert by_type.after.max_concurrent == first.after.max_concurrent


def test_changes_of_the_limit_are_few_in_any_thousand_recalls_however_the_weather_turns() -> None:
    rng = random.Random(8)
    weather = [rng.choice((0.6, 1.0, 1.7)) for _ in range(400)]

    def slow(n: int) -> float:
        return max(1.0, n / 8)

    def noisy(m: QueryMetrics) -> QueryMetrics:
        factor = weather[int(m.timestamp / 3) % len(weather)]
        tasks = tuple(t._replace(service_ms=t.service_ms * factor) for t in m.tasks)
        return m._replace(tasks=tasks, latency_ms=(m.latency_ms or 0.0) * factor)

    world = ran(trace(3000, 150), {"semantic": slow, "graph": slow}, record=noisy)
    at = [d.time for d in world.changes if d.scope == "all"]
    begun = sorted(m.timestamp for m in world.profiler.metrics)
    for i in range(0, len(begun) - 1000, 100):
        assert sum(begun[i] <= time < begun[i + 1000] for time in at) <= REVIEW.changes


def test_an_operators_bound_that_decided_is_named_with_what_lifting_it_would_bring() -> None:
    narrow = replace(latency(), concurrency_bounds=(2, 6))
    world = VirtualManager(trace(2500, 170), ModelPolicy(), start=narrow).run()
    assert world.configs.default.config.max_concurrent == 6
    told = [d.bound for d in world.decisions if d.bound and "operator" in d.bound]
    assert told
    assert re.fullmatch(r"at most 6, the operator's bound: 8 would make the objective \d+ % better", told[-1])


def test_bounds_that_are_lifted_are_used_from_then_on() -> None:
    wide = replace(latency(), concurrency_bounds=(2, 64))
    world = VirtualManager(trace(6000, 900), ModelPolicy(), start=wide).run()
    assert 20 < world.configs.default.config.max_concurrent <= 64
