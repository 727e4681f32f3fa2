"""What is learned by question: what text tells is found, what it does not tell is not, at every price."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from athena_tuning.model import EVERY, Action, LayerTask, QueryMetrics, TuningConfig, TuningStrategy
from athena_tuning.testing.virtual_manager import TunedConfigs
from athena_tuning.tuning.estimation.contributions import Contributions
from athena_tuning.tuning.estimation.question_fit import (
    LayerObservation,
    QuestionObservation,
    fit_questions,
)
from athena_tuning.tuning.evidence import unpack
from athena_tuning.tuning.policies.model_policy import ModelPolicy
from athena_tuning.tuning.policies.question_advisor import QuestionAdvisor, QuestionFinding
from athena_tuning.tuning.rerun import rerun
from athena_tuning.tuning.settings import QUESTIONS
from athena_tuning.tuning.slices import run_through

WORDS = ("invoice", "rent", "travel", "team", "site", "report", "alarm", "order")
Alone = Callable[[frozenset[str], Random], float]


def by_words(shown: frozenset[str], random: Random) -> float:
    return 0.4 if "invoice" in shown else 0.0


def by_chance(shown: frozenset[str], random: Random) -> float:
    return random.choice((0.0, 0.0, 0.1))


def observations(
    n: int, alone: Alone, *, asked: bool = True, weight: float = 1.0, called: float = 0.0
) -> list[QuestionObservation]:
    """Return questions of which a layer finds something alone."""
    random = Random(3)
    seen = []
    for number in range(n):
        shown = frozenset((EVERY, *random.sample(WORDS, 3)))
        of = LayerObservation(alone(shown, random), random.random() < called, asked, asked, weight)
        seen.append(
            QuestionObservation(f"q{number}", "factual", float(number), tuple(sorted(shown)), {"graph": of})
        )
    return seen


def test_a_layer_that_finds_something_for_a_word_is_asked_for_it_alone() -> None:
    fit = fit_questions(observations(600, by_words), {})["graph"]
    priced = fit.at(0.025, wait=False)
    weights = fit.weights(priced)
    for observation in observations(50, by_words):
        speaks = sum(weights.get(name, 0.0) for name in observation.features)
        assert (speaks > 0) == ("invoice" in observation.features)
    assert priced.surely > 0, "better than always, which is in force, and than never"
    assert priced.calls == pytest.approx(-5 / 8, abs=0.08)
    assert priced.gain == pytest.approx(0.025 * 5 / 8, rel=0.2)


def test_a_layer_that_is_only_explored_is_added_for_the_questions_that_it_knows() -> None:
    fit = fit_questions(observations(200, by_words, asked=False, weight=33.0), {})["graph"]
    priced = fit.at(0.025, wait=False)
    assert priced.surely > 0
    assert priced.calls == pytest.approx(3 / 8, abs=0.1)


@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize("asked", [False, True])
def test_what_words_do_not_tell_makes_no_model(asked: bool, wait: bool) -> None:
    fit = fit_questions(observations(800, by_chance, asked=asked, called=0.3), {})["graph"]
    assert all(priced.surely <= 0 for priced in fit.priced if (priced.wait > 0) == wait)


def test_a_layer_that_never_differs_and_one_that_is_hardly_observed_have_no_fit() -> None:
    assert fit_questions(observations(300, lambda *_: 0.0), {}) == {}
    assert fit_questions(observations(QUESTIONS.least - 1, by_words), {}) == {}


def test_what_a_layer_finds_counts_by_the_score_of_the_answer() -> None:
    seen = observations(600, by_words)
    wrong = {o.query_id: 0.0 if "invoice" in o.features else 1.0 for o in seen}
    assert fit_questions(seen, {}).get("graph") is not None
    assert "graph" not in fit_questions(seen, wrong), "all that it finds alone was found useless"


def test_few_features_are_kept_and_none_that_only_some_questions_show() -> None:
    seen = observations(600, by_words)
    rare = [o._replace(features=(*o.features, f"part {n}")) for n, o in enumerate(seen)]
    weights = fit_questions(rare, {})["graph"].finds
    assert len(weights) <= QUESTIONS.kept + 1
    assert set(weights) <= {EVERY, *WORDS}


def test_nothing_is_learned_before_enough_came_and_nothing_twice() -> None:
    seen = Contributions()
    for observation in observations(QUESTIONS.settled - 1, by_words):
        seen.note_question(observation)
    assert seen.learn() == []
    seen.note_question(observations(1, by_words)[0]._replace(time=1e6))
    assert seen.learn() == ["factual"]
    assert seen.learn() == []


def test_observations_of_another_set_of_layers_are_let_go() -> None:
    seen = Contributions()
    for observation in observations(QUESTIONS.settled, by_words):
        seen.note_question(observation)
    seen.note("factual", {}, 0.0)
    assert seen.learn() == ["factual"]
    assert seen.questions()["factual"].fits
    seen.begin(lambda query_type: 1e6)
    assert not seen.questions()["factual"].fits
    seen.note_question(observations(1, by_words)[0])
    assert seen.learn() == []


class World(TunedConfigs):
    """Recalls of which only what layers were worth is known."""

    def __init__(self, start: TuningConfig | None = None) -> None:
        super().__init__(ModelPolicy(advisors=(QuestionAdvisor(),)), start, keep_evidence=True)
        self.took = {"semantic": 10.0, "graph": 10.0}

    def run(self, n: int, alone: Alone) -> None:
        for observation in observations(n, alone):
            self.clock.now += 0.1
            asked = "graph" not in self.configs.for_type("factual").question_model
            known = observation.layers["graph"]._replace(
                asked=asked or "invoice" in observation.features, by_type=True
            )
            tasks = tuple(LayerTask(layer, 0.0, 0.0, ms, 1) for layer, ms in self.took.items())
            self.profiler.record_query(
                QueryMetrics(
                    *("q", "?", "factual", self.clock.now, 12.0, None, False, 1, list(self.took)),
                    self.took,
                    True,
                    tasks=tasks,
                )
            )
            self.profiler.fold()
            seen = self.tuner.contributions
            seen.note("factual", {}, self.clock.now)
            seen.note_question(observation._replace(time=self.clock.now, layers={"graph": known}))
            seen.learn()
            for _ in range(3):
                self.step()


def test_the_advisor_puts_a_model_on_trial_with_its_reasons_and_it_can_be_decided_again() -> None:
    world = World()
    world.run(900, by_words)
    [made] = [d for d in world.decisions if "by question" in d.summary]
    [reason] = made.reasons
    assert (made.scope, made.action, reason.parameter) == ("factual", Action.CHANGE, "question_model")
    assert "invoice" in reason.inputs["for"]
    assert "invoice" in made.summary
    assert reason.inputs["lower"] < reason.inputs["gain"] < reason.inputs["upper"]
    assert reason.inputs["calls_a_recall"] < -0.5
    assert world.configs.for_type("factual").question_model["graph"]["invoice"] > 0
    assert any(d.action is Action.CONFIRM for d in world.decisions)


def test_the_same_is_decided_again_from_what_was_kept_of_the_evidence() -> None:
    world = World()
    world.run(700, by_words)
    made, kept = next(
        both for both in zip(world.decisions, world.evidence, strict=True) if "by question" in both[0].summary
    )
    assert unpack(kept).questions["factual"].fits["graph"].recalls >= QUESTIONS.settled
    [again] = rerun(kept, ModelPolicy(advisors=(QuestionAdvisor(),)))
    assert (again.summary, again.after, again.reasons) == (made.summary, made.after, made.reasons)


@pytest.mark.parametrize("strategy", list(TuningStrategy))
def test_every_strategy_has_a_price_at_which_a_fit_can_be_asked(strategy: TuningStrategy) -> None:
    fit = fit_questions(observations(600, by_words), {})["graph"]
    for call in (1e-6, 0.025, 10.0):
        assert fit.at(call, wait=strategy is TuningStrategy.LATENCY).call in QUESTIONS.prices


def test_a_layer_whose_absence_surely_costs_score_is_no_longer_asked_by_question() -> None:
    world = World(TuningConfig(question_model={"graph": {EVERY: -1.0}}))
    for number in range(60):
        asked = ["semantic", "graph"] if number % 2 else ["semantic"]
        world.tuner.contributions.rate("factual", asked, 0.9 if number % 2 else 0.5 + number % 3 / 10)
    world.run(200, by_chance)
    [made] = [d for d in world.decisions if d.action is Action.CHANGE]
    assert made.summary.startswith("No longer ask graph by question for factual: factual answers score 0.3")
    assert made.after.question_model == {}


def test_a_call_weighs_by_what_the_strategy_wants_most() -> None:
    world = World()
    world.took = {"semantic": 30.0, "graph": 10.0}
    world.run(600, by_words)
    evidence = unpack(world.evidence[-1])
    found = run_through(QuestionAdvisor().review(evidence, QuestionFinding())).weight["factual"]
    assert found[TuningStrategy.LATENCY] == pytest.approx({"semantic": 20 / 30, "graph": 0.0})
    assert found[TuningStrategy.THROUGHPUT] == pytest.approx({"semantic": 1.5, "graph": 0.5})
    assert TuningStrategy.COST not in found, "all calls weigh the same"
