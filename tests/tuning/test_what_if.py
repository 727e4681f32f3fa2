"""What would have been: against exact cases, against the truth, and for what the intervals promise."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_tuning.model import ConfigSet, LayerTask, QueryMetrics, TaskOutcome, TuningConfig, TuningStrategy
from athena_tuning.tuning.estimation.plan_evidence import PlanEvidence
from athena_tuning.tuning.simulation.replay import RecordedWorkload
from athena_tuning.tuning.simulation.simulator import Simulation
from athena_tuning.tuning.simulation.what_if import WhatIf, what_if, with_config
from athena_tuning.tuning.slices import run_through
from athena_tuning.tuning.trace import Arrival, Trace
from tests.support.examples import examples


def in_force(config: TuningConfig, version: int = 1) -> ConfigSet:
    """Return a config as version 1; records here are of version 0 unless they say otherwise."""
    configs = with_config(ConfigSet(), "all", **config.to_dict())
    return replace(configs, default=replace(configs.default, version=version))


def record(i: int, at: float, tasks: list[LayerTask], **more: object) -> QueryMetrics:
    latency = max((t.offset_ms + t.queue_ms + t.service_ms for t in tasks), default=0.05)
    made = QueryMetrics(
        f"q{i}", f"question {i}", "factual", at, latency, None, False, 1, [t.layer for t in tasks],
        {t.layer: t.service_ms for t in tasks}, True, tasks=tuple(tasks),
    )  # fmt: skip
    return made._replace(**more)


def alone(n: int, ms: float = 100.0, apart: float = 10.0) -> list[QueryMetrics]:
    """Recalls of one task each that never met another."""
    return [record(i, 1000.0 + i * apart, [LayerTask("semantic", 0.0, 0.0, ms, 1)]) for i in range(n)]


def bunches(n: int, size: int = 4, ms: float = 100.0) -> list[QueryMetrics]:
    """Recalls that come so many at once, each of one task that was served at once."""
    return [
        record(i, 1000.0 + 10.0 * (i // size), [LayerTask("semantic", 0.0, 0.0, ms, i % size + 1)])
        for i in range(n)
    ]


def ask(records: list[QueryMetrics], base: TuningConfig, **others: TuningConfig) -> WhatIf:
    return run_through(what_if(records, in_force(base), {k: in_force(v) for k, v in others.items()}))


def test_a_limit_that_bunches_must_share_makes_the_last_wait_for_all_before_it() -> None:
    found = ask(bunches(200), TuningConfig(max_concurrent=4), one=TuningConfig(max_concurrent=1))
    assert found.measured_p99_ms == 100.0
    assert found.base.p99_ms.value == pytest.approx(100.0)
    (one,) = found.outcomes
    assert (one.p50_ms.value, one.p99_ms.value) == pytest.approx((300.0, 400.0))
    assert one.p99_change.value == pytest.approx(math.log(4), abs=0.2)
    assert one.p99_change.low < math.log(4) < one.p99_change.high
    assert one.p99_change.sure
    assert one.capacity_change.value == pytest.approx(-math.log(4), abs=0.1)
    assert found.best is None


def test_what_is_in_force_compared_with_itself_changes_by_exactly_nothing() -> None:
    found = ask(bunches(120), TuningConfig(), same=TuningConfig())
    (same,) = found.outcomes
    for change in (same.p99_change, same.typical_change, same.capacity_change, same.cost_change, same.gain):
        assert change == (0.0, 0.0, 0.0)


def test_a_surely_better_config_is_the_best_and_the_objective_is_the_strategys() -> None:
    one, four = TuningConfig(1, strategy=TuningStrategy.LATENCY), TuningConfig(4)
    found = ask(bunches(200), one, four=four)
    assert found.strategy is TuningStrategy.LATENCY
    assert found.best is found.outcomes[0]
    assert found.best.gain.value == pytest.approx(-math.log(4), abs=0.2)


def test_what_the_simulation_of_the_config_in_force_misses_is_part_of_every_change() -> None:
    records = bunches(200)  # nobody waited, and yet they are said to have been under a limit of 1
    one, four = TuningConfig(1, strategy=TuningStrategy.LATENCY), in_force(TuningConfig(4))
    known = run_through(what_if(records, in_force(one, version=0), {"four": four}))
    unknown = run_through(what_if(records, in_force(one), {"four": four}))
    assert known.best is None
    assert unknown.best is not None
    assert known.outcomes[0].p99_change.high >= unknown.outcomes[0].p99_change.high + math.log(3)


def test_what_lies_beyond_all_that_was_seen_may_bring_nothing() -> None:
    found = ask(bunches(400), TuningConfig(4), six=TuningConfig(6))
    (six,) = found.outcomes
    assert not six.beyond
    assert six.capacity_change.low <= 0 < six.capacity_change.value


def test_a_limit_far_beyond_what_was_seen_is_marked_and_never_the_best() -> None:
    found = ask(bunches(200), TuningConfig(1), huge=TuningConfig(64))
    assert found.outcomes[0].beyond
    assert found.best is None
    assert found.trusted < 64


def test_a_timeout_below_the_work_gives_up_every_layer_and_no_gain_buys_that() -> None:
    found = ask(alone(100), TuningConfig(), hasty=TuningConfig(timeout_seconds=0.05))
    (hasty,) = found.outcomes
    assert hasty.p99_ms.value == pytest.approx(50.0)
    assert hasty.full_rate.value == 0.0
    assert hasty.gain.value == math.inf
    assert found.best is None


def test_without_the_cache_its_answers_work_as_a_like_recall_did() -> None:
    records = alone(60)
    hits = [record(100 + i, 5000.0 + i, [], cache_hit=True, query_text="question 3") for i in range(60)]
    found = ask([*records, *hits], TuningConfig(), off=TuningConfig(enable_cache=False))
    assert found.base.p50_ms.value == pytest.approx(100.0)
    assert found.base.slot_ms.value == pytest.approx(50.0)
    (off,) = found.outcomes
    assert off.slot_ms.value == pytest.approx(100.0)
    assert off.capacity_change.low < -math.log(2) < off.capacity_change.high < 0


def test_a_skipped_layer_takes_no_time() -> None:
    tasks = [LayerTask("semantic", 0.0, 0.0, 10.0, 1), LayerTask("graph", 0.0, 0.0, 90.0, 2)]
    records = [record(i, 1000.0 + i, tasks) for i in range(80)]
    found = ask(records, TuningConfig(), without=TuningConfig(skipped_layers=frozenset({"graph"})))
    assert found.outcomes[0].p99_ms.value < 11


def test_faster_arrivals_queue() -> None:
    records = alone(300, apart=0.15)
    base = in_force(TuningConfig(1, overload_after_seconds=None))
    calm, rush = (run_through(what_if(records, base, {}, speed=speed)) for speed in (1.0, 3.0))
    assert calm.base.p99_ms.value == pytest.approx(100.0)
    assert rush.base.p99_ms.value > 1000


def test_where_more_come_than_can_be_served_a_forecast_refuses_some_and_tells_their_share_apart() -> None:
    base, wait = in_force(TuningConfig(1)), in_force(TuningConfig(1, overload_after_seconds=None))
    records = alone(300, apart=0.15)
    found = run_through(what_if(records, base, {"all wait": wait}, speed=3.0))
    assert 0.2 < found.base.refused_rate.value < 0.6
    assert found.base.p99_ms.value < 1000
    (all_wait,) = found.outcomes
    assert all_wait.refused_rate.value == 0.0
    assert all_wait.refused_change.high < 0
    assert all_wait.p99_change.low > 0
    assert all_wait.gain.value == pytest.approx(
        all_wait.p99_change.value + math.log(1 / (1 + 100 * found.base.refused_rate.value)), abs=0.2
    )


def test_a_limit_that_refuses_more_is_surely_worse_by_a_bounded_objective_and_never_the_best() -> None:
    times = np.cumsum(np.random.default_rng(1).exponential(0.06, 600)).tolist()
    trace = Trace(tuple(Arrival(at, "meta", (("semantic", 0.1),)) for at in times))
    base = TuningConfig(4, strategy=TuningStrategy.LATENCY)
    ran = Simulation(trace, base).run()
    found = ask([ran.record(i, 1000.0) for i in range(600)], base, one=TuningConfig(1))
    (one,) = found.outcomes
    assert one.refused_change.low > 0.1
    assert math.log(10) < one.gain.low <= one.gain.high < math.log(101 * 20)
    assert not one.surely_better
    assert found.best is None
    assert found.promising is None


def test_a_limit_next_to_what_was_seen_that_probably_gains_is_worth_a_try_and_not_surely_better() -> None:
    trace = Trace(tuple(Arrival(10.0 * (i // 12), "meta", (("semantic", 0.1),)) for i in range(396)))
    ran = Simulation(trace, TuningConfig(4)).run()
    records = [ran.record(i, 1000.0) for i in range(396)]
    found = ask(records, TuningConfig(4), six=TuningConfig(6), huge=TuningConfig(64))
    six, huge = found.outcomes
    assert huge.beyond
    assert found.best is None
    assert found.promising is six
    assert found.to_dict()["promising"] == "six"


def test_recalls_that_were_refused_come_again() -> None:
    served = alone(200, apart=0.15)
    refused = [
        m._replace(query_id=f"r{i}", latency_ms=None, success=False, partial=True, tasks=(), cache_hit=None)
        for i, m in enumerate(served)
    ]
    found = ask([*served, *refused], TuningConfig(1), two=TuningConfig(2))
    assert found.recalls == 400
    assert found.measured_p99_ms == 100.0
    assert found.base.refused_rate.value > 0.1
    assert found.outcomes[0].refused_rate.value == 0.0


def test_only_recalls_of_the_asked_type_are_counted_while_all_are_simulated() -> None:
    slow = [record(i, 1000.0 + i, [LayerTask("graph", 0, 0, 500.0, 1)]) for i in range(60)]
    fast = [m._replace(query_type="meta") for m in alone(40, 20.0, 1.0)]
    base = in_force(TuningConfig(1))
    found = run_through(what_if([*slow, *fast], base, {}, scope="meta"))
    assert found.recalls == 40
    assert 19.9 < found.base.p99_ms.value <= 520.0
    with pytest.raises(ValueError, match="is of type temporal"):
        run_through(what_if(slow, base, {}, scope="temporal"))


def test_tasks_that_hang_are_not_rescued_by_a_longer_timeout() -> None:
    came = [LayerTask("semantic", 0.0, 0.0, 5.0 + i % 20, 1) for i in range(300)]
    hung = [LayerTask("semantic", 0.0, 0.0, 2000.0, 1, TaskOutcome.TIMEOUT)] * 12
    records = [
        record(i, 1000.0 + 5 * i, [task], partial=task.outcome is TaskOutcome.TIMEOUT)
        for i, task in enumerate([*came, *hung])
    ]
    found = ask(records, TuningConfig(timeout_seconds=2.0), longer=TuningConfig(timeout_seconds=20.0))
    assert found.given_up == 12
    (longer,) = found.outcomes
    assert longer.full_rate.value == found.base.full_rate.value
    assert longer.cost_change.value > 0


def test_tasks_that_would_have_come_a_little_later_are_rescued() -> None:
    rng = np.random.default_rng(3)
    times = rng.exponential(100.0, 600)
    tasks = [
        LayerTask("semantic", 0, 0, min(t, 250.0), 1, TaskOutcome.OK if t < 250 else TaskOutcome.TIMEOUT)
        for t in times.tolist()
    ]
    records = [record(i, 1000.0 + 5 * i, [t], partial=t.service_ms >= 250) for i, t in enumerate(tasks)]
    found = ask(records, TuningConfig(timeout_seconds=0.25), longer=TuningConfig(timeout_seconds=0.5))
    truth = float((times < 500).mean())
    assert found.base.full_rate.value == pytest.approx(float((times < 250).mean()), abs=0.001)
    assert found.outcomes[0].full_rate.value == pytest.approx(truth, abs=0.05)


def contended(limit: int, seed: int) -> tuple[Simulation, Trace]:
    rng = np.random.default_rng(seed)
    at = np.cumsum(rng.exponential(0.02, 1500))
    works = rng.gamma(4.0, 0.01, (1500, 2))
    trace = Trace(
        tuple(
            Arrival(float(t), "factual", (("semantic", float(a)), ("graph", float(b))))
            for t, (a, b) in zip(at, works, strict=True)
        )
    )

    def law(n: int) -> float:
        return 1 + 0.05 * (n - 1)

    return Simulation(trace, TuningConfig(limit), dict.fromkeys(("semantic", "graph"), law)).run(), trace


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_recorded_under_one_limit_foretells_what_another_brings(seed: int) -> None:
    recorded, _ = contended(6, seed)
    truth = contended(8, seed)[0].result()
    records = [recorded.record(i, epoch=1000.0) for i in range(1500)]
    found = ask(records, TuningConfig(6), eight=TuningConfig(8))
    (eight,) = found.outcomes
    p99 = float(np.sort(truth.latency_ms)[1485])
    assert found.base.p99_ms.value == pytest.approx(found.measured_p99_ms, rel=0.25)
    assert eight.p99_ms.value == pytest.approx(p99, rel=0.3)
    assert (eight.p99_change.value < 0) is (p99 < found.measured_p99_ms)


@pytest.mark.slow
@settings(max_examples=examples(25), deadline=None)
@given(
    st.lists(st.floats(0.5, 500.0), min_size=50, max_size=90),
    st.integers(1, 8),
    st.integers(1, 8),
    st.booleans(),
)
def test_every_interval_holds_its_value_and_shares_are_shares(
    times: list[float], before: int, after: int, parallel: bool
) -> None:
    records = [
        record(
            i, 1000.0 + 0.05 * i, [LayerTask(layer, 0, 0, ms, 1 + i % 3) for layer in ("graph", "semantic")]
        )
        for i, ms in enumerate(times)
    ]
    found = ask(records, TuningConfig(before), other=TuningConfig(after, enable_parallel=parallel))
    for outcome in (found.base, *found.outcomes):
        for estimate in (
            outcome.p50_ms, outcome.p95_ms, outcome.p99_ms, outcome.per_second, outcome.slot_ms,
            outcome.full_rate, outcome.p99_change, outcome.capacity_change, outcome.cost_change, outcome.gain,
        ):  # fmt: skip
            assert estimate.low <= estimate.value <= estimate.high
        assert 0 <= outcome.full_rate.value <= 1
        assert outcome.p50_ms.value <= outcome.p95_ms.value <= outcome.p99_ms.value


def test_the_same_question_has_the_same_answer_and_survives_a_pickle() -> None:
    records = bunches(120)
    answers = [ask(records, TuningConfig(2), four=TuningConfig(4)) for _ in range(2)]
    assert answers[0] == answers[1] == pickle.loads(pickle.dumps(answers[0]))


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan, math.inf])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed must be above 0"):
        run_through(what_if(alone(60), ConfigSet(), {}, speed=speed))


def test_recalls_without_telemetry_are_too_few_and_said_to_be() -> None:
    bare = [m._replace(tasks=()) for m in alone(300)]
    with pytest.raises(ValueError, match="0 recalls say what their layers did"):
        run_through(what_if(bare, ConfigSet(), {}))


def test_progress_goes_up_to_one() -> None:
    shares: list[float] = []
    run_through(what_if(alone(60), ConfigSet(), {"x": in_force(TuningConfig(2))}), shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_type_of_its_own_values_leaves_the_others_alone() -> None:
    at = with_config(ConfigSet(), "meta", timeout_seconds=2.0)
    assert at.for_type("meta").timeout_seconds == 2.0
    assert at.for_type("factual") == TuningConfig()
    with pytest.raises(ValueError, match="max_concurrent"):
        with_config(ConfigSet(), "all", max_concurrent=0)
    assert replace(at.by_type["meta"], scope="meta") == at.by_type["meta"]


def test_a_backlog_that_an_earlier_limit_left_is_not_taken_for_the_simulators_error() -> None:
    works = np.random.default_rng(3).lognormal(-4.0, 0.4, 600)
    trace = Trace(tuple(Arrival(0.02 * i, "meta", (("semantic", float(w)),)) for i, w in enumerate(works)))
    narrow, wide = (in_force(TuningConfig(limit, overload_after_seconds=None)) for limit in (1, 3))
    slowed = Simulation(trace, narrow)
    slowed.run(trace.arrivals[400].time)
    slowed.apply(wide)
    slowed.run()
    records = [
        slowed.record(i, 1000.0)._replace(config_version=int(i >= 400), source="live") for i in range(600)
    ]
    found = run_through(
        what_if(records, wide, {"two": in_force(TuningConfig(2, overload_after_seconds=None))})
    )
    workload = RecordedWorkload(records, "all", 1.0, np.random.default_rng(0), wide, PlanEvidence())
    as_it_was = workload.as_it_was(wide).latency_ms
    under = workload.under(1)
    assert workload.latency_ms[under] == pytest.approx(as_it_was[under], rel=0.05)
    from_nothing = workload.outcome(wide, workload.recorded).latency_ms[under]
    assert workload.latency_ms[under] != pytest.approx(from_nothing, rel=0.5)
    assert found.base.p99_ms.high < 2 * found.base.p99_ms.value


def test_behind_a_pool_fewer_slots_that_still_fill_it_change_nothing() -> None:
    rng, now, arrivals = np.random.default_rng(5), 0.0, []
    for _ in range(1200):
        now += rng.exponential(0.0125)
        arrivals.append(
            Arrival(now, "meta", tuple((n, float(rng.lognormal(-4.1, 0.6))) for n in ("graph", "semantic")))
        )
    base = in_force(TuningConfig(8, overload_after_seconds=None))
    ran = Simulation(Trace(tuple(arrivals)), base, connections=4).run()
    records = [ran.record(i, 1000.0) for i in range(1200)]
    others = {str(n): in_force(TuningConfig(n, overload_after_seconds=None)) for n in (5, 3)}
    same, fewer = run_through(what_if(records, base, others)).outcomes
    for seen in (same.p99_change, same.typical_change, same.capacity_change):
        assert seen.value == pytest.approx(0.0, abs=1e-3)
        assert seen.low < -0.01
        assert seen.high > 0.01
    assert fewer.capacity_change.value == pytest.approx(math.log(3 / 4), abs=0.02)
    assert fewer.p99_change.low > 0
