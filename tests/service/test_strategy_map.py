"""The map of strategies rests on one simulation, says where each would go, and what past versions gave."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from athena_tuning.load.whatif_run import Question, answer
from athena_tuning.model import ConfigSet, ConfigVersion, Mode, TuningConfig, TuningStrategy
from athena_tuning.service.strategy_map import LimitPoint, StrategyMap, strategy_map
from athena_tuning.tuning.simulation.what_if import Estimate, WhatIf

WORSE = Estimate(0.3, 0.2, 0.4)


@pytest.fixture(scope="module")
def result() -> WhatIf:
    return answer(Question(ConfigSet(), sample="mixed", over="limit"))


def version(number: int, limit: int, scope: str = "all") -> ConfigVersion:
    return replace(
        ConfigSet().default, version=number, scope=scope, config=TuningConfig(limit), mode=Mode.ADVISE
    )


def test_what_is_in_force_is_zero_for_every_strategy_and_every_limit_has_a_point(result: WhatIf) -> None:
    told = strategy_map(result, None, [], lambda *_: "unknown")
    in_force = next(point for point in told.points if point.limit == told.in_force)
    assert set(in_force.objectives) == set(TuningStrategy)
    assert all(abs(value) < 1e-9 for value in in_force.objectives.values())
    assert [p.limit for p in told.points] == sorted({*(int(o.name) for o in result.outcomes), told.in_force})
    assert "not simulated yet" in told.sentence


def test_latency_is_the_change_of_p99_and_balanced_weighs_it_most(result: WhatIf) -> None:
    told = strategy_map(result, None, [], lambda *_: "unknown")
    by_limit = {point.limit: point for point in told.points}
    for outcome in result.outcomes:
        objectives = by_limit[int(outcome.name)].objectives
        if math.isfinite(objectives[TuningStrategy.LATENCY]):
            assert objectives[TuningStrategy.LATENCY] == pytest.approx(outcome.p99_change.value, abs=1e-6)


def test_past_versions_of_other_limits_tell_what_they_gave_or_why_not(result: WhatIf) -> None:
    history = [
        version(5, 5),
        version(4, 9),
        version(3, 9),
        version(2, 5),
        version(1, 12),
        version(6, 7, "meta"),
    ]
    told = strategy_map(
        result, None, history, lambda before, after: (WORSE, 90) if before == 4 else f"{before} to {after}"
    )
    assert [(each.version, each.limit) for each in told.past] == [(4, 9), (1, 12)]
    assert told.past[0].change == Estimate(-0.3, -0.4, -0.2)  # of the past one against the one in force
    assert told.past[1].why_not == "1 to 5"


def points(slot_ms: dict[int, float]) -> list[LimitPoint]:
    return [LimitPoint(n, {}, 10.0, 100.0, ms, False) for n, ms in slot_ms.items()]


def test_why_all_agree_is_told_by_what_more_at_once_does() -> None:
    goals = dict.fromkeys(TuningStrategy, 2)
    slows = StrategyMap(5, points({1: 10.0, 2: 10.0, 3: 12.0, 4: 15.0}), goals)
    assert slows.sentence.startswith(
        "All four choose 2: more than 2 at once slows every task down on your data, 4 by 50"
    )
    flat = StrategyMap(2, points({1: 10.0, 2: 10.0, 3: 10.0}), goals)
    assert flat.sentence == "All four choose 2 as it is: no limit is surely better for any of them than 2."
    apart = StrategyMap(
        5, [], {TuningStrategy.LATENCY: 3, TuningStrategy.COST: 3, TuningStrategy.BALANCED: 5}
    )
    assert apart.sentence == "They differ: latency and cost 3; balanced 5."
