"""Admission settings are chosen by what they lose, in a simulation that knows who was refused."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from athena_tuning.model import ConfigSet, QueryMetrics, TuningBounds, TuningConfig, TuningStrategy
from athena_tuning.tuning.estimation.telemetry import Telemetry, trace_of
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.admission_advisor import AdmissionAdvisor, AdmissionFinding
from athena_tuning.tuning.policies.canary import Rates
from athena_tuning.tuning.simulation.simulator import Simulation
from athena_tuning.tuning.simulation.what_if import with_config
from athena_tuning.tuning.slices import run_through
from athena_tuning.tuning.trace import Arrival, Trace


def recorded(config: TuningConfig, rate: float, rush: float = 1.0, seed: int = 1) -> list[QueryMetrics]:
    """Recalls of two layers with a mean of 40 ms of work, as a manager recorded them that refuses.

    Of each 250 recalls 125 come ``rush`` times as fast.
    """
    rng, now, arrivals = random.Random(seed), 0.0, []
    for i in range(1500):
        now += rng.expovariate(rate * (rush if i % 250 < 125 else 1.0))
        works = tuple((layer, rng.expovariate(50.0)) for layer in ("semantic", "graph"))
        arrivals.append(Arrival(now, "factual", works))
    run = Simulation(Trace(tuple(arrivals)), config, admission=True).run()
    return [run.record(i, 1000.0) for i in run.finished]


def evidence(config: TuningConfig, records: list[QueryMetrics]) -> Evidence:
    return Evidence(
        with_config(ConfigSet(), "all", **config.to_dict()),
        TuningStrategy.LATENCY,
        TuningBounds(),
        10,
        100,
        2000.0,
        telemetry=Telemetry().after(records),
    )


def reviewed(config: TuningConfig, records: list[QueryMetrics]) -> tuple[Evidence, AdmissionFinding]:
    known = evidence(config, records)
    return known, run_through(AdmissionAdvisor().review(known, AdmissionFinding()))


def test_settings_that_refuse_in_every_burst_are_relaxed() -> None:
    hasty = TuningConfig(4, overload_after_seconds=0.2, overload_wait_seconds=0.01)
    records = recorded(hasty, rate=50.0, rush=3.0)
    assert sum(m.refused for m in records[-1000:]) > 20
    known, found = reviewed(hasty, records)
    assert found.after is not None
    assert found.left < found.lost - 0.02
    advice = AdmissionAdvisor().advise(known, found, "all")
    assert advice is not None
    assert advice.material
    assert {reason.parameter for reason in advice.reasons} == AdmissionAdvisor.parameters
    assert AdmissionAdvisor().advise(known, found, "factual") is None


@pytest.mark.parametrize("rate", [40.0, 70.0])
def test_where_nobody_is_refused_nothing_is_looked_for(rate: float) -> None:
    config = TuningConfig(4)
    assert reviewed(config, recorded(config, rate))[1] == AdmissionFinding()


def test_an_operator_who_lets_all_wait_is_left_alone() -> None:
    hasty = TuningConfig(4, overload_after_seconds=0.2, overload_wait_seconds=0.01)
    all_wait = replace(hasty, overload_after_seconds=None)
    known, found = reviewed(all_wait, recorded(hasty, rate=50.0, rush=3.0))
    assert found == AdmissionFinding()
    assert AdmissionAdvisor().advise(known, AdmissionFinding(0.9, 0.1), "all") is None


def test_refused_recalls_are_part_of_the_load_with_the_works_of_their_like() -> None:
    records = recorded(TuningConfig(2), rate=92.0)
    telemetry = Telemetry().after(records)
    refused = sum(m.refused for m in records)
    assert refused > 100
    assert telemetry.position == len(records)
    arrivals = trace_of(telemetry.recalls, telemetry.laws).arrivals
    assert len(arrivals) == len(records)
    assert all(len(arrival.tasks) == 2 for arrival in arrivals)


def test_a_change_under_which_more_are_refused_has_failed() -> None:
    calm, full = (Telemetry().after(recorded(TuningConfig(n), rate=92.0)).recalls for n in (8, 2))
    assert Rates.of(calm).fell(Rates.of(full))
    assert not Rates.of(full).fell(Rates.of(calm))
