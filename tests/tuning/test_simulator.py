from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_tuning.model import ConfigSet, ConfigVersion, Mode, TaskOutcome, TuningConfig
from athena_tuning.tuning.simulation.simulator import Simulation, in_force, simulate
from athena_tuning.tuning.trace import Arrival, Trace
from tests.support.examples import examples

LAYERS = ("semantic", "graph", "episodic")


def trace(recalls: int, rate: float, layers: int, seed: int = 1, work: float = 0.01) -> Trace:
    rng = random.Random(seed)
    now, arrivals = 0.0, []
    for _ in range(recalls):
        now += rng.expovariate(rate)
        arrivals.append(
            Arrival(now, "factual", tuple((n, rng.expovariate(1 / work)) for n in LAYERS[:layers]))
        )
    return Trace(tuple(arrivals))


def by_simpy(asked: Trace, config: TuningConfig) -> list[float]:
    env = simpy.Environment()
    slots = simpy.Resource(env, config.max_concurrent)
    latency = [math.nan] * len(asked)

    def task(work: float) -> Iterator[Any]:
        with slots.request() as slot:
            yield slot
            yield env.timeout(work)

    def recall(i: int, arrival: Arrival) -> Iterator[Any]:
        yield env.timeout(arrival.time)
        begun = env.now
        if config.enable_parallel:
            yield env.all_of([env.process(task(work)) for _, work in arrival.tasks])
        else:
            for _, work in arrival.tasks:
                yield env.process(task(work))
        latency[i] = (env.now - begun) * 1000

    for i, arrival in enumerate(asked.arrivals):
        env.process(recall(i, arrival))
    env.run()
    return latency


def erlang_c(servers: int, load: float) -> float:
    """Probability that an arrival waits in M/M/c."""
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


@pytest.mark.parametrize("limit", [1, 3, 8])
@pytest.mark.parametrize("parallel", [True, False])
def test_without_contention_it_equals_simpy(limit: int, parallel: bool) -> None:
    asked = trace(800, 60, 3)
    config = TuningConfig(max_concurrent=limit, enable_parallel=parallel)
    np.testing.assert_allclose(simulate(asked, config).latency_ms, by_simpy(asked, config), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("servers", "rate"), [(1, 60.0), (3, 240.0), (8, 700.0)])
def test_waits_of_m_m_c_are_erlang_c(servers: int, rate: float) -> None:
    asked = trace(150_000, rate, 1, seed=3)
    latency = simulate(asked, TuningConfig(max_concurrent=servers)).latency_ms
    load = rate * 0.01
    expected = 10 + 10 * erlang_c(servers, load) / (servers - load)
    assert float(latency.mean()) == pytest.approx(expected, rel=0.06)


def test_contention_slows_tasks_at_every_moment_by_what_then_runs() -> None:
    asked = Trace((Arrival(0.0, "meta", (("semantic", 1.0),)), Arrival(0.5, "meta", (("semantic", 1.0),))))
    run = simulate(asked, TuningConfig(), {"semantic": float})
    # alone to 0.5, then both at half speed: the first has 0.5 left and takes 1.0
    assert run.latency_ms.tolist() == pytest.approx([1500, 1500])


def test_a_law_of_one_layer_leaves_the_others_alone() -> None:
    asked = Trace((Arrival(0.0, "factual", (("semantic", 1.0), ("graph", 1.0))),))
    simulation = Simulation(asked, TuningConfig(), {"graph": float}).run()
    times = {t.layer: t.service_ms for t in simulation.record(0).tasks}
    assert times == pytest.approx({"semantic": 1000, "graph": 1500})


def test_timeouts_give_up_a_task_free_its_slot_and_make_the_answer_partial() -> None:
    asked = Trace(
        (
            Arrival(0.0, "factual", (("semantic", 0.2), ("graph", 9.0))),
            Arrival(0.1, "meta", (("graph", 0.1),)),
        )
    )
    config = TuningConfig(max_concurrent=2, timeout_seconds=1.0)
    simulation = Simulation(asked, config).run()
    run = simulation.result()
    assert run.latency_ms.tolist() == pytest.approx([1000, 200])
    assert run.partial.tolist() == [True, False]
    assert not run.failed.any()
    assert [t.outcome for t in simulation.record(0).tasks] == [TaskOutcome.OK, TaskOutcome.TIMEOUT]


def test_timeouts_hold_under_contention_too() -> None:
    asked = Trace((Arrival(0.0, "meta", (("graph", 1.0),)), Arrival(0.0, "meta", (("graph", 1.0),))))
    run = simulate(asked, TuningConfig(timeout_seconds=1.5), {"graph": float})
    assert run.latency_ms.tolist() == pytest.approx([1500, 1500])
    assert run.failed.all()


