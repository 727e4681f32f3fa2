"""Two recalls share an answer only if everything that they were asked with is equal, by value."""

from __future__ import annotations

import array
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.recall.cache_key import MAX_BYTES, cache_key
from tests.support.memory_layers import StubLayer, items, over

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "1", "a"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.tuples(inner)
        | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
        | st.frozensets(st.integers(0, 2), max_size=2)
    ),
    max_leaves=5,
)


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass
class User:
    name: str
    groups: list[str]


class Opaque:
    """Its equality is its own business."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "the same for all"


def key(value: Any) -> Any:
    return cache_key("q", "scope", {"value": value}, ())


def alike(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types, however deep."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    return bool(one == other)


@given(VALUES, VALUES)
def test_cache_key_is_equal_exactly_for_equal_values_of_equal_types(one: Any, other: Any) -> None:
    assert (key(one) == key(other)) is alike(one, other)
    assert hash(key(one)) == hash(key(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        ([1], (1,)),
        ({"a": 1}, {"a": 1.0}),
        (Colour.RED, Colour.BLUE),
        (User("ana", ["a"]), User("ana", ["b"])),
        (np.arange(3000.0), np.where(np.arange(3000) == 1500, -1.0, np.arange(3000.0))),
        (np.arange(4, dtype=np.int32), np.arange(4, dtype=np.int64)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (array.array("f", [1, 2]), array.array("f", [1, 3])),
        (bytearray(b"a"), b"a"),
        (uuid.UUID(int=1), uuid.UUID(int=2)),
        (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)),
        (Decimal("1.0"), 1.0),
    ],
)
def test_cache_key_tells_values_apart_that_a_text_of_them_may_not(one: Any, other: Any) -> None:
    assert key(one) is not None
    assert key(one) != key(other)


def test_cache_key_of_equal_vectors_records_and_enumerations_is_equal() -> None:
    assert key(np.arange(3000.0)) == key(np.arange(3000.0))
    assert key(User("ana", ["a"])) == key(User("ana", ["a"]))
    assert key(Colour.RED) == key(Colour.RED)
    assert key(np.float64(1.5)) == key(np.float64(1.5))


def test_cache_key_of_what_cannot_be_compared_is_none() -> None:
    extended = User("ana", [])
    extended.more = 1  # type: ignore[attr-defined]

    class Broken:
        @property
        def __dict__(self) -> Any:
            raise RuntimeError("no")

    for value in (
        object(),
        Opaque(),
        float("nan"),
        [Opaque()],
        {"a": object()},
        np.array([object()]),
        np.zeros(MAX_BYTES),
        extended,
        lambda: 0,
        Broken(),
    ):
        assert key(value) is None


def test_cache_does_not_share_an_answer_between_users_that_look_alike() -> None:
    layer = StubLayer("docs", items("a"))
    with over(layer) as manager:
        for _ in range(2):
            manager.recall("q", {"user": Opaque()})
        assert layer.calls == 2, "nobody can say whether it is the same user"
        for _ in range(2):
            manager.recall("q", {"vector": np.arange(5000.0)})
        assert layer.calls == 3
        manager.recall("q", {"vector": np.arange(5000.0) + (np.arange(5000) == 2500)})
        assert layer.calls == 4, "one number of 5,000 differs"
