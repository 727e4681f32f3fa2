"""Fusion by evidence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.recall.fusion import fuse


def item(item_id: str, *evidence: str) -> dict[str, object]:
    return {"id": item_id, "evidence": evidence}


def test_without_common_evidence_it_is_plain_reciprocal_rank_fusion() -> None:
    fused = fuse({"a": [item("x"), item("y")], "b": [item("y"), item("z")]}, 10)
    assert [found["id"] for found in fused] == ["y", "x", "z"]
    assert fused[0]["score"] == pytest.approx(1 / 62 + 1 / 61)
    assert fused[1]["score"] == pytest.approx(1 / 61)


def test_items_that_rest_on_the_same_evidence_support_each_other_and_show_once() -> None:
    fused = fuse({"a": [item("other"), item("turn", "t")], "b": [item("fact", "t")]}, 10)
    assert [found["id"] for found in fused] == ["fact", "other"]


def test_evidence_is_shown_by_the_item_that_says_it_most_closely() -> None:
    fused = fuse({"a": [item("summary", "t1", "t2", "t3")], "b": [item("turn", "t2")]}, 10)
    assert [found["id"] for found in fused] == ["turn", "summary"]


ITEMS = st.lists(
    st.builds(
        lambda n, e: item(f"i{n}", *(f"e{x}" for x in sorted(e))),
        st.integers(0, 9),
        st.sets(st.integers(0, 5)),
    ),
    max_size=8,
    unique_by=lambda found: found["id"],
)


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from("abc"), ITEMS, max_size=3), st.integers(1, 12))
def test_the_list_is_ordered_bounded_and_shows_nothing_twice(
    lists: dict[str, list[dict[str, object]]], limit: int
) -> None:
    fused = fuse(lists, limit)
    ids = [found["id"] for found in fused]
    scores = [found["score"] for found in fused]
    assert len(ids) == len(set(ids)) <= limit
    assert scores == sorted(scores, reverse=True)
    assert set(ids) <= {found["id"] for items in lists.values() for found in items}
    assert bool(ids) == any(lists.values())
