"""Rounds: what is asked at once, what only if that is not enough, and what a recall explores."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_tuning.model import LAYERS, QUERY_TYPES, TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.routing.route import route
from tests.support.examples import examples

AT_ONCE = TuningConfig(exploration_share=0.0, thin_below=1)
GRAPH_SECOND = TuningConfig(second_round=frozenset({"graph"}), second_round_below=2, exploration_share=0.0)


class Finds:
    """A layer that finds these pieces of evidence, whatever is asked."""

    keeps_deadline = True

    def __init__(self, name: str, *ids: str, seconds: float = 0.0, fails: bool = False) -> None:
        self.name, self.ids, self.calls = name, ids, 0
        self.seconds, self.fails = seconds, fails

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
        self.calls += 1
        if self.fails:
            raise RuntimeError("down")
        if self.seconds:
            time.sleep(self.seconds)
        return [{"id": f"{self.name} {i}", "text": f"{self.name} {i}", "evidence": [i]} for i in self.ids]


def manager_with(config: TuningConfig, *layers: Finds) -> MemoryManager:
    manager = MemoryManager(":memory:", layers=layers)
    manager.apply_config(config, expected_version=0, actor="test", reason="test")
    return manager


def recall(manager: MemoryManager, how: str, text: str = "Who is Ana?") -> dict[str, Any]:
    if how == "awaited":
        return asyncio.run(manager.arecall(text))
    return manager.recall(text)


both = pytest.mark.parametrize("how", ["blocking", "awaited"])


@both
def test_the_second_round_is_not_asked_where_the_first_agrees_on_enough(how: str) -> None:
    layers = Finds("episodic", "a", "b"), Finds("semantic", "a", "b"), Finds("graph", "c")
    with manager_with(GRAPH_SECOND, *layers) as manager:
        answer = recall(manager, how)
    assert answer["_layers"] == ["episodic", "semantic"]
    assert not answer["_partial"]
    assert layers[2].calls == 0


@both
def test_the_second_round_is_asked_where_the_first_agrees_on_little(how: str) -> None:
    layers = Finds("episodic", "a"), Finds("semantic", "b"), Finds("graph", "c")
    with manager_with(GRAPH_SECOND, *layers) as manager:
        answer = recall(manager, how)
        record = manager.profiler.metrics[-1]
    assert answer["_layers"] == ["episodic", "semantic", "graph"]
    assert {item["layer"] for item in answer["_fused"]} == {"episodic", "semantic", "graph"}
    assert [task.layer for task in record.tasks] == ["episodic", "semantic", "graph"]
    assert record.tasks[2].offset_ms > record.tasks[0].offset_ms
    assert record.concurrency_level == 2


@both
def test_what_was_left_out_is_asked_where_nothing_was_found(how: str) -> None:
    layers = Finds("semantic"), Finds("procedural", "how"), Finds("graph")
    config = TuningConfig(skipped_layers=frozenset({"procedural"}), exploration_share=0.0)
    with manager_with(config, *layers) as manager:
        answer = recall(manager, how)
        assert [item["id"] for item in answer["_fused"]] == ["procedural how"]
        assert answer["_layers"] == ["semantic", "graph", "procedural"]
        again = recall(manager, how)
    assert again["_cache_hit"]
    assert again["_fused"] == answer["_fused"]
    assert [layer.calls for layer in layers] == [1, 1, 1]


@pytest.mark.parametrize(
    ("confidence", "asks_more"),
    [
        (0.97, False),
        (0.9, False),
        (1, False),
        (0.5, True),
        (97, True),
        ("high", True),
        (True, True),
        (None, True),
    ],
)
def test_nothing_is_asked_after_a_layer_that_says_that_it_is_sure(
    confidence: object, asks_more: bool
) -> None:
    class Tells(Finds):
        def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
            return [{**item, "answer_confidence": confidence} for item in super().search(query, k, deadline)]

    layers = Tells("episodic", "a"), Finds("semantic", "b"), Finds("graph", "c"), Finds("procedural", "d")
    config = TuningConfig(
        second_round=frozenset({"graph"}), skipped_layers=frozenset({"procedural"}), exploration_share=0.0
    )
    with asked(config, *layers) as manager:
        answer = manager.recall("Who is Ana?")
        again = manager.recall("Who is Ana?")
    assert ("graph" in answer["_layers"]) is asks_more
    assert ("procedural" in answer["_layers"]) is False  # with graph there are three pieces
    assert again["_fused"] == answer["_fused"]


def test_a_sure_answer_of_one_thing_is_not_thin() -> None:
    class Sure(Finds):
        def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
            return [{**item, "answer_confidence": 0.95} for item in super().search(query, k, deadline)]

    for first, calls in ((Finds("semantic", "a"), 1), (Sure("semantic", "a"), 0)):
        graph = Finds("graph", "c")
        config = TuningConfig(skipped_layers=frozenset({"graph"}), exploration_share=0.0)
        with asked(config, first, graph) as manager:
            manager.recall("Who is Ana?")
        assert graph.calls == calls


def test_a_layer_of_the_first_round_that_is_down_calls_for_the_second() -> None:
    layers = Finds("episodic", fails=True), Finds("semantic", "a"), Finds("graph", "b")
    with manager_with(GRAPH_SECOND, *layers) as manager:
        answer = manager.recall("Who is Ana?")
    assert layers[2].calls == 1
    assert answer["_partial"]
    assert list(answer["_errors"]) == ["episodic"]


def test_no_round_begins_after_the_deadline() -> None:
    layers = Finds("episodic", seconds=0.2), Finds("semantic", "a"), Finds("graph", "b")
    config = TuningConfig(
        second_round=frozenset({"graph"}), deadline_seconds=0.05, exploration_share=0.0, enable_parallel=False
    )
    with manager_with(config, *layers) as manager:
        answer = manager.recall("Who is Ana?", use_cache=False)
    assert layers[2].calls == 0
    assert "graph" not in answer["_layers"]


def test_a_second_round_whose_answer_is_kept_is_not_asked_again() -> None:
    layers = Finds("episodic", "a"), Finds("semantic", "b"), Finds("graph", "c")
    with manager_with(GRAPH_SECOND, *layers) as manager:
        first = manager.recall("Who is Ana?")
        second = manager.recall("Who is Ana?")
    assert second["_cache_hit"]
    assert second["_fused"] == first["_fused"]
    assert [layer.calls for layer in layers] == [1, 1, 1]


def test_one_layer_alone_is_no_first_round() -> None:
    layers = Finds("semantic", "a"), Finds("graph", "b")
    with manager_with(GRAPH_SECOND, *layers) as manager:
        assert manager.recall("Who is Ana?")["_layers"] == ["semantic", "graph"]


def test_an_extra_layer_is_asked_whatever_the_query_and_a_skipped_one_is_not_even_if_extra() -> None:
    layers = Finds("semantic", "a"), Finds("prospective", "b"), Finds("procedural", "c")
    config = TuningConfig(
        extra_layers=frozenset({"prospective", "procedural"}),
        skipped_layers=frozenset({"procedural"}),
        exploration_share=0.0,
        thin_below=1,
    )
    with manager_with(config, *layers) as manager:
        assert manager.recall("Who is Ana?")["_layers"] == ["semantic", "prospective"]


def test_a_stated_share_of_recalls_explores_and_what_fails_there_makes_no_answer_partial() -> None:
    layers = Finds("semantic", "a"), Finds("prospective", fails=True)
    config = TuningConfig(exploration_share=0.5, enable_cache=False, thin_below=1)
    with manager_with(config, *layers) as manager:
        answers = [manager.recall(f"who owns part {i}?") for i in range(40)]
    assert layers[1].calls > 0
    assert not any(answer["_partial"] or answer["_errors"] for answer in answers)


def test_nothing_is_explored_where_the_config_says_so() -> None:
    layers = Finds("semantic", "a"), Finds("prospective", "b")
    with manager_with(AT_ONCE, *layers) as manager:
        for i in range(200):
            manager.recall(f"who owns part {i}?")
    assert layers[1].calls == 0


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("exploration_share", 0.6, "exploration_share must be 0 to 0.5"),
        ("exploration_share", True, "exploration_share must be 0 to 0.5"),
        ("second_round_below", 0, "second_round_below must be 1 to 10"),
        ("thin_below", 0, "thin_below must be 1 to 10"),
        ("thin_below", 2.5, "thin_below must be a whole number"),
        ("second_round", "graph", "second_round must be names of layers"),
        ("extra_layers", [1], "extra_layers must be names of layers"),
    ],
)
def test_what_makes_no_sense_in_a_config_is_refused(name: str, value: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        TuningConfig.from_dict({name: value})


@given(
    skipped=st.frozensets(st.sampled_from(LAYERS)),
    second=st.frozensets(st.sampled_from(LAYERS)),
    extra=st.frozensets(st.sampled_from(LAYERS)),
    query_type=st.sampled_from(QUERY_TYPES),
)
@settings(max_examples=examples(200))
def test_no_layer_is_ever_out_of_reach_of_a_recall_that_finds_nothing_without_it(
    skipped: frozenset[str], second: frozenset[str], extra: frozenset[str], query_type: str
) -> None:
    config = TuningConfig(skipped_layers=skipped, second_round=second, extra_layers=extra)
    way = route("what is known?", query_type, LAYERS, config)
    asked = [*way.first]
    for later in way.later:
        assert later.is_called_for({layer: [] for layer in asked})
        asked += later.layers
    assert sorted(asked) == sorted(LAYERS)
