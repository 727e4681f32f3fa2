"""What ranks count, learned from scores: hinted at, tried, proved or taken back."""

from __future__ import annotations

from random import Random

import pytest

from athena_tuning.model import EVERY, Action, LayerTask, QueryMetrics, TuningConfig
from athena_tuning.testing.virtual_manager import TunedConfigs
from athena_tuning.tuning.estimation.question_fit import QuestionObservation
from athena_tuning.tuning.estimation.rank_evidence import rank_hints
from athena_tuning.tuning.policies.fusion_advisor import FusionAdvisor
from athena_tuning.tuning.policies.model_policy import ModelPolicy
from athena_tuning.tuning.settings import FUSION

LAYERS = ("semantic", "episodic", "tickets")


def observation(number: int, carried: dict[str, float], time: float = 0.0) -> QuestionObservation:
    return QuestionObservation(f"q{number}", "factual", time, (EVERY,), {}, carried)


def test_a_layer_that_carries_bad_answers_is_hinted_at_and_the_others_are_not() -> None:
    random = Random(1)
    seen = [observation(n, {name: random.random() for name in LAYERS}) for n in range(600)]
    scores = {
        o.query_id: min(max(random.gauss(0.8 - 0.5 * o.carried["tickets"], 0.2), 0.0), 1.0) for o in seen
    }
    hints = rank_hints(seen, scores)
    assert hints["tickets"].step == 1 / FUSION.step
    assert hints["tickets"].more == pytest.approx(-0.5, abs=0.15)


def test_scores_that_have_nothing_to_do_with_layers_hint_at_nothing() -> None:
    random = Random(2)
    seen = [observation(n, {name: random.random() for name in LAYERS}) for n in range(600)]
    scores = {o.query_id: float(random.random() < 0.7) for o in seen}
    assert {hint.step for hint in rank_hints(seen, scores).values()} == {1.0}


def test_few_scores_and_a_single_layer_hint_at_nothing() -> None:
    seen = [observation(n, {"semantic": n % 2, "tickets": n % 3 / 2}) for n in range(600)]
    few = {o.query_id: 0.5 for o in seen[: FUSION.scores - 1]}
    assert rank_hints(seen, few) == {}
    alone = [observation(n, {"semantic": n % 2}) for n in range(600)]
    assert rank_hints(alone, {o.query_id: 0.5 for o in alone}) == {}


class World(TunedConfigs):
    """Recalls whose scores depend on what a layer carries and on what its ranks count.

    Args:
        worth: score of a whole answer that the layer carries, beside one that others carry.
        better: by how much scores are higher for each halving of its weight.
    """

    def __init__(self, worth: float, better: float) -> None:
        super().__init__(ModelPolicy(advisors=(FusionAdvisor(),)), TuningConfig())
        self._worth, self._better = worth, better
        self._random = Random(3)
        self._number = 0

    @property
    def weight(self) -> float:
        return self.configs.for_type("factual").fusion_weights.get("tickets", 1.0)

    def run(self, recalls: int) -> None:
        seen = self.tuner.contributions
        for _ in range(recalls):
            self._number += 1
            self.clock.now += 0.1
            carried = {name: self._random.random() for name in LAYERS}
            mean = 0.6 + self._worth * (carried["tickets"] - 0.5) + self._better * (self.weight < 1.0)
            score = min(max(self._random.gauss(mean, 0.15), 0.0), 1.0)
            query_id = f"q{self._number}"
            tasks = tuple(LayerTask(layer, 0.0, 0.0, 10.0, 1) for layer in LAYERS)
            record = QueryMetrics(
                *(query_id, "?", "factual", self.clock.now, 12.0, None, False, 1, list(LAYERS)),
                dict.fromkeys(LAYERS, 10.0),
                True,
                user_satisfaction=score,
                tasks=tasks,
            )
            self.profiler.record_query(record)
            self.profiler.fold()
            seen.note("factual", {}, self.clock.now)
            seen.note_question(observation(self._number, carried, self.clock.now))
            seen.rate_record(record)
            if self._number % 25 == 0:
                seen.learn()
                for _ in range(3):
                    self.step()


def told(world: World, action: Action) -> list[str]:
    return [d.summary for d in world.decisions if d.action is action]


def test_a_weight_that_scores_hint_at_is_tried_and_stays_when_they_become_higher() -> None:
    world = World(worth=-0.4, better=0.1)
    world.run(2_600)
    [first, *_] = told(world, Action.CHANGE)
    assert first.startswith(
        "Let the ranks of tickets count 0.5 for factual: answers that it carries score -0."
    )
    assert told(world, Action.CONFIRM)
    assert world.weight <= 0.5


def test_a_hint_that_does_not_prove_true_is_taken_back_and_left_alone() -> None:
    world = World(worth=-0.4, better=0.0)
    world.run(4_000)
    assert len(told(world, Action.CHANGE)) == 1
    [why] = told(world, Action.ROLLBACK)
    assert "do not surely score higher" in why
    assert world.weight == 1.0


def test_a_weight_with_which_scores_fall_is_taken_back_at_once() -> None:
    world = World(worth=-0.4, better=-0.2)
    world.run(2_600)
    [why] = told(world, Action.ROLLBACK)
    assert "lower than before" in why
    assert world.weight == 1.0


def test_scores_that_are_all_the_same_hint_at_nothing() -> None:
    random = Random(4)
    seen = [observation(n, {name: random.random() for name in LAYERS}) for n in range(600)]
    hints = rank_hints(seen, {o.query_id: 1.0 for o in seen})
    assert {hint.step for hint in hints.values()} == {1.0}
