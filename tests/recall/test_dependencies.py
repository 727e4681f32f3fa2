"""Layers that depend on others: the order, what they see, circles, failures, second rounds."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.model import TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.routing.dependencies import DependencyGraph

graphs = st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdef"), max_size=3))


@given(graphs, st.permutations("abcdef"))
def test_a_wave_depends_on_waves_before_it_only_and_circles_are_refused(
    after: dict[str, set[str]], layers: list[str]
) -> None:
    try:
        waves = DependencyGraph(after).waves(tuple(layers))
    except ValueError as refused:
        names = str(refused).removeprefix("layers wait for each other: ").split(" after ")
        assert names[0] == names[-1]
        assert all(other in after[one] for one, other in pairwise(names))
        return
    at = {layer: number for number, wave in enumerate(waves) for layer in wave}
    assert sorted(at) == sorted(layers)
    assert all(at[other] < at[layer] for layer, others in after.items() for other in others)


class Facts:
    """Finds what it was given, whatever is asked."""

    def __init__(self, name: str, *ids: str, after: tuple[str, ...] = (), fails: bool = False) -> None:
        self.name, self.ids, self.after, self.fails = name, ids, after, fails
        self.seen: list[dict[str, list[str]]] = []

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
        self.seen.append({name: [item["id"] for item in found] for name, found in query.found.items()})
        if self.fails:
            raise RuntimeError("down")
        for found in query.found.values():
            found.clear()  # its own copy
        return [{"id": i, "text": i, "evidence": [i]} for i in self.ids]


class Owners:
    """Says who owns the services that the facts are about: a search of its own data by what was found."""

    name = "owners"
    after = ("semantic",)

    async def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
        who = {"billing": "Ana", "search": "Bo"}
        texts = " ".join(fact["text"] for fact in query.found["semantic"])
        return [{"id": name, "text": name} for service, name in who.items() if service in texts]


def test_a_layer_searches_by_what_a_real_one_found_before_it() -> None:
    with MemoryManager(":memory:") as manager:
        manager.remember({"id": "s1", "layer": "semantic", "text": "The outage of Friday began in billing."})
        manager.register_layer(Owners())
        text = "Whom do I call about the outage?"
        blocking = manager.recall(text, use_cache=False)
        awaited = asyncio.run(manager.arecall(text))
    for answer in (blocking, awaited):
        assert [item["text"] for item in answer["owners"]] == ["Ana"]
        assert not answer["_partial"]
        assert answer["_layers"].index("owners") > answer["_layers"].index("semantic")


def test_layers_see_copies_of_what_was_found_and_do_not_wait_for_what_is_not_asked() -> None:
    last = Facts("last", "c", after=("semantic", "middle", "prospective"))
    layers = [last, Facts("middle", "b", after=("semantic",)), Facts("semantic", "a"), Facts("prospective")]
    with MemoryManager(":memory:", layers=layers) as manager:
        manager.apply_config(TuningConfig(exploration_share=0.0), expected_version=0, actor="t", reason="t")
        answer = manager.recall("Who is Ana?")
        record = manager.profiler.metrics[-1]
    assert last.seen == [{"semantic": ["a"], "middle": ["b"]}]
    assert [item["id"] for item in answer["_fused"]] == ["a", "b", "c"]
    assert [task.layer for task in record.tasks] == ["semantic", "middle", "last"]


def test_a_layer_is_asked_also_where_the_one_before_it_fails() -> None:
    last = Facts("last", "c", after=("semantic",))
    with MemoryManager(":memory:", layers=[last, Facts("semantic", fails=True)]) as manager:
        answer = manager.recall("Who is Ana?")
    assert last.seen == [{}]
    assert answer["_partial"]
    assert list(answer["_errors"]) == ["semantic"]


def test_answers_that_depend_on_others_are_not_kept() -> None:
    last, first = Facts("last", "c", after=("semantic",)), Facts("semantic", "a")
    with MemoryManager(":memory:", layers=[last, first]) as manager:
        for _ in range(2):
            assert manager.recall("Who is Ana?")["_fused"]
    assert (len(first.seen), len(last.seen)) == (1, 2)


@pytest.mark.parametrize("after", ["semantic", [1], 3, ("",)])
def test_what_is_no_tuple_of_names_is_refused(after: Any) -> None:
    layer = Facts("last")
    layer.after = after
    with (
        MemoryManager(":memory:", layers=[]) as manager,
        pytest.raises(ValueError, match="after of layer 'last' must be a tuple of names"),
    ):
        manager.register_layer(layer)


def test_a_circle_is_refused_when_it_would_be_closed_and_changes_nothing() -> None:
    layers = [Facts("a", "x", after=("b",)), Facts("b", "y")]
    with MemoryManager(":memory:", layers=layers) as manager:
        with pytest.raises(ValueError, match=r"layers wait for each other: [ab] after [ab] after"):
            manager.register_layer(Facts("b", "z", after=("a",)))
        answer = manager.recall("Who is Ana?")
        assert {item["id"] for item in answer["_fused"]} == {"x", "y"}
