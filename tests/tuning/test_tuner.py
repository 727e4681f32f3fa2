from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from athena_tuning.model import (
    Action,
    ConfigSet,
    ConfigVersion,
    Decision,
    Mode,
    QueryMetrics,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.tuning import AutoTuner, Policy
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.rules import RulePolicy

NOW = 1_750_000_000.0


def profiler() -> PerformanceProfiler:
    return PerformanceProfiler(clock=lambda: NOW)


def feed(
    target: PerformanceProfiler,
    n: int,
    latency_ms: float = 100.0,
    query_type: str = "factual",
    **more: object,
) -> None:
    for i in range(n):
        layers = {"semantic": latency_ms / 2, "graph": latency_ms / 2}
        m = QueryMetrics(
            *(f"{query_type}{i}", "?", query_type, NOW - 60, latency_ms, 1.0, False, 3, list(layers), layers),
            success=True,
        )
        target.record_query(m._replace(**more))


def tuner_on(target: PerformanceProfiler, **more: object) -> AutoTuner:
    return AutoTuner(target, clock=lambda: NOW, **more)  # type: ignore[arg-type]


def version(configs: ConfigSet, config: TuningConfig, scope: str = "all") -> ConfigSet:
    made = ConfigVersion(configs.head + 1, 0, scope, config, Mode.AUTO, "test", "", NOW)
    return configs.with_version(made)


def test_below_the_minimum_the_current_config_comes_back() -> None:
    target = profiler()
    feed(target, 9)
    tuner = tuner_on(target, adjustment_interval=1)
    assert tuner.get_optimized_config() is tuner.current_config
    assert tuner.get_optimized_config() == TuningConfig()


def test_it_retunes_at_every_interval_and_not_before() -> None:
    target = profiler()
    feed(target, 50)
    tuner = tuner_on(target, adjustment_interval=3)
    configs = [tuner.get_optimized_config() for _ in range(3)]
    assert configs[0] == configs[1] == TuningConfig()
    assert configs[2].max_concurrent == 8


def test_a_strategy_switch_retunes_at_the_next_call_and_leaves_handed_out_configs_alone() -> None:
    target = profiler()
    feed(target, 50)
    tuner = tuner_on(target)
    before = tuner.get_optimized_config()
    tuner.update_strategy(TuningStrategy.THROUGHPUT)
    after = tuner.get_optimized_config()
    assert before.strategy is TuningStrategy.BALANCED
    assert after.strategy is TuningStrategy.THROUGHPUT
    assert after.max_concurrent > 8
    assert after.timeout_seconds > before.timeout_seconds - 10


def test_one_types_call_does_not_set_anothers_config() -> None:
    target = profiler()
    feed(target, 50, 50.0, "factual")
    feed(target, 50, 9000.0, "planning")
    feed(target, 3, 9000.0, "meta")
    tuner = tuner_on(target, adjustment_interval=1)
    planning, factual = tuner.get_optimized_config("planning"), tuner.get_optimized_config("factual")
    assert planning == tuner.get_optimized_config("planning")
    assert planning.timeout_seconds == 13.5
    assert factual.timeout_seconds == 6.25
    assert factual.max_concurrent > planning.max_concurrent
    assert tuner.get_optimized_config("meta") == tuner.get_optimized_config() == tuner.current_config


def test_a_change_of_parallel_alone_is_a_change_and_can_be_undone() -> None:
    target = profiler()
    feed(target, 50)
    tuner = tuner_on(target, adjustment_interval=50)
    steady = version(ConfigSet(), replace(tuner.propose().after, enable_parallel=False))
    (made,) = tuner.step(steady, NOW)[:1]
    assert made.action is Action.CHANGE
    assert made.before.changes_to(made.after) == {"enable_parallel": (False, True)}


def test_step_waits_for_the_interval_and_a_switch_cuts_it_short() -> None:
    target = profiler()
    tuner = tuner_on(target, adjustment_interval=20)
    assert tuner.step(ConfigSet(), NOW) == ()
    feed(target, 20)
    target.fold()
    assert tuner.step(ConfigSet(), NOW)[0].action is Action.CHANGE
    assert tuner.step(ConfigSet(), NOW) == ()
    tuner.update_strategy(TuningStrategy.COST)
    assert tuner.step(ConfigSet(), NOW)[0].after.strategy is TuningStrategy.COST
    assert tuner.step(ConfigSet(), NOW) == ()


def test_step_says_keep_with_reasons_when_nothing_is_to_change() -> None:
    target = profiler()
    feed(target, 100)
    tuner = tuner_on(target)
    (made,) = tuner.step(version(ConfigSet(), tuner.propose().after), NOW)
    assert (made.action, made.samples) == (Action.KEEP, 100)
    assert {r.parameter for r in made.reasons} >= {"max_concurrent", "timeout_seconds", "enable_parallel"}
    assert all(r.rule for r in made.reasons)


def test_step_gives_types_their_own_timeouts_under_the_shared_limit() -> None:
    target = profiler()
    feed(target, 60, 50.0, "factual")
    feed(target, 60, 9000.0, "planning")
    tuner = tuner_on(target)
    made = {d.scope: d for d in tuner.step(ConfigSet(), NOW)}
    limit = made["all"].after.max_concurrent
    assert made["factual"].after.timeout_seconds == 6.25
    assert "planning" not in made  # what all types get fits it
    assert {d.after.max_concurrent for d in made.values()} == {limit}


def test_propose_changes_nothing() -> None:
    target = profiler()
    feed(target, 50)
    tuner = tuner_on(target)
    proposed = tuner.propose("factual")
    assert proposed.after.max_concurrent == 8
    assert tuner.current_config == TuningConfig()


def test_configs_told_by_the_manager_are_current_and_bring_their_strategy() -> None:
    tuner = tuner_on(profiler())
    told = TuningConfig(max_concurrent=7, strategy=TuningStrategy.COST)
    tuner.in_force(version(ConfigSet(), told))
    assert tuner.current_config is told
    assert tuner.strategy is TuningStrategy.COST


def test_a_strategy_switch_survives_the_news_of_an_unrelated_write() -> None:
    tuner = tuner_on(profiler())
    tuner.update_strategy(TuningStrategy.LATENCY)
    tuner.in_force(version(ConfigSet(), TuningConfig(max_concurrent=7)))
    assert tuner.strategy is TuningStrategy.LATENCY


def test_an_assigned_config_is_current_for_every_type() -> None:
    target = profiler()
    feed(target, 50)
    tuner = tuner_on(target, adjustment_interval=2)
    tuner.get_optimized_config("factual")
    tuner.get_optimized_config("factual")
    tuner.current_config = TuningConfig(max_concurrent=3)
    assert tuner.get_optimized_config("factual").max_concurrent == 3


def test_the_report_has_every_key_when_empty_and_is_fresh() -> None:
    target = profiler()
    tuner = tuner_on(target)
    empty = tuner.get_tuning_report()
    assert set(empty) == {"strategy", "current_config", "metrics", "recommendations"}
    assert empty["metrics"]["total_queries"] == 0
    feed(target, 50)
    report = tuner.get_tuning_report()
    assert report["metrics"] == {
        "total_queries": 50,
        "avg_latency_ms": 100.0,
        "p99_latency_ms": 100.0,
        "parallel_speedup": 2.0,
        "success_rate": 1.0,
    }
    assert any("max_concurrent: 5 → 8" in line for line in report["recommendations"])


def test_a_strategy_switch_does_not_wait_for_a_policy_that_thinks() -> None:
    thinking, go_on = threading.Event(), threading.Event()

    class Slow(RulePolicy):
        def propose(self, evidence: Evidence, scope: str = "all") -> Decision:
            thinking.set()
            assert go_on.wait(10)
            return super().propose(evidence, scope)

    tuner = tuner_on(profiler(), policy=Slow())
    thread = threading.Thread(target=tuner.propose)
    thread.start()
    assert thinking.wait(10)
    tuner.update_strategy(TuningStrategy.COST)  # would hang here
    assert tuner.strategy is TuningStrategy.COST
    go_on.set()
    thread.join(10)


def test_any_policy_can_be_plugged_in() -> None:
    class Always(Policy):
        name = "always"

        def propose(self, evidence: Evidence, scope: str = "all") -> Decision:
            before = evidence.incumbent(scope)
            after = replace(before, max_concurrent=9)
            return Decision("d", NOW, self.name, scope, Action.CHANGE, before, after, "nine", 0)

    target = profiler()
    feed(target, 100)
    tuner = tuner_on(target, policy=Always())
    assert tuner.step(ConfigSet(), NOW)[0].after.max_concurrent == 9


@pytest.mark.parametrize("bad", [{"adjustment_interval": 0}, {"min_samples": 0}, {"policy": "oracle"}])
def test_bad_arguments_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must be at least 1|no policy 'oracle'"):
        tuner_on(profiler(), **bad)
