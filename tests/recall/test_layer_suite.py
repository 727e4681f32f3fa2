"""The conformance suite for layers, over those that are built in and one of a stranger's kind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from athena_tuning.load.simulated_layer import RemoteLayer
from athena_tuning.recall import Item, Layer
from athena_tuning.recall.memory import Memory
from athena_tuning.testing.layers import LayerSuite, search


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    opened = Memory(tmp_path / "memory.db")
    for number in range(6):
        for layer in ("episodic", "semantic", "procedural", "prospective"):
            opened.remember([Item(f"{layer}-{number}", layer, f"The billing deploy number {number} failed")])
    edge = (("billing", "depends on", "ledger"),)
    opened.remember([Item("g1", "graph", "billing depends on ledger", edges=edge)])
    yield opened
    opened.close()


class TestBuiltInLayers(LayerSuite):
    @pytest.fixture(params=["episodic", "semantic", "procedural", "prospective", "graph"])
    def layer(self, request: pytest.FixtureRequest, memory: Memory) -> Layer:
        return memory.layers[request.param]

    @pytest.fixture
    def question(self) -> str:
        return "what does billing deploy depend on?"


class Awaited:
    """A coroutine layer over a list."""

    name = "awaited"

    async def search(self, query, k, deadline):
        await asyncio.sleep(0)
        return [{"id": str(n), "text": f"note {n} on {query}"} for n in range(9)][:k]


class TestCoroutineLayer(LayerSuite):
    @pytest.fixture
    def layer(self) -> Layer:
        return Awaited()

    @pytest.fixture
    def question(self) -> str:
        return "anything"


class TestSimulatedRemoteLayer(LayerSuite):
    @pytest.fixture
    def layer(self, memory: Memory) -> Layer:
        return RemoteLayer(memory.layers["semantic"], 0.1)

    @pytest.fixture
    def question(self) -> str:
        return "billing deploy"


class Unbounded(Awaited):
    """A layer that gives everything, whatever it is asked for."""

    async def search(self, query, k, deadline):
        return await super().search(query, 9, deadline)


def test_the_suite_finds_a_layer_that_gives_too_much() -> None:
    with pytest.raises(AssertionError):
        LayerSuite().test_layer_gives_no_more_than_it_is_asked_for(Unbounded(), "anything", 2)
    assert len(search(Unbounded(), "anything", 2)) == 9
