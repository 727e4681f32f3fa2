"""What a layer gave is read once, and each caller's copy is its own to any depth."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.recall import Item
from athena_tuning.recall.execution.failure import UnreadableAnswer
from athena_tuning.recall.snapshot import read_items
from tests.support.memory_layers import StubLayer, over

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.just(datetime(2024, 1, 1, tzinfo=UTC)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.tuples(inner, inner)
        | st.sets(st.integers(), max_size=3)
    ),
    max_leaves=8,
)
ITEMS = st.lists(
    st.dictionaries(st.sampled_from(["tags", "meta", "rows", "note"]), VALUES, max_size=4).map(
        lambda more: {"id": "1", "text": "x", **more}
    ),
    max_size=4,
)


def spoil(value: Any) -> None:
    """Change everything in a value that can be changed."""
    if isinstance(value, dict):
        for part in value.values():
            spoil(part)
        value["spoilt"] = True
    elif isinstance(value, list):
        for part in value:
            spoil(part)
        value.append("spoilt")
    elif isinstance(value, tuple):
        for part in value:
            spoil(part)
    elif isinstance(value, set):
        value.add("spoilt")


@pytest.mark.parametrize("items_are_new", [False, True])
@given(ITEMS)
def test_snapshot_copies_are_equal_and_changing_one_changes_nothing_else(
    items_are_new: bool, answer: list[dict[str, Any]]
) -> None:
    given_items = copy.deepcopy(answer)
    snapshot = read_items("docs", 10, items_are_new, given_items)
    first = snapshot.copies()
    expected = [{"evidence": ("docs/1",), "layer": "docs", **item} for item in answer]
    assert first == expected
    spoil(first)
    assert snapshot.copies() == expected
    if not items_are_new:
        spoil(given_items)
        assert snapshot.copies() == expected, "nor what the layer does later to what it gave"


def test_snapshot_reads_items_mappings_and_odd_ids_as_plain_types() -> None:
    class Id(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("compared")

        __hash__ = None  # type: ignore[assignment]

    snapshot = read_items(
        "docs",
        10,
        False,
        (
            Item("t1", "docs", "as an item", evidence=("e",)),
            {"id": 7, "text": Id("x"), "evidence": [Id("e")]},
        ),
    )
    first, second = snapshot.copies()
    assert (first["id"], first["text"], first["evidence"]) == ("t1", "as an item", ("e",))
    assert (second["id"], second["text"], second["evidence"]) == ("7", "x", ("e",))
    assert {type(value) for value in (second["id"], second["text"], second["evidence"][0])} == {str}


def test_snapshot_is_cut_at_what_was_asked_for() -> None:
    assert len(read_items("docs", 3, False, [{"id": str(n), "text": "x"} for n in range(9)])) == 3


@pytest.mark.parametrize(
    "answer", [5, None, "text", {"id": "a", "text": "x"}, iter(()), [{"text": "no id"}], ["x"]]
)
def test_snapshot_of_what_is_no_list_of_items_is_refused_in_words(answer: Any) -> None:
    with pytest.raises(UnreadableAnswer, match=r"a list is expected|an item has an id and a text"):
        read_items("docs", 10, False, answer)


def test_snapshot_that_holds_what_cannot_be_copied_is_given_but_not_kept() -> None:
    layer = StubLayer(
        "docs", lambda query, k, deadline: [{"id": "1", "text": "x", "handle": threading.Lock()}]
    )
    with over(layer) as manager:
        for _ in range(2):
            answer = manager.recall("what is it")
            assert (answer["_success"], answer["_cache_hit"], answer["_errors"]) == (True, False, {})
            assert answer["docs"][0]["handle"].acquire(blocking=False)
    assert layer.calls == 2


def test_snapshot_in_the_cache_is_not_changed_through_an_answer_or_by_its_layer() -> None:
    kept = [{"id": "1", "text": "x", "tags": ["a"], "meta": {"page": [1]}}]
    with over(StubLayer("docs", lambda query, k, deadline: kept)) as manager:
        for _ in range(3):
            answer = manager.recall("what is it")
            for item in (answer["docs"][0], answer["_fused"][0]):
                assert (item["tags"], item["meta"]) == (["a"], {"page": [1]})
            spoil(answer["docs"])
            assert answer["_fused"][0]["tags"] == ["a"]
            spoil(answer["_fused"])
        assert manager.recall("what is it")["_cache_hit"]
        assert kept == [{"id": "1", "text": "x", "tags": ["a"], "meta": {"page": [1]}}]
        kept[0]["tags"].append("the layer's own change")  # type: ignore[attr-defined]
        assert manager.recall("what is it")["docs"][0]["tags"] == ["a"]


class Row:
    def __init__(self, **fields):
        self.__dict__.update(fields)


class Slotted:
    __slots__ = ("content", "id")

    def __init__(self):
        self.id, self.content = 7, "tea"


class Derived:
    id = 7

    @property
    def content(self):
        return "tea"


class Named(NamedTuple):
    id: int
    content: str


@dataclass
class Kept:
    id: int
    content: str
    page: int = 3


@pytest.mark.parametrize(
    "row",
    [
        {"id": 7, "content": "tea"},
        {"id": 7, "page_content": "tea"},
        {"id": 7, "text": "tea", "content": "coffee"},
        {"id": 7, "text": None, "content": "tea"},
        Row(id=7, content="tea"),
        Row(id=7, page_content="tea", _own=object()),
        Slotted(),
        Derived(),
        Named(7, "tea"),
        Kept(7, "tea"),
    ],
)
def test_rows_of_other_systems_are_items(row):
    [item] = read_items("semantic", 5, False, [row]).copies()
    assert (item["id"], item["text"], item["layer"]) == ("7", "tea", "semantic")
    assert "_own" not in item


def test_other_attributes_of_an_object_come_along_as_copies():
    row = Row(id=7, content="tea", tags=["green"])
    [item] = read_items("semantic", 5, False, [row]).copies()
    item["tags"].append("black")
    assert row.tags == ["green"]
    assert read_items("semantic", 5, False, [Kept(7, "tea")]).copies()[0]["page"] == 3


@pytest.mark.parametrize("row", [{"id": None, "text": "tea"}, Row(content="tea"), Row(id=1), "tea", 7, None])
def test_a_row_without_an_id_or_a_text_is_refused_in_words(row):
    with pytest.raises(UnreadableAnswer, match="an id and a text \\(text, content, page_content\\)"):
        read_items("semantic", 5, False, [row])
