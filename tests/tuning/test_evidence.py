"""Evidence: that it is small, that it comes back as it was, and that it leads to the same decision again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import accumulate

import numpy as np
import pytest

from athena_tuning.model import (
    Action,
    ConfigSet,
    Decision,
    LayerTask,
    QueryMetrics,
    TaskOutcome,
    TuningBounds,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.testing.virtual_manager import VirtualManager
from athena_tuning.tuning.estimation.telemetry import Telemetry
from athena_tuning.tuning.evidence import Evidence, pack, unpack
from athena_tuning.tuning.policies.model_policy import ModelPolicy
from athena_tuning.tuning.rerun import rerun
from athena_tuning.tuning.settings import TELEMETRY
from athena_tuning.tuning.simulation.simulator import Slowdown
from athena_tuning.tuning.trace import Arrival, Trace

MOST_BYTES = 300_000
OF_ITS_OWN = {"decision_id", "time", "config_version"}


def trace(recalls: int, seed: int = 5) -> Trace:
    """Two types over three layers; the load trebles in the middle, and one layer has a heavy tail."""
    rng, now, arrivals = random.Random(seed), 0.0, []
    for i in range(recalls):
        now += rng.expovariate(90 if recalls // 3 < i < 2 * recalls // 3 else 30)
        layers = ("semantic", "graph") if i % 3 else ("semantic", "graph", "episodic")
        works = tuple(
            (name, 0.02 * rng.lognormvariate(0, 1.8 if name == "graph" else 0.4)) for name in layers
        )
        arrivals.append(Arrival(now, "factual" if i % 3 else "temporal", works))
    return Trace(tuple(arrivals))


def thrashing(n: int) -> float:
    return 1.0 if n <= 8 else n / 8 + 0.05 * (n - 8) ** 2


def same(one: Decision, other: Decision) -> bool:
    return all(
        getattr(one, f.name) == getattr(other, f.name) for f in fields(one) if f.name not in OF_ITS_OWN
    )


SLOW: dict[str, Slowdown] = dict.fromkeys(("semantic", "graph"), thrashing)


def failing_at_3(m: QueryMetrics) -> QueryMetrics:
    return m._replace(partial=m.config_version == 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "record"),
    [(TuningStrategy.LATENCY, lambda m: m), (TuningStrategy.THROUGHPUT, failing_at_3)],
)
def test_every_decision_of_thousands_of_recalls_is_made_again_from_its_evidence(
    strategy: TuningStrategy, record: Callable[[QueryMetrics], QueryMetrics]
) -> None:
    start = TuningConfig(strategy=strategy, timeout_seconds=2.0)
    manager = VirtualManager(trace(4000), ModelPolicy(), SLOW, start, record, keep_evidence=True).run()
    assert len(manager.decisions) >= 8
    assert {d.action for d in manager.decisions} >= {Action.KEEP, Action.CANARY, Action.CONFIRM}
    for decision, data in zip(manager.decisions, manager.evidence, strict=True):
        assert len(data) < MOST_BYTES
        again = rerun(data)
        assert any(same(decision, other) for other in again), decision.summary


@pytest.mark.slow
def test_evidence_of_decisions_before_the_last_step_is_gone() -> None:
    manager = VirtualManager(trace(600), ModelPolicy(), SLOW).run()
    assert manager.tuner.evidence_of(manager.decisions[0].decision_id) is None
    assert manager.tuner.evidence_of("unknown") is None


def evidence(telemetry: Telemetry) -> Evidence:
    return Evidence(ConfigSet(), TuningStrategy.COST, TuningBounds(), 10, 100, 7.0, telemetry=telemetry)


def test_recalls_and_laws_come_back_to_the_last_digit_and_texts_stay_out() -> None:
    rng = random.Random(1)
    records = [
        QueryMetrics(
            *(f"q{i}", f"secret {i}", "factual" if i % 2 else "", 1e9 + rng.random(), 100 * rng.random()),
            *(None, False, 1, [], {}, i % 7 != 0),
            partial=i % 3 == 0,
            tasks=tuple(
                LayerTask(name, rng.random(), k / 7, 40 * rng.random(), 1 + i % 9, outcome)
                for k, (name, outcome) in enumerate(zip(("a", "ü", "c"), TaskOutcome, strict=True))
            ),
        )
        for i in range(700)
    ]
    telemetry = Telemetry().after(records)
    data = pack(evidence(telemetry))
    back = unpack(data).telemetry
    assert back.recalls == tuple(recall._replace(text="") for recall in telemetry.recalls)
    assert b"secret" not in data
    assert (back.position, back.learned) == (700, telemetry.learned)
    assert back.laws == telemetry.laws
    assert [[r.began for r in s] for s in back.stretches.whole] == [
        [r.began for r in s] for s in telemetry.stretches.whole
    ]
    rngs = [np.random.default_rng(3), np.random.default_rng(3)]
    assert back.contention.drawn(rngs[0]) == telemetry.contention.drawn(rngs[1])


@pytest.mark.slow
def test_the_largest_evidence_is_small_enough() -> None:
    rng = random.Random(2)
    starts = list(accumulate((0.1 * 4 ** (i // 300 % 4) * rng.random() for i in range(6000)), initial=1e9))

    def task(k: int) -> LayerTask:
        times = (50 * rng.random(), 9e3 * rng.random(), 9e3 * rng.random())
        return LayerTask(f"layer {k}", *times, rng.randrange(1, 65))

    def recall(i: int) -> QueryMetrics:
        layers, began = 20 if i > 5800 else 3, starts[i]
        return QueryMetrics(
            *(f"q{i}", "?", f"type {i % 64}", began, 1e4 * rng.random(), None, False, 1, [], {}, True),
            tasks=tuple(map(task, range(layers))),
        )

    telemetry = Telemetry()
    for at in range(0, 6000, 200):
        telemetry = telemetry.after(map(recall, range(at, at + 200)))
    assert telemetry.tasks + telemetry.stretches.tasks > 9_900
    assert len(telemetry.stretches.whole) == TELEMETRY.stretches
    assert telemetry.contention.curve is not None
    assert len(telemetry.contention.curve.n) > 50
    assert len(pack(evidence(telemetry))) < MOST_BYTES


def test_what_is_no_evidence_is_refused_in_words() -> None:
    data = pack(evidence(Telemetry()))
    with pytest.raises(ValueError, match="no evidence that can be read"):
        unpack(data[:-9])
    with pytest.raises(ValueError, match="no evidence that can be read"):
        unpack(b"")
    with pytest.raises(ValueError, match="no policy 'gone'"):
        rerun(pack(replace(evidence(Telemetry()), policy="gone")))
