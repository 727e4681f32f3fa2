"""Items are validated once, with a reason that names the field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.recall.items import Item, LayerQuery

GOOD = {"id": "a", "layer": "semantic", "text": "Ana likes tea"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": ""}, "id is empty"),
        ({"id": 7}, "id must be text, not 7"),
        ({"layer": "x" * 65}, "layer has 65 characters"),
        ({"text": "  "}, "text is empty"),
        ({"text": None}, "text"),
        ({"scope": 3}, "scope must be text"),
        ({"timestamp": "soon"}, "timestamp 'soon' is not ISO 8601"),
        ({"timestamp": float("nan")}, "timestamp must be Unix seconds"),
        ({"timestamp": True}, "timestamp must be Unix seconds"),
        ({"speaker": 1}, "speaker must be text"),
        ({"entities": "Ana"}, "entities must be a list of texts"),
        ({"entities": ["Ana", 1]}, "entities must be a list of texts, but holds 1"),
        ({"edges": [["a", "b"]]}, "an edge is"),
        ({"edges": [3]}, "an edge must be"),
        ({"evidence": 5}, "evidence must be a list"),
    ],
)
def test_a_bad_value_is_refused_by_field_and_value(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Item.from_dict({**GOOD, **change})


@pytest.mark.parametrize("name", ["id", "layer", "text"])
def test_what_is_needed_must_be_there(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is missing"):
        Item.from_dict({key: value for key, value in GOOD.items() if key != name})


def test_an_item_must_be_an_object() -> None:
    with pytest.raises(ValueError, match="must be an object"):
        Item.from_dict(["a"])  # type: ignore[arg-type]


def test_conv_is_the_scope_and_unknown_names_are_left_out() -> None:
    item = Item.from_dict({**GOOD, "conv": "c1", "session": 4})
    assert item.scope == "c1"
    assert Item.from_dict({**GOOD, "conv": "c1", "scope": "s"}).scope == "s"


def test_a_text_may_be_empty_only_where_names_say_something() -> None:
    assert Item.from_dict({**GOOD, "text": "", "entities": ["Ana"]}).text == ""


def test_times_are_unix_seconds_whatever_zone_they_came_in() -> None:
    times = [
        Item.from_dict({**GOOD, "timestamp": t}).timestamp
        for t in (1714644000, "2024-05-02T10:00:00", "2024-05-02T12:00:00+02:00", "2024-05-02T10:00:00Z")
    ]
    assert times == [1714644000.0] * 4


TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20).filter(str.strip)


@given(
    st.builds(
        Item,
        id=TEXT,
        layer=TEXT,
        text=TEXT,
        scope=st.none() | TEXT,
        timestamp=st.none() | st.floats(0, 4e9),
        kind=st.text(max_size=5),
        speaker=st.text(max_size=5),
        entities=st.lists(TEXT, max_size=3),
        edges=st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=3),
        evidence=st.lists(TEXT, max_size=3),
    )
)
def test_an_item_survives_the_way_through_plain_types(item: Item) -> None:
    assert Item.from_dict(item.to_dict()) == item


def test_a_query_is_its_text_with_what_narrows_it() -> None:
    query = LayerQuery("Who is Ana?", "s", "factual", {"phase": "debugging"})
    assert query == "Who is Ana?"
    assert query.lower().startswith("who")
    assert (query.scope, query.query_type, query.context["phase"]) == ("s", "factual", "debugging")
