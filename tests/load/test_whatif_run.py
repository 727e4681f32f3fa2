"""A what-if in a process of its own answers as it does here, can be stopped, and says why it cannot."""

from __future__ import annotations

import threading

import pytest

from athena_tuning.load.run_handle import State
from athena_tuning.load.whatif_run import OVER, Question, WhatIfRun, answer, sweep
from athena_tuning.model import ConfigSet, TuningStrategy
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.tuning.settings import SEARCH


def test_another_process_gives_the_answer_that_this_one_gives():
    question = Question(ConfigSet(), sample="mixed", over="switches")
    run = WhatIfRun(lambda: question).start()
    assert run.wait(120)
    assert (run.state, run.share, run.failure) == (State.FINISHED, 1.0, "")
    assert run.found == answer(question)


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
    assert run.found is None


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
    assert first.found is None


@pytest.mark.parametrize(("values", "why"), [({"over": "moon"}, "over must be"), ({"speed": 0.0}, "speed")])
def test_a_question_is_checked_when_it_is_made(values, why):
    with pytest.raises(ValueError, match=why):
        Question(ConfigSet(), **values)
