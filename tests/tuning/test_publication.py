"""What a tuner tells everybody: when, on what, with which doubt, and at what cost."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from athena_tuning.model import (
    Action,
    Candidate,
    ConfigSet,
    Decision,
    Forecast,
    Proposal,
    QueryMetrics,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.tuning import AutoTuner
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.timeouts import TimeoutAdvisor, TimeoutFinding
from athena_tuning.tuning.publication import doubt
from athena_tuning.tuning.recorded import proposals_on
from athena_tuning.tuning.settings import SEARCH
from athena_tuning.tuning.simulation import piecewise_run
from athena_tuning.tuning.simulation.simulator import Simulation, Slowdown
from athena_tuning.tuning.trace import Trace

NOW = 1_750_000_000.0
BEFORE, MORE = TuningConfig(max_concurrent=5), TuningConfig(max_concurrent=8)


def recalls(n: int) -> list[QueryMetrics]:
    known = [m for m in load_records("bursty", ending_at=NOW) if m.tasks]
    return [known[i % len(known)]._replace(timestamp=NOW - (n - i) * 0.05) for i in range(n)]


def told_at(n: int) -> list[int]:
    """Return the recalls at which a tuner that meets them one after the other tells a searched proposal."""
    profiler = PerformanceProfiler(clock=lambda: NOW)
    tuner, configs, told = AutoTuner(profiler, clock=lambda: NOW), ConfigSet(), []
    tuner.in_force(configs)
    for i, record in enumerate(recalls(n), 1):
        profiler.record_query(record)
        tuner.step(configs, NOW)
        while tuner.is_looking:
            tuner.step(configs, NOW)
        if any(p.in_force for p in tuner.proposals(configs, NOW)):
            told.append(i)
    return told


@pytest.mark.slow
def test_a_proposal_is_told_anew_when_a_third_of_the_recalls_is_new() -> None:
    told = told_at(1000)
    assert told[0] == 150
    searches = [150, 225, 337, 505, 757]
    assert set(searches) <= set(told)
    assert all(later <= max(1.5 * before, before + 75) + 1 for before, later in pairwise(told))


def test_it_is_not_told_again_while_nothing_is_new() -> None:
    profiler = PerformanceProfiler(clock=lambda: NOW)
    tuner, configs = AutoTuner(profiler, clock=lambda: NOW), ConfigSet()
    assert [p.missing for p in tuner.proposals(configs, NOW)] == ["0 of 10 live recalls"]
    assert tuner.proposals(configs, NOW) == ()
    for record in recalls(2000):
        profiler.record_query(record)
    tuner.step(configs, NOW)
    first = tuner.proposals(configs, NOW)
    assert first[0].current.decision.summary.startswith("Nothing is proposed at this moment")
    while tuner.is_looking:
        tuner.step(configs, NOW)
    assert tuner.proposals(configs, NOW)[0].in_force is not None
    assert tuner.proposals(configs, NOW) == ()


def test_each_config_is_simulated_once_and_judged_by_all_strategies(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: Counter[tuple[Any, ...]] = Counter()
    real = piecewise_run.Simulation

    def counted(trace: Trace, config: TuningConfig, slow: dict[str, Slowdown], **more: Any) -> Simulation:
        values = {k: str(v) for k, v in config.to_dict().items() if k != "strategy"}
        laws = tuple(law(4) for law in slow.values())
        runs[tuple(sorted(values.items())), len(trace), laws] += 1
        return real(trace, config, slow, **more)

    monkeypatch.setattr(piecewise_run, "Simulation", counted)
    [whole, *_] = proposals_on(recalls(400), ConfigSet(), NOW)
    assert set(whole.by_strategy) == set(TuningStrategy)
    assert all(proposed.forecast for proposed in whole.by_strategy.values())
    assert max(runs.values()) == 1
    by_law = Counter(law for _, _, law in runs)
    assert max(by_law.values()) <= 2 * len(SEARCH.limits), "no strategy has a search of its own"


def test_what_is_the_same_for_all_scopes_and_strategies_is_looked_into_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reviews: list[int] = []
    real = TimeoutAdvisor.review

    def counted(advisor: TimeoutAdvisor, evidence: Evidence, found: TimeoutFinding) -> Any:
        reviews.append(evidence.telemetry.position)
        return real(advisor, evidence, found)

    monkeypatch.setattr(TimeoutAdvisor, "review", counted)
    told = proposals_on(recalls(400), ConfigSet(), NOW)
    assert len(told) > 2
    after = [proposed.decision.after for each in told for proposed in each.by_strategy.values()]
    assert len({config.timeout_seconds for config in after}) > 1, "timeouts are proposed"
    assert len(reviews) == 1


def proposal(recalls: int = 900, simulated: float = 11.0, measured: float | None = 10.0) -> Proposal:
    forecast = Forecast(simulated, 300.0, 9.0, 1.0)
    return Proposal("all", NOW, "w", 1, TuningStrategy.BALANCED, recalls, 150, {}, forecast, measured)


def made(after: TuningConfig, predicted: float | None = -0.2, high: float = -0.1) -> Decision:
    tried = () if predicted is None else (Candidate(after, predicted, -0.3, high),)
    return Decision(
        "d",
        NOW,
        "model",
        "all",
        Action.CANARY,
        BEFORE,
        after,
        "s",
        900,
        candidates=tried,
        predicted=predicted,
    )


@pytest.mark.parametrize(
    ("told", "decision", "pending", "words"),
    [
        (proposal(), made(MORE), None, ""),
        (proposal(), made(BEFORE, None), None, ""),
        (proposal(120), made(MORE), None, "warming up: 120 of 150 live recalls"),
        (proposal(), made(MORE), "being looked at", "being looked at"),
        (proposal(), made(MORE, -0.1, 0.02), None, "it may as well change nothing: -26% to +2%"),
        (proposal(), made(MORE, None), None, "what it would bring was not simulated"),
        (proposal(simulated=31.0), made(MORE), None, "p99 31 ms simulated, 10 ms measured"),
        (proposal(simulated=3.0), made(MORE), None, "p99 3 ms simulated, 10 ms measured"),
        (proposal(simulated=31.0), made(TuningConfig(5, timeout_seconds=6.0), None), None, ""),
        (proposal(measured=None), made(MORE), None, ""),
    ],
)
def test_a_proposal_says_why_it_is_no_advice(
    told: Proposal, decision: Decision, pending: str | None, words: str
) -> None:
    said = doubt(told, decision, pending)
    assert (words in said) if words else said == ""
