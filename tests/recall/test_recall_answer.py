"""What a recall gives its caller, and what it refuses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from athena_tuning.recall import Item, MemoryManager
from tests.support.memory_layers import StubLayer, items, over, records


def test_recall_answer_has_each_layers_items_one_fused_list_and_what_happened(manager: MemoryManager) -> None:
    answer = manager.recall("When did the billing deploy fail?")
    assert [i["id"] for i in answer["episodic"]] == ["e1"]
    assert {i["id"] for i in answer["semantic"]} == {"s1", "s2"}
    assert {i["id"] for i in answer["_fused"]} == {"e1", "s1", "s2"}
    assert answer["_layers"] == ["episodic", "semantic"]
    assert (answer["_query_type"], answer["_success"], answer["_partial"]) == ("temporal", True, False)
    assert (answer["_cache_hit"], answer["_errors"]) == (False, {})
    assert set(answer["_layer_ms"]) == set(answer["_queue_ms"]) == {"episodic", "semantic"}
    assert answer["_latency_ms"] >= max(answer["_layer_ms"].values())


def test_recall_answer_is_limited_by_scope_and_k(manager: MemoryManager) -> None:
    assert [i["id"] for i in manager.recall("billing", scope="search")["semantic"]] == ["s2"]
    assert len(manager.recall("billing", k=1)["semantic"]) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"query": ""}, "query must be text"),
        ({"query": "  "}, "query must be text"),
        ({"query": None}, "query must be text"),
        ({"query": "x" * 1_000_001}, "1,000,001 characters"),
        ({"query": "x", "k": 0}, "k must be a whole number from 1 to 1000, not 0"),
        ({"query": "x", "k": True}, "k must be"),
        ({"query": "x", "k": 1001}, "k must be"),
        ({"query": "x", "scope": 5}, "scope must be text"),
        ({"query": "x", "context": ["debugging"]}, "context must be a mapping"),
    ],
)
def test_recall_arguments_that_make_no_sense_are_refused(
    manager: MemoryManager, arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        manager.recall(**arguments)
    with pytest.raises(ValueError, match=reason):
        asyncio.run(manager.arecall(**arguments))
    assert records(manager) == []


def test_recall_of_type_meta_works_without_a_layer_of_that_name(manager: MemoryManager) -> None:
    answer = manager.recall("What do we know about billing?")
    assert answer["_query_type"] == "meta"
    assert {"s1", "s2"} <= {i["id"] for i in answer["semantic"]}
    manager.register_layer(StubLayer("meta", items("m1")))
    assert [i["id"] for i in manager.recall("What do we know about billing?")["meta"]] == ["m1"]


def test_recall_context_debugging_asks_the_episodic_layer_too(manager: MemoryManager) -> None:
    assert "episodic" not in manager.recall("what uses billing")["_layers"]
    assert "episodic" in manager.recall("what uses billing", {"phase": "debugging"})["_layers"]


@pytest.mark.parametrize(
    "answer",
    [
        5,
        None,
        "text",
        {"id": "a", "text": "x"},
        [{"text": "no id"}],
        ["text"],
        [{"id": "a", "text": 4}],
        [{"id": "a", "text": "x", "evidence": 7}],
        [{"id": "a", "text": "x", "evidence": [["e"]]}],
        iter([{"id": "a", "text": "x"}]),
    ],
)
def test_answer_that_cannot_be_read_is_that_layers_error(answer: Any) -> None:
    with over(StubLayer("odd", lambda q, k, d: answer), StubLayer("good", items("a"))) as manager:
        given = manager.recall("x")
        assert "cannot be read" in given["_errors"]["odd"]
        assert (given["_partial"], [i["id"] for i in given["good"]]) == (True, ["a"])
        assert {t.layer: t.outcome for t in records(manager)[-1].tasks} == {"odd": "error", "good": "ok"}


def test_answer_may_hold_items_or_mappings_and_equal_ids_in_two_layers_are_two_things() -> None:
    own = StubLayer("items", lambda q, k, d: [Item("x", "items", "as an item", evidence=("e",))])
    other = StubLayer("two", lambda q, k, d: [{"id": "1", "text": "something else"}])
    with over(own, StubLayer("one", items("1")), other) as manager:
        answer = manager.recall("x")
        assert answer["items"][0]["text"] == "as an item"
        assert sorted((i["layer"], i["id"]) for i in answer["_fused"]) == [
            ("items", "x"),
            ("one", "1"),
            ("two", "1"),
        ]
