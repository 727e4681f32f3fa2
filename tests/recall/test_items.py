"""Items are validated once, with a reason that names the field."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.recall.items import Item, LayerQuery, unix_seconds

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
        ({"timestamp": "soon"}, "timestamp 'soon' is neither ISO 8601 nor a number of seconds"),
        ({"timestamp": "2024"}, "timestamp '2024' is neither"),
        ({"timestamp": "1714644"}, "timestamp '1714644' is neither"),
        ({"timestamp": float("nan")}, "timestamp nan is in no year"),
        ({"timestamp": float("-inf")}, "timestamp -inf is in no year"),
        ({"timestamp": 10**400}, "timestamp 1000+ is in no year"),
        ({"timestamp": -7e10}, "timestamp -70000000000.0 is in no year"),
        ({"timestamp": True}, "timestamp must be Unix seconds, ISO 8601 or a datetime, not True"),
        ({"timestamp": [2024]}, "timestamp must be Unix seconds"),
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


MOMENT = datetime(2024, 5, 2, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(1714644000, id="a number below 10^11 is seconds"),
        pytest.param(1714644000.0, id="also with a fraction"),
        pytest.param(np.int64(1714644000), id="of any number type"),
        pytest.param(1714644000_000, id="from 10^11 on milliseconds"),
        pytest.param(1714644000_000_000, id="from 10^14 on microseconds"),
        pytest.param(1714644000_000_000_000, id="from 10^17 on nanoseconds"),
        pytest.param("1714644000", id="a text of more than 8 digits is a number"),
        pytest.param(" 1714644000000.0 ", id="also with a fraction and spaces"),
        pytest.param("2024-05-02T10:00:00Z", id="ISO 8601 in UTC"),
        pytest.param("2024-05-02T12:00:00+02:00", id="ISO 8601 in another zone"),
        pytest.param("2024-05-02T10:00:00", id="ISO 8601 without a zone is in UTC"),
        pytest.param("20240502T100000", id="ISO 8601 in its short form"),
        pytest.param(MOMENT, id="a datetime"),
        pytest.param(MOMENT.astimezone(timezone(timedelta(hours=-3))), id="a datetime in another zone"),
        pytest.param(MOMENT.replace(tzinfo=None), id="a datetime without a zone is in UTC"),
    ],
)
def test_times_become_unix_seconds_by_stated_rules(value: Any) -> None:
    assert Item.from_dict({**GOOD, "timestamp": value}).timestamp == 1714644000.0


@pytest.mark.parametrize("value", ["2024-05-02", "20240502", date(2024, 5, 2)])
def test_a_day_without_a_time_is_its_first_moment_in_utc(value: Any) -> None:
    assert Item.from_dict({**GOOD, "timestamp": value}).timestamp == 1714608000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(99_999_999_999, 99_999_999_999.0), (10**11, 1e8), (-(10**10), -1e10), (-1714644000000, -1714644000.0)],
)
def test_the_unit_of_a_number_changes_at_its_border_also_before_1970(value: int, seconds: float) -> None:
    assert unix_seconds(value) == seconds


@pytest.mark.parametrize(
    "change",
    [
        {"id": "a\ud83d"},
        {"text": "fact \udc00"},
        {"scope": "\ud83d"},
        {"kind": "\ud83d"},
        {"speaker": "\ud83d"},
        {"entities": ["Ana", "\ud83d"]},
        {"edges": [["a", "b", "c\ud83d"]]},
        {"evidence": ["\ud83d"]},
    ],
)
def test_half_a_character_is_refused_wherever_it_stands(change: dict[str, Any]) -> None:
    (name,) = change
    with pytest.raises(ValueError, match=f"{'an edge' if name == 'edges' else name} holds half a character"):
        Item.from_dict({**GOOD, **change})


TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20).filter(str.strip)


@given(
    st.builds(
        Item,
        id=TEXT,
        layer=TEXT,
        text=TEXT,
        scope=st.none() | TEXT,
        timestamp=st.none() | st.floats(-6e10, 9.9e10),
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
