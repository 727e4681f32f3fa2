"""Layers asked by question: what a question shows, what a model says of it, and which way a recall goes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.model import EVERY, EVERY_HASHED, Mode, TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.routing.by_question import worth_asking
from athena_tuning.recall.routing.features import features
from athena_tuning.recall.routing.route import route
from athena_tuning.testing.waiting import until

LAYERS = ("episodic", "semantic", "graph")
MODEL = {"graph": {EVERY: -0.02, "owns": 0.1}}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Who owns Billing in March 2024?", {"who", "owns", "begins with who", "has 2 names", "has digits"}),
        ("was it on monday", {"has a date", "of 4 to 7 words"}),
        ("", {EVERY, "of 1 to 3 words"}),
        ("Дело «Счёт» закрыто?", {"дело", "счёт", "of 1 to 3 words"}),
    ],
)
def test_features_are_words_and_shape(text: str, shown: set[str]) -> None:
    assert shown <= features(text)


@given(st.text(max_size=3000))
def test_features_are_few_whatever_the_text(text: str) -> None:
    assert EVERY in features(text)
    assert len(features(text)) <= 60


@given(st.text(alphabet="abc xyz", min_size=3, max_size=60))
def test_hashed_features_tell_no_word(text: str) -> None:
    plain = {name for name in features(text) if name in text.split()}
    assert plain.isdisjoint(features(text, hashed=True))


def test_a_model_of_hashed_words_says_the_same() -> None:
    [owns] = (
        features("owns", hashed=True)
        - {EVERY_HASHED}
        - {n for n in features("x") if "words" in n}
        - {name for name in features("owns", hashed=True) if name.startswith("begins")}
    )
    model = {"graph": {EVERY_HASHED: -0.02, owns: 0.1}}
    assert worth_asking("who owns it", TuningConfig(question_model=model)) == {"graph"}
    assert worth_asking("who paid it", TuningConfig(question_model=model)) == frozenset()


def test_a_question_that_a_layer_is_worth_asks_it_at_once_and_another_lets_it_wait() -> None:
    config = TuningConfig(question_model=MODEL)
    asks, waits = (route(f"who {word} billing?", "factual", LAYERS, config) for word in ("owns", "paid"))
    assert asks.first == LAYERS
    assert waits.first == ("episodic", "semantic")
    assert [later.layers for later in waits.later] == [("graph",)]
    assert waits.later[0].below == config.second_round_below


def test_a_model_adds_a_layer_that_its_type_does_not_ask_and_takes_one_from_the_second_round() -> None:
    temporal = route("when was it owned, who owns it", "temporal", LAYERS, TuningConfig(question_model=MODEL))
    assert temporal.first == LAYERS
    second = TuningConfig(question_model=MODEL, second_round=frozenset({"graph"}))
    assert route("who owns it", "factual", LAYERS, second).first == LAYERS


def test_what_is_left_out_stays_out_whatever_a_model_says() -> None:
    config = TuningConfig(question_model=MODEL, skipped_layers=frozenset({"graph"}))
    assert route("who owns it", "factual", LAYERS, config).first == ("episodic", "semantic")


def test_two_layers_at_least_make_a_first_round() -> None:
    config = TuningConfig(question_model={name: {EVERY: -1.0} for name in ("episodic", "graph")})
    assert route("who owns it", "factual", LAYERS, config).first == LAYERS


def test_a_layer_that_a_model_knows_and_nobody_has_registered_is_no_matter() -> None:
    config = TuningConfig(question_model={"gone": {EVERY: 1.0}})
    assert route("who owns it", "factual", LAYERS, config).first == LAYERS


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ([], "weights by layer"),
        ({"graph": 0.5}, r"question_model\['graph'\] must have weights by feature"),
        ({"graph": {"owns": "much"}}, r"question_model\['graph'\]\['owns'\] must be a number"),
        ({"graph": {"owns": float("nan")}}, "must be a number"),
        ({"graph": {str(n): 0.1 for n in range(65)}}, "at most 64"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused_with_where(model: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TuningConfig(question_model=model)


def test_a_model_is_part_of_a_config_that_is_sent_and_cannot_be_changed() -> None:
    config = TuningConfig(question_model=MODEL)
    assert TuningConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(TypeError, match="cannot be changed"):
        config.question_model["graph"]["owns"] = 1.0  # type: ignore[index]


class Knows:
    """A layer that finds four things where a word occurs."""

    keeps_deadline = True

    def __init__(self, name: str, word: str, source: str) -> None:
        self.name, self._word, self._source = name, word, source

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
        if self._word not in query:
            return []
        pieces = [f"{self._source} {n} of {query}" for n in range(4)]
        return [{"id": f"{self.name} {p}", "text": f"{self.name} {p}", "evidence": [p]} for p in pieces]


def test_a_manager_learns_by_itself_which_questions_are_worth_a_layer() -> None:
    layers = [
        Knows("semantic", "who", "log"),
        Knows("episodic", "who", "log"),
        Knows("graph", "invoice", "books"),
    ]
    with MemoryManager(":memory:", layers=layers, mode=Mode.PINNED) as manager:
        learned = manager.tuner.contributions.questions
        number = 0

        def answered() -> bool:
            nonlocal number
            for _ in range(30):
                about = "invoice" if number % 3 == 0 else ("rent", "travel")[number % 2]
                manager.recall(f"who knows the {about} of part {number}", use_cache=False)
                number += 1
            fits = learned().get("factual")
            return fits is not None and "graph" in fits.fits

        until(answered)
        priced = learned()["factual"].fits["graph"].at(0.04, wait=False)
        weights = learned()["factual"].fits["graph"].weights(priced)
        assert weights["invoice"] > 0
        assert sum(weights.get(name, 0.0) for name in features("who knows the invoice of part 1")) > 0
        assert all("part 1" not in name for name in weights), "no text is a key"