def test_a_deadline_gives_a_partial_answer_in_time() -> None:
    asked = Trace((Arrival(0.0, "factual", (("semantic", 0.01), ("graph", 5.0))),))
    run = simulate(asked, TuningConfig(deadline_seconds=0.05))
    assert run.latency_ms.tolist() == pytest.approx([50])
    assert run.partial.tolist() == [True]


def test_a_repeated_question_is_answered_by_the_cache_if_it_is_on() -> None:
    arrivals = tuple(Arrival(float(i), "meta", (("semantic", 0.1),), "same?") for i in range(3))
    assert simulate(Trace(arrivals), TuningConfig()).hits.tolist() == [False, True, True]
    assert not simulate(Trace(arrivals), TuningConfig(enable_cache=False)).hits.any()


def test_skipped_layers_do_not_run_unless_nothing_would() -> None:
    asked = Trace(
        (
            Arrival(0.0, "factual", (("semantic", 0.1), ("graph", 1.0))),
            Arrival(5.0, "meta", (("graph", 1.0),)),
        )
    )
    run = simulate(asked, TuningConfig(skipped_layers=frozenset({"graph"})))
    assert run.latency_ms.tolist() == pytest.approx([100, 1000])


def test_in_turn_skips_too() -> None:
    asked = Trace((Arrival(0.0, "x", (("semantic", 0.1), ("graph", 1.0), ("episodic", 0.1))),))
    config = TuningConfig(skipped_layers=frozenset({"graph"}), enable_parallel=False)
    assert simulate(asked, config).latency_ms.tolist() == pytest.approx([200])


def test_a_closed_loop_asks_the_next_question_when_it_has_its_answer() -> None:
    asked = Trace(tuple(Arrival(0.0, "meta", (("semantic", 0.1),)) for _ in range(40)))
    run = Simulation(asked, TuningConfig(max_concurrent=20), clients=4).run().result()
    assert run.latency_ms.tolist() == pytest.approx([100] * 40)
    assert run.ended.max() == pytest.approx(1.0)


def test_a_raised_limit_holds_at_once_a_lowered_one_as_slots_come_back() -> None:
    asked = Trace(tuple(Arrival(0.0, "meta", (("semantic", 1.0),)) for _ in range(8)))
    simulation = Simulation(asked, TuningConfig(max_concurrent=2))
    simulation.run(0.5)
    assert simulation.in_flight == 2
    four = replace(simulation.configs.default.config, max_concurrent=4)
    version = ConfigVersion(1, 0, "all", four, Mode.AUTO, "test", "", 0.5)
    simulation.apply(ConfigSet().with_version(version))
    assert simulation.in_flight == 4
    simulation.apply(ConfigSet())
    one = replace(version, version=2, config=replace(four, max_concurrent=1))
    simulation.apply(ConfigSet().with_version(one))
    simulation.run(1.6)
    assert simulation.in_flight <= 1
    assert not np.isnan(simulation.run().result().latency_ms).any()


def test_records_say_what_happened_in_the_words_of_a_manager() -> None:
    asked = Trace(tuple(Arrival(0.0, "factual", (("semantic", 0.1), ("graph", 0.1))) for _ in range(2)))
    simulation = Simulation(asked, TuningConfig(max_concurrent=2)).run()
    second = simulation.record(1, epoch=1000.0)
    assert (second.timestamp, second.latency_ms) == (1000.0, pytest.approx(200))
    assert [t.queue_ms for t in second.tasks] == pytest.approx([100, 100])
    assert [t.in_flight for t in second.tasks] == [2, 2]
    assert second.parallel_execution


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(1, 8), st.booleans(), st.integers(0, 10_000), st.floats(0, 0.5))
def test_every_recall_ends_no_sooner_than_its_work_and_slots_are_never_exceeded(
    limit: int, parallel: bool, seed: int, sigma: float
) -> None:
    asked = trace(60, 120, 3, seed)
    config = TuningConfig(max_concurrent=limit, enable_parallel=parallel)
    slow = dict.fromkeys(LAYERS, lambda n: 1 + sigma * (n - 1))
    simulation = Simulation(asked, config, slow)
    while not simulation.over:
        simulation.run(simulation.now + 0.01)
        assert 0 <= simulation.in_flight <= limit
    latency = simulation.result().latency_ms
    for i, arrival in enumerate(asked.arrivals):
        works = [work * 1000 for _, work in arrival.tasks]
        assert latency[i] >= (max(works) if parallel else sum(works)) - 1e-6
    assert all(t.in_flight <= limit for i in range(60) for t in simulation.record(i).tasks)


