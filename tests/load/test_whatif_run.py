"""A what-if in a process of its own answers as it does here, can be stopped, and says why it cannot."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from athena_tuning.load.run_handle import State
from athena_tuning.load.whatif_run import OVER, Question, WhatIfRun, answer, sweep
from athena_tuning.model import ConfigSet, QueryMetrics, TuningConfig, TuningStrategy
from athena_tuning.recall import MemoryManager
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.tuning.estimation.layer_value import Share
from athena_tuning.tuning.estimation.plan_evidence import LayerEvidence, PlanEvidence
from athena_tuning.tuning.settings import SEARCH
from athena_tuning.tuning.simulation.what_if import with_config


def test_another_process_gives_the_answer_that_this_one_gives():
    question = Question(ConfigSet(), sample="mixed", over="switches")
    run = WhatIfRun(lambda: question).start()
    assert run.wait(120)
    assert (run.state, run.share, run.failure) == (State.FINISHED, 1.0, "")
    assert run.answer == answer(question)


@pytest.mark.parametrize("over", OVER)
def test_every_sweep_differs_from_what_is_in_force_in_one_thing(over):
    records = load_records("mixed")[-300:]
    cases = sweep(Question(ConfigSet(), over=over), records)
    assert len(cases) >= 2
    for configs in cases.values():
        changed = set(ConfigSet().default.config.changes_to(configs.default.config))
        if over == "strategy":
            assert configs.default.config.strategy.value in cases
        else:
            assert len(changed) == 1


def test_the_sweeps_are_the_ones_that_people_expect():
    assert list(sweep(Question(ConfigSet(), over="limit"), [])) == [str(n) for n in SEARCH.limits if n != 5]
    strategies = sweep(Question(ConfigSet(), over="strategy"), load_records("fast")[-300:])
    assert set(strategies) == set(TuningStrategy)
    waits = {name: c.default.config.timeout_seconds for name, c in strategies.items()}
    assert waits["latency"] < waits["balanced"] <= waits["cost"] < waits["throughput"]
    timeouts = sweep(Question(ConfigSet(), over="timeout", scope="meta"), load_records("mixed")[-300:])
    seconds = [c.for_type("meta").timeout_seconds for c in timeouts.values()]
    assert seconds == sorted(seconds)
    assert all(c.for_type("factual").timeout_seconds == 10 for c in timeouts.values())


@pytest.mark.parametrize(
    ("question", "why"),
    [
        (Question(ConfigSet(), sample="../../etc/passwd", over="limit"), "no sample workload"),
        (Question(ConfigSet(), over="limit"), "0 recalls say"),
        (Question(ConfigSet(), sample="mixed", scope="nobody's"), "is of type nobody's"),
    ],
)
def test_what_cannot_be_simulated_says_why(question, why):
    run = WhatIfRun(lambda: question).start()
    assert run.wait(60)
    assert run.state is State.FAILED
    assert why in run.failure
    assert run.answer is None


def test_a_question_that_cannot_be_asked_fails_the_run(caplog):
    def ask():
        raise RuntimeError("the store is gone")

    run = WhatIfRun(ask).start()
    assert run.wait(60)
    assert run.state is State.FAILED
    assert "RuntimeError" in run.failure
    assert "the store is gone" in caplog.text


def test_a_stopped_run_ends_its_process_and_lets_the_next_one_in():
    gate = threading.Semaphore()
    first = WhatIfRun(lambda: Question(ConfigSet(), sample="bursty", over="limit"), gate).start()
    second = WhatIfRun(lambda: Question(ConfigSet(), sample="mixed", over="switches"), gate).start()
    first.stop()
    first.stop()
    assert first.state is State.STOPPED
    assert second.wait(120)
    assert second.state is State.FINISHED
    assert first.answer is None


@pytest.mark.parametrize(("values", "why"), [({"over": "moon"}, "over must be"), ({"speed": 0.0}, "speed")])
def test_a_question_is_checked_when_it_is_made(values, why):
    with pytest.raises(ValueError, match=why):
        Question(ConfigSet(), **values)


OWNS = {"graph": {"every question": -0.02, "owns": 0.1}, "prospective": {"every question": -0.02, "plans": 1}}
AGREED = PlanEvidence({"factual": {layer: LayerEvidence(Share(10_000, 10_000)) for layer in OWNS}})
TOPICS = ("owns", "runs", "plans", "should pay")


class Agreeing:
    """A layer that finds what the others of its kind find."""

    keeps_deadline = True

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind

    def search(self, query: str, k: int, deadline: float) -> list[dict[str, object]]:
        return [
            {"id": f"{self.name} {i}", "text": "", "evidence": [f"{self.kind} {i}"]}
            for i in range(min(k, 10))
        ]


def recalls_under(config: TuningConfig, asks: Sequence[str] = TOPICS) -> list[QueryMetrics]:
    """What a real manager records of 200 questions; its first layers agree, so that none calls for more."""
    layers = (Agreeing("episodic", "a"), Agreeing("semantic", "a"), Agreeing("graph", "b"))
    with MemoryManager(":memory:", layers=(*layers, Agreeing("prospective", "c"))) as manager:
        manager.apply_config(config, expected_version=0, actor="test", reason="test")
        for i in range(200):
            manager.recall(f"what it {asks[i % len(asks)]} in place {i}", use_cache=False)
        return list(manager.profiler.metrics)


def mean_calls(records: list[QueryMetrics]) -> float:
    return sum(len(m.tasks) for m in records) / len(records)


def test_recalls_are_simulated_to_ask_what_a_manager_with_the_question_model_asks() -> None:
    plain = TuningConfig(exploration_share=0.0, extra_layers=frozenset({"episodic"}))
    by_question = TuningConfig(
        exploration_share=0.0, extra_layers=frozenset({"episodic"}), question_model=OWNS
    )
    without, learned = recalls_under(plain), recalls_under(by_question)
    assert mean_calls(without) != mean_calls(learned)
    for records, at, other in ((without, plain, by_question), (learned, by_question, plain)):
        base = with_config(ConfigSet(), "all", **at.to_dict())
        tried = with_config(base, "all", **other.to_dict())
        told = answer(Question(base, records, cases={"other": tried}, evidence=AGREED))
        measured = learned if other is by_question else without
        assert told.base.calls.value == pytest.approx(mean_calls(records))
        assert told.outcomes[0].calls.value == pytest.approx(mean_calls(measured), abs=0.02)
        assert not told.outcomes[0].keeps_answers  # what is known of a type does not tell what is lost


def test_a_sweep_of_plans_tries_what_it_is_like_without_the_question_model() -> None:
    at = with_config(ConfigSet(), "all", question_model=OWNS)
    cases = sweep(Question(at, over="plans"), load_records("mixed")[-300:])
    assert cases["by type alone"].default.config.question_model == {}


def test_texts_that_are_not_kept_forbid_another_question_model_but_not_another_limit() -> None:
    records = [m._replace(query_text="") for m in load_records("mixed")[-200:]]
    base = with_config(ConfigSet(), "all", question_model=OWNS)
    other = with_config(base, "all", question_model={})
    with pytest.raises(ValueError, match=r"'other' cannot be simulated: .* the text is not kept"):
        answer(Question(base, records, cases={"other": other}))
    more = with_config(base, "all", max_concurrent=8)
    assert answer(Question(base, records, cases={"more": more})).outcomes[0].name == "more"


def test_a_question_model_that_asks_a_layer_which_no_recall_has_asked_is_not_simulated() -> None:
    records = recalls_under(TuningConfig(exploration_share=0.0), ("owns", "plans"))
    other = with_config(ConfigSet(), "all", question_model=OWNS)
    with pytest.raises(ValueError, match="asks 'prospective', which no recall here has asked"):
        answer(Question(ConfigSet(), records, cases={"other": other}))
