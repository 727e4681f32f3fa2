"""Thin answers: what was left out is asked where the rest found little, and that is rare for the type."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from athena_tuning.model import TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.routing.thin_answers import ThinAnswers

GRAPH_OUT = TuningConfig(skipped_layers=frozenset({"graph"}), exploration_share=0.0)
MUCH = tuple("abcdefghij")


class Knows:
    """A layer that gives what it knows of a text, and else what it always gives."""

    keeps_deadline = True

    def __init__(
        self, name: str, always: Sequence[str], of_text: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.name, self.always, self.of_text = name, always, of_text or {}
        self.asked: list[str] = []
        self.seconds = 0.0

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
        self.asked.append(str(query))
        if self.seconds:
            time.sleep(self.seconds)
        found = self.of_text.get(str(query), self.always)
        return [{"id": f"{self.name} {i}", "text": f"{self.name} {i}", "evidence": [i]} for i in found[:k]]


def question(number: int) -> str:
    return f"who owns part {number}?"


def manager_of(config: TuningConfig, *layers: Knows) -> MemoryManager:
    manager = MemoryManager(":memory:", layers=layers)
    manager.apply_config(config, expected_version=0, actor="test", reason="test")
    return manager


@pytest.mark.parametrize("how", ["blocking", "awaited"])
def test_a_layer_that_was_left_out_is_asked_where_the_others_find_little(how: str) -> None:
    facts = Knows("semantic", MUCH, {question(20): ["a"]})
    graph = Knows("graph", ["x", "y"])
    with manager_of(GRAPH_OUT, facts, graph) as manager:
        ask = manager.recall if how == "blocking" else lambda text: asyncio.run(manager.arecall(text))
        for number in range(20):
            assert ask(question(number))["_layers"] == ["semantic"]
        answer = ask(question(20))
    assert answer["_layers"] == ["semantic", "graph"]
    assert [item["id"] for item in answer["_fused"]] == ["semantic a", "graph x", "graph y"]
    assert graph.asked == [question(20)]


def test_a_type_whose_layers_always_find_little_does_not_ask_the_others_every_time() -> None:
    facts, graph = Knows("semantic", ["a"]), Knows("graph", ["x"])
    with manager_of(GRAPH_OUT, facts, graph) as manager:
        for number in range(300):
            manager.recall(question(number))
    assert graph.asked == [question(0)]


def test_what_thin_answers_cost_is_at_most_a_tenth_of_what_leaving_a_layer_out_saves() -> None:
    some = {question(number): ["a"] for number in range(0, 600, 3)}
    facts, graph = Knows("semantic", MUCH, some), Knows("graph", ["x"])
    with manager_of(GRAPH_OUT, facts, graph) as manager:
        for number in range(600):
            manager.recall(question(number))
    assert 1 <= len(graph.asked) <= 60


def test_a_thin_answer_is_the_same_when_it_is_repeated_from_the_cache() -> None:
    facts = Knows("semantic", MUCH, {question(number): ["a"] for number in range(15, 40)})
    graph = Knows("graph", ["x"])
    with manager_of(GRAPH_OUT, facts, graph) as manager:
        for number in range(15):
            manager.recall(question(number))
        thin = manager.recall(question(15))
        for number in range(16, 40):
            manager.recall(question(number))  # by now answers like it are usual
        asked = len(graph.asked)
        again = manager.recall(question(15))
    assert again["_cache_hit"]
    assert again["_fused"] == thin["_fused"]
    assert len(thin["_fused"]) == 2
    assert len(graph.asked) == asked < 20


def test_who_asks_for_one_result_and_gets_it_has_no_thin_answer() -> None:
    facts, graph = Knows("semantic", ["a"]), Knows("graph", ["x"])
    with manager_of(GRAPH_OUT, facts, graph) as manager:
        manager.recall(question(0), k=1)
        assert graph.asked == []
        manager.recall(question(1), k=2)
    assert graph.asked == [question(1)]


def test_one_as_the_least_asks_what_was_left_out_only_where_nothing_was_found() -> None:
    facts, graph = Knows("semantic", ["a"], {question(1): []}), Knows("graph", ["x"])
    config = TuningConfig(skipped_layers=frozenset({"graph"}), thin_below=1, exploration_share=0.0)
    with manager_of(config, facts, graph) as manager:
        manager.recall(question(0))
        manager.recall(question(1))
    assert graph.asked == [question(1)]


def test_nothing_more_is_asked_of_a_thin_answer_after_the_deadline() -> None:
    facts, graph = Knows("semantic", ["a"]), Knows("graph", ["x"])
    facts.seconds = 0.2
    config = TuningConfig(
        skipped_layers=frozenset({"graph"}),
        deadline_seconds=0.05,
        exploration_share=0.0,
        enable_parallel=False,
    )
    with manager_of(config, facts, graph) as manager:
        manager.recall(question(0), use_cache=False)
    assert graph.asked == []


def test_types_are_told_apart_and_what_was_usual_once_is_forgotten() -> None:
    answers = ThinAnswers()
    assert [answers.is_thin("plans", 1, 3) for _ in range(50)] == [True, *[False] * 49]
    assert answers.is_thin("factual", 1, 3)
    for _ in range(600):
        answers.is_thin("plans", 10, 3)
    assert answers.is_thin("plans", 1, 3)