def test_a_trace_that_runs_backwards_or_has_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="recall 1 comes at 1"):
        Trace((Arrival(2.0, "meta", ()), Arrival(1.0, "meta", ())))
    with pytest.raises(ValueError, match="recall 0 has a work"):
        Trace((Arrival(2.0, "meta", (("semantic", math.nan),)),))


def asked_at(times: list[float]) -> Trace:
    return Trace(tuple(Arrival(at, "factual", (("semantic", 0.1),)) for at in times))


def test_in_an_overload_recalls_are_refused_whole_and_the_rest_is_answered_in_time() -> None:
    asked = asked_at([i / 20 for i in range(400)])  # 20 a second for a limit that serves 10
    simulation = Simulation(asked, TuningConfig(1), admission=True).run()
    run = simulation.result()
    assert 150 <= run.refused.sum() <= 210
    assert np.isinf(run.latency_ms[run.refused]).all()
    assert run.failed[run.refused].all()
    late = run.latency_ms[~run.refused][50:] > 500
    assert late.sum() <= 5
    record = simulation.record(int(np.flatnonzero(run.refused)[0]))
    assert (record.refused, record.latency_ms, record.tasks) == (True, None, ())
    waits = Simulation(asked, TuningConfig(1)).run().result()
    assert not waits.refused.any()
    assert waits.latency_ms[-1] > 10_000


def test_calm_recalls_meet_the_same_with_admission_and_without() -> None:
    asked = asked_at([i / 9 for i in range(400)])
    with_it, without = (Simulation(asked, TuningConfig(1), admission=a).run().result() for a in (True, False))
    assert with_it.latency_ms.tolist() == without.latency_ms.tolist()


def test_a_lower_limit_sheds_the_backlog_in_virtual_time() -> None:
    patient = TuningConfig(4, overload_after_seconds=60.0)
    asked = asked_at([0.0] * 20 + [4.0 + i / 9 for i in range(20)])
    simulation = Simulation(asked, patient, admission=True)
    simulation.run(0.25)
    simulation.apply(in_force(replace(patient, max_concurrent=1)))
    refused = simulation.run().result().refused
    assert refused[:20].tolist() == [False] * 12 + [True] * 7 + [False]  # begun; waiting; the last
    assert not refused[20:].any()


def test_tasks_beyond_the_connections_stand_in_line_and_hold_their_slots() -> None:
    asked = Trace(tuple(Arrival(0.0, "meta", (("semantic", 0.1),)) for _ in range(4)))
    ran = Simulation(asked, TuningConfig(max_concurrent=3), connections=1).run()
    assert ran.result().latency_ms.tolist() == pytest.approx([100.0, 200.0, 300.0, 400.0])
    assert ran.result().held_ms.tolist() == pytest.approx([100.0, 200.0, 300.0, 300.0])


@given(st.integers(1, 6), st.integers(1, 6))
def test_behind_fewer_connections_than_slots_recalls_take_what_they_would_with_so_few_slots(
    slots: int, connections: int
) -> None:
    rng, now, arrivals = random.Random(7), 0.0, []
    for _ in range(80):
        now += rng.expovariate(120)
        arrivals.append(Arrival(now, "meta", tuple((n, rng.expovariate(100)) for n in ("graph", "semantic"))))
    asked = Trace(tuple(arrivals))
    behind = Simulation(asked, TuningConfig(max_concurrent=slots), connections=connections).run().result()
    with_so_few = Simulation(asked, TuningConfig(max_concurrent=min(slots, connections))).run().result()
    assert behind.latency_ms == pytest.approx(with_so_few.latency_ms)


def test_who_gives_up_in_line_leaves_it_and_a_connection_given_up_serves_the_next() -> None:
    works = (0.3, 0.05, 0.1)
    asked = Trace(tuple(Arrival(0.0, "meta", (("semantic", work),)) for work in works))
    config = TuningConfig(max_concurrent=3, timeout_seconds=0.2)
    run = Simulation(asked, config, connections=1).run().result()
    assert run.partial.tolist() == [True, True, True]
    assert run.latency_ms.tolist() == pytest.approx([200.0, 200.0, 200.0])
    patient = replace(config, layer_timeouts={"semantic": 0.32})
    assert Simulation(asked, patient, connections=1).run().result().partial.tolist() == [False, True, True]


def test_a_line_and_a_slowdown_are_not_simulated_together() -> None:
    with pytest.raises(ValueError, match="2 connections"):
        Simulation(Trace(()), TuningConfig(), {"graph": float}, connections=2)
