"""What a query is about, and which layers it calls for."""

from __future__ import annotations

import pytest

from athena_tuning.model import LAYERS, QUERY_TYPES
from athena_tuning.recall.classification import classify
from athena_tuning.recall.routing import DEFAULTS, select_layers


@pytest.mark.parametrize(
    ("text", "query_type"),
    [
        ("When did we last deploy?", "temporal"),
        ("what happened YESTERDAY", "temporal"),
        ("What depends on the billing service?", "relational"),
        ("what uses redis", "relational"),
        ("How should I validate this?", "planning"),
        ("Suggest a rollout", "planning"),
        ("How to rotate keys", "procedural"),
        ("how   do we release", "procedural"),
        ("Remember to call Ana", "prospective"),
        ("which todo is open", "prospective"),
        ("What do we know about Ana?", "meta"),
        ("Who is Ana?", "factual"),
        # whole words only
        ("A lasting update of the timeline", "factual"),
        ("the planet's processes", "factual"),
        ("Reuses and multitasking", "factual"),
        # first match wins
        ("When is the plan due?", "temporal"),
        ("how do I plan", "planning"),
    ],
)
def test_a_query_has_the_type_of_its_first_matching_whole_words(text: str, query_type: str) -> None:
    assert classify(text) == query_type


LOG = "GET /task when=last error failed, date time week, process linked\n" * 100


@pytest.mark.parametrize(
    "text",
    [
        f"{LOG}How to rotate keys?",
        f"How to rotate keys?\n{LOG}",
        f"{LOG}\nHow to rotate keys? Thank you.",
        f"{LOG}密钥呢？ How to rotate keys?",
    ],
)
def test_the_question_beside_a_long_paste_tells_its_type_and_its_layers(text: str) -> None:
    assert classify(text) == "procedural"
    assert set(select_layers(text, "procedural", LAYERS)) == {"procedural", "semantic"}


def test_a_long_paste_without_a_question_is_told_by_its_ends() -> None:
    middle = "nothing of interest here. " * 100
    assert classify(f"{middle}\nremind me of the keys") == "prospective"
    assert classify(f"{middle}remind me of the keys{middle}") == "factual"


def test_every_type_has_learned_defaults() -> None:
    assert set(DEFAULTS) == set(QUERY_TYPES)


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("When did it fail?", {"episodic", "semantic"}),
        ("which error was it", {"semantic", "graph", "episodic"}),
        ("How do we build it?", {"procedural", "semantic"}),
        ("what should be next", {"episodic", "semantic", "graph", "prospective"}),
        ("which services are linked", {"graph", "semantic"}),
        ("Who is Ana?", {"episodic", "semantic", "graph"}),
        ("the whenever errorless doer", {"episodic", "semantic", "graph"}),
    ],
)
def test_layers_are_called_by_whole_words_and_by_type(text: str, layers: set[str]) -> None:
    assert set(select_layers(text, classify(text), LAYERS)) == layers


def test_debugging_calls_for_the_episodes() -> None:
    assert "episodic" not in select_layers("what uses it", "relational", LAYERS)
    chosen = select_layers("what uses it", "relational", LAYERS, context={"phase": "debugging"})
    assert chosen == ("episodic", "semantic", "graph")


def test_skipped_layers_are_left_out_even_if_the_query_calls_for_them() -> None:
    chosen = select_layers("When?", "temporal", LAYERS, skipped=frozenset({"episodic"}))
    assert chosen == ("semantic",)


def test_selection_never_asks_nobody() -> None:
    assert select_layers("Who?", "factual", ["procedural", "prospective"]) == ("procedural", "prospective")
    assert select_layers("Who?", "factual", ["semantic"], skipped=frozenset({"semantic"})) == ("semantic",)


def test_the_type_meta_does_without_a_layer_of_that_name_and_uses_one_that_is_registered() -> None:
    text = "What do we know about Ana?"
    assert select_layers(text, "meta", ["episodic", "semantic", "prospective", "graph"]) == ("semantic",)
    assert "meta" in select_layers(text, "meta", [*LAYERS, "meta"])


def test_a_layer_of_ones_own_is_always_asked() -> None:
    assert "tickets" in select_layers("Who is Ana?", "factual", [*LAYERS, "tickets"])
