"""The conformance suite for layers: what a manager relies on, whatever a layer searches."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from athena_tuning.model import TaskOutcome, TuningConfig
from athena_tuning.recall import Item, Layer, LayerQuery, MemoryManager

SECONDS = 10.0
"""How long a search may take here."""

ODD_QUESTIONS = (
    "?",
    '"',
    "* AND (",
    "NEAR(a b)",
    "a'; DROP TABLE item",
    "日本語",
    "\N{ZERO WIDTH JOINER}",
    "x " * 900,
)


def search(layer: Layer, question: str, k: int = 5, seconds: float = SECONDS) -> Sequence[Any]:
    """Ask a layer as a manager does, and return its answer as a list."""

    async def awaited(answer: Any) -> Any:
        return await answer

    answer: Any = layer.search(LayerQuery(question), k, time.monotonic() + seconds)
    if inspect.isawaitable(answer):
        answer = asyncio.run(awaited(answer))
    return list(answer)


def as_mapping(item: Item | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an item of an answer as plain types."""
    return item if isinstance(item, Mapping) else {"id": item.id, "text": item.text}


class LayerSuite:
    """What every layer has to do. Subclass it and give the fixtures ``layer`` and ``question``.

    Examples:
        In a test module::

            class TestRunbooks(LayerSuite):
                @pytest.fixture
                def layer(self):
                    return Runbooks()

                @pytest.fixture
                def question(self):
                    return "how do I restart billing?"  # it finds something for this
    """

    @pytest.fixture
    def layer(self) -> Layer:
        """A new layer."""
        raise NotImplementedError("give the suite a fixture `layer`")

    @pytest.fixture
    def question(self) -> str:
        """A question for which the layer finds something."""
        raise NotImplementedError("give the suite a fixture `question`")

    def test_layer_has_a_name(self, layer: Layer) -> None:
        """A name is a text, as statistics and configs need it."""
        assert isinstance(layer.name, str)
        assert 0 < len(layer.name) <= 200
        assert not layer.name.startswith("_"), "answers use names with an underscore for what happened"

    def test_layer_answers_items_with_id_and_text(self, layer: Layer, question: str) -> None:
        """What is found has an id and a text, and is told apart by its id."""
        items = [as_mapping(item) for item in search(layer, question)]
        assert items, f"nothing is found for {question!r}"
        for item in items:
            assert isinstance(item["id"], str)
            assert item["id"]
            assert isinstance(item["text"], str)
        ids = [item["id"] for item in items]
        assert len(set(ids)) == len(ids), "an id comes twice in one answer"

    @pytest.mark.parametrize("k", [1, 2, 50])
    def test_layer_gives_no_more_than_it_is_asked_for(self, layer: Layer, question: str, k: int) -> None:
        """``k`` is a bound."""
        assert len(search(layer, question, k)) <= k

    def test_layer_gives_the_same_first_result_whatever_k_is(self, layer: Layer, question: str) -> None:
        """The best is the best, however many are wanted."""
        few, many = search(layer, question, 1), search(layer, question, 20)
        assert as_mapping(few[0])["id"] == as_mapping(many[0])["id"]

    @pytest.mark.parametrize("odd", ODD_QUESTIONS, ids=range(len(ODD_QUESTIONS)))
    def test_layer_answers_odd_questions_with_a_list(self, layer: Layer, odd: str) -> None:
        """Nobody's question breaks a search."""
        assert all("id" in as_mapping(item) for item in search(layer, odd))

    def test_layer_may_be_asked_by_many_threads_at_once(self, layer: Layer, question: str) -> None:
        """Recalls run side by side."""
        alone = [as_mapping(item)["id"] for item in search(layer, question)]
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(lambda _: search(layer, question), range(32)))
        assert [[as_mapping(item)["id"] for item in items] for items in together] == [alone] * 32

    def test_layer_keeps_its_own_when_a_caller_changes_an_answer(self, layer: Layer, question: str) -> None:
        """An answer belongs to who asked."""
        first = search(layer, question)
        before = dict(as_mapping(first[0]))
        if isinstance(first[0], dict):
            first[0]["text"] = "changed by the caller"
        assert as_mapping(search(layer, question)[0])["text"] == before["text"]

    def test_layer_gives_up_or_answers_when_the_deadline_has_passed(
        self, layer: Layer, question: str
    ) -> None:
        """A deadline that has passed is no reason for anything but ``TimeoutError``."""
        with suppress(TimeoutError):
            search(layer, question, seconds=-1.0)

    def test_layer_serves_a_manager(self, layer: Layer, question: str) -> None:
        """A recall over it answers, and its task is measured."""
        with MemoryManager(":memory:", layers=[layer]) as manager:
            manager.apply_config(
                TuningConfig(layer_selection_enabled=False),
                expected_version=0,
                actor="suite",
                reason="ask it",
            )
            answer = manager.recall(question, use_cache=False)
            assert answer["_errors"] == {}
            assert answer[layer.name]
            [task] = [t for t in manager.profiler.metrics[-1].tasks if t.layer == layer.name]
            assert (task.outcome, task.result_count) == (TaskOutcome.OK, len(answer[layer.name]))
