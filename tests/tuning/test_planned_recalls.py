"""Plans in the simulation: second rounds by the odds of the evidence, added layers, what is lost."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from athena_tuning.model import ConfigSet, LayerTask, QueryMetrics, TuningConfig
from athena_tuning.tuning.estimation.layer_value import LayerValue, Mean, Share
from athena_tuning.tuning.estimation.plan_evidence import LayerEvidence, PlanEvidence
from athena_tuning.tuning.estimation.telemetry import measured
from athena_tuning.tuning.simulation.planned_recalls import Odds, asked_later
from athena_tuning.tuning.simulation.simulator import Simulation, in_force
from athena_tuning.tuning.simulation.what_if import Outcome, what_if, with_config
from athena_tuning.tuning.slices import run_through
from athena_tuning.tuning.trace import Arrival, Trace

WORKS = {"episodic": 20.0, "semantic": 30.0, "graph": 50.0}
ONCE = TuningConfig()
LATER = TuningConfig(second_round=frozenset({"graph"}))


def recall(i: int, layers: dict[str, float] = WORKS, *, later: str = "", **more: object) -> QueryMetrics:
    """A recall that met nobody; ``later`` was asked when the others were over."""
    first = max(ms for name, ms in layers.items() if name != later)
    tasks = tuple(LayerTask(n, first if n == later else 0.0, 0.0, ms, 1) for n, ms in layers.items())
    made = QueryMetrics(
        f"q{i}", f"question {i}", "factual", 1000.0 + 10.0 * i,
        max(t.offset_ms + t.service_ms for t in tasks),
        None, False, 3, [*layers], layers, True, parallel_execution=True, tasks=tasks,
    )  # fmt: skip
    return made._replace(**more)


def known(spared: int, recalls: int = 1000, **means: Mean) -> PlanEvidence:
    return PlanEvidence({"factual": {"graph": LayerEvidence(Share(spared, recalls), **means)}})


def tried(
    records: list[QueryMetrics],
    config: TuningConfig,
    evidence: PlanEvidence | None = None,
    base: TuningConfig = ONCE,
) -> tuple[Outcome, Outcome]:
    """Return what the base comes to, and another config."""
    configs = with_config(ConfigSet(), "all", **base.to_dict())
    other = with_config(configs, "all", **config.to_dict())
    found = run_through(what_if(records, configs, {"other": other}, evidence=evidence))
    return found.base, found.outcomes[0]


def test_a_round_begins_when_the_one_before_it_is_over_and_holds_no_slot_before() -> None:
    asked = Arrival(0.0, "factual", (("graph", 0.5), ("episodic", 0.2), ("semantic", 0.3)), rounds=(1, 0, 0))
    simulation = Simulation(Trace((asked,)), TuningConfig(max_concurrent=4)).run()
    run = simulation.result()
    assert run.latency_ms[0] == pytest.approx(800.0)
    assert run.calls[0] == 3.0
    graph, *first = simulation.record(0).tasks
    assert (graph.layer, graph.offset_ms) == ("graph", pytest.approx(300.0))
    assert {task.offset_ms for task in first} == {0.0}
    assert simulation.ample == 2


def test_a_deadline_ends_a_recall_before_its_second_round_without_a_missing_layer() -> None:
    asked = Arrival(0.0, "factual", (("episodic", 0.2), ("graph", 9.0)), rounds=(0, 1))
    late = Simulation(Trace((asked,)), TuningConfig(deadline_seconds=0.1)).run().result()
    assert (late.latency_ms[0], late.calls[0], late.partial[0]) == (pytest.approx(100.0), 1.0, True)
    between = Simulation(Trace((asked,)), TuningConfig(deadline_seconds=1.0)).run().result()
    assert (between.latency_ms[0], between.calls[0]) == (pytest.approx(1000.0), 2.0)


def test_layers_that_are_left_out_are_in_no_round() -> None:
    asked = Arrival(0.0, "factual", (("episodic", 0.2), ("graph", 9.0)), rounds=(0, 1))
    config = TuningConfig(skipped_layers=frozenset({"episodic"}))
    run = Simulation(Trace((asked,)), in_force(config)).run().result()
    assert (run.latency_ms[0], run.calls[0]) == (pytest.approx(9000.0), 1.0)


@pytest.mark.parametrize("rounds", [(1, 1), (0,)])
def test_rounds_that_are_not_of_the_tasks_are_refused(rounds: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="recall 0 has 2 tasks in rounds"):
        Trace((Arrival(0.0, "meta", (("a", 0.1), ("b", 0.1)), rounds=rounds),))


@pytest.mark.parametrize("spared", [0, 700, 1000])
def test_a_second_round_is_asked_as_often_as_the_evidence_shows(spared: int) -> None:
    base, later = tried([recall(i) for i in range(400)], LATER, known(spared))
    called = 1 - spared / 1000
    assert base.calls.value == pytest.approx(3.0)
    assert later.calls.value == pytest.approx(2 + called, abs=0.08)
    assert later.calls.low - 0.001 < 2 + called < later.calls.high + 0.001
    assert base.p50_ms.value == pytest.approx(50.0)
    assert (later.p99_ms.value > 50.0) is (called > 0.02)  # two rounds take longer than one,
    assert (later.p50_ms.value > 50.0) is (called > 0.5)  # and without graph the others are soon over


def test_without_evidence_nobody_knows_how_often_a_second_round_is_called_for() -> None:
    _, later = tried([recall(i) for i in range(200)], LATER)
    assert later.calls.low < 2.2
    assert later.calls.high > 2.8
    assert math.isnan(later.lost.value)


def test_what_recalls_did_under_the_same_plan_is_taken_as_it_was() -> None:
    """One in four called for graph, whatever evidence of another time says."""
    two = {"episodic": 20.0, "semantic": 30.0}
    records = [recall(i, WORKS if i % 4 == 0 else two, later="graph" * (i % 4 == 0)) for i in range(200)]
    base, once = tried(records, TuningConfig(), known(0), base=LATER)
    assert base.calls.value == pytest.approx(2.25)
    assert base.p99_ms.value == pytest.approx(80.0)
    assert once.calls.value == pytest.approx(3.0)  # asked at once, it works as it did elsewhere
    assert once.p99_ms.value < 80.0


def test_a_layer_that_is_added_works_as_it_did_for_others_of_the_type() -> None:
    two = {"episodic": 20.0, "semantic": 30.0}
    records = [recall(i, WORKS if i % 10 == 0 else two) for i in range(200)]
    base, added = tried(records, TuningConfig(extra_layers=frozenset({"graph"})))
    assert base.calls.value == pytest.approx(2.1)
    assert added.calls.value == pytest.approx(3.0)
    assert added.p50_ms.value >= 50.0 > base.p50_ms.value


def test_one_layer_is_no_first_round() -> None:
    records = [recall(i, {"episodic": 20.0, "graph": 50.0}) for i in range(100)]
    _, later = tried(records, LATER, known(1000))
    assert later.calls.value == pytest.approx(2.0)


def test_what_a_plan_loses_is_what_is_there_because_of_the_layer_where_the_others_agree() -> None:
    evidence = known(700, part=Mean(0.2, 0.01, 900), waiting=Mean(0.02, 0.005, 900))
    records = [recall(i) for i in range(100)]
    _, later = tried(records, LATER, evidence)
    assert later.lost == pytest.approx((0.02, 0.02 - 1.96 * 0.005, 0.02 + 1.96 * 0.005))
    _, without = tried(records, TuningConfig(skipped_layers=frozenset({"graph"})), evidence)
    assert without.lost.value == pytest.approx(0.2)
    _, at_once = tried(records, TuningConfig(), evidence, base=LATER)
    assert at_once.lost.value == pytest.approx(-0.02)


def test_what_is_lost_is_of_the_recalls_that_ask_the_layer_and_nothing_where_none_does() -> None:
    evidence = known(700, part=Mean(0.2, 0.01, 900))
    without = TuningConfig(skipped_layers=frozenset({"graph", "prospective"}))  # nobody asks prospective
    two = {"episodic": 20.0, "semantic": 30.0}
    _, left_out = tried([recall(i, WORKS if i % 4 == 0 else two) for i in range(200)], without, evidence)
    assert left_out.lost.value == pytest.approx(0.05)


def test_an_added_layer_gains_what_it_would_be_of_the_answers_that_lack_it() -> None:
    evidence = known(0, beside=Mean(0.3, 0.02, 20))
    two = {"episodic": 20.0, "semantic": 30.0}
    records = [recall(i, WORKS if i % 4 == 0 else two) for i in range(200)]
    _, added = tried(records, TuningConfig(extra_layers=frozenset({"graph"})), evidence)
    assert added.lost.value == pytest.approx(-0.3 * 0.75)


def test_a_layer_that_is_no_longer_added_loses_what_it_gave() -> None:
    evidence = known(0, part=Mean(0.2, 0.01, 900))
    base = TuningConfig(extra_layers=frozenset({"graph"}))
    _, dropped = tried([recall(i) for i in range(100)], TuningConfig(), evidence, base=base)
    assert dropped.lost.value == pytest.approx(0.2)


def test_several_layers_wait_with_odds_between_the_largest_and_the_sum() -> None:
    evidence = PlanEvidence(
        {"factual": {name: LayerEvidence(Share(n, 10_000)) for name, n in (("graph", 8000), ("meta", 7000))}}
    )
    both = frozenset({"graph", "meta"})
    drawn = [Odds(evidence, np.random.default_rng(i)).called_for("factual", both) for i in range(200)]
    assert Odds(evidence).called_for("factual", both) == pytest.approx(0.4, abs=0.01)
    assert 0.28 < min(drawn) < 0.33
    assert 0.47 < max(drawn) < 0.52
    assert Odds(evidence).called_for("temporal", frozenset({"graph"})) == pytest.approx(0.2, abs=0.01)


def test_evidence_goes_through_a_store_and_what_is_damaged_is_refused() -> None:
    value = LayerValue(spared=Share(3, 4), part=Mean(0.5, 0.1, 4), waiting=Mean(0.1, 0.05, 4))
    evidence = PlanEvidence.of({"factual": {"graph": value}})
    again = PlanEvidence.from_dict(evidence.to_dict()).layer("factual", "graph")
    assert (again.spared, again.part, again.waiting) == (value.spared, value.part, value.waiting)
    assert math.isnan(again.beside.mean)
    assert again.beside.n == 0
    with pytest.raises(ValueError, match="evidence on layers"):
        PlanEvidence.from_dict({"factual": {"graph": {"spared": [1]}}})


def test_what_was_asked_later_is_told_by_its_beginning() -> None:
    one = measured(recall(1, later="graph"))
    assert one is not None
    assert asked_later(one) == {"graph"}
    at_once = measured(recall(1))
    assert at_once is not None
    assert asked_later(at_once) == frozenset()


def test_versions_before_the_plan_say_nothing_of_it() -> None:
    """All asked graph at once before version 3; under it one in two would call for it."""
    configs = with_config(ConfigSet(), "all", **LATER.to_dict())
    configs = replace(configs, default=replace(configs.default, version=3))
    found = run_through(what_if([recall(i) for i in range(300)], configs, {}, evidence=known(500)))
    assert found.base.calls.value == pytest.approx(2.5, abs=0.1)
