"""Items that say the same in the same words are one thing in the fused list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.recall import MemoryManager
from athena_tuning.recall.fusion import additions, fuse


def item(item_id: str, text: str, *evidence: str, **more: object) -> dict[str, object]:
    return {"id": item_id, "text": text, "evidence": evidence, **more}


@pytest.mark.parametrize(
    "other",
    [
        "Ana owns billing.",
        "ana OWNS billing",
        "  Ana  owns\nbilling!",
        '"Ana" owns (billing)',
        "Ana owns ｂｉｌｌｉｎｇ",
    ],
)
def test_case_punctuation_and_spacing_make_no_other_thing(other: str) -> None:
    fused = fuse({"a": [item("x", "Ana owns billing"), item("y", other), item("z", "Bo owns tea")]}, 10)
    assert [(one["id"], one["duplicates"]) for one in fused] == [("x", 1), ("z", 0)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("release 1.2.3 broke", "release 12.3 broke"),
        ("release 1.2.3 broke", "release 1.2.30 broke"),
        ("it lost -5 %", "it lost 5 %"),
        ("leaks in C++", "leaks in C#"),
        ("leaks in C", "leaks in C#"),
        ("room 1 2", "room 12"),
        ("Ana owns it", "Ana owns it not"),
        ("tea now here", "tea nowhere"),
        ("!!!", "???"),
    ],
)
def test_what_differs_in_a_word_a_number_or_a_sign_stays_apart(one: str, other: str) -> None:
    fused = fuse({"a": [item("x", one), item("y", other)]}, 10)
    assert [(found["id"], found["duplicates"]) for found in fused] == [("x", 0), ("y", 0)]


def test_copies_in_one_layer_have_one_voice_and_those_of_two_layers_two() -> None:
    copies = [item(f"d{n}", "tea") for n in range(5)]
    alone = fuse({"a": copies}, 5)
    assert [(one["id"], one["duplicates"], one["score"]) for one in alone] == [("d0", 4, 1 / 61)]
    both = fuse({"a": [item("x", "moon"), *copies], "b": [item("y", "fish"), item("e", "tea")]}, 5)
    assert [(one["id"], one["duplicates"]) for one in both] == [("d0", 5), ("x", 0), ("y", 0)]
    assert both[0]["score"] == pytest.approx(2 / 62)


def test_the_one_that_is_shown_rests_on_the_evidence_of_all() -> None:
    relations = [item("r1", "Ana knows Bo", "t1"), item("r2", "Ana knows Bo", "t7", "t1")]
    (shown,) = fuse({"graph": relations}, 5)
    assert (shown["id"], shown["evidence"], shown["duplicates"]) == ("r1", ["t1", "t7"], 1)
    assert relations[0]["evidence"] == ("t1",), "the layer's own answer stays as it is"


def test_what_different_scopes_say_stays_apart_also_under_one_id() -> None:
    lists = {
        "a": [item("t", "tea", scope="ana"), item("t", "tea", scope="bo")],
        "b": [item("o", "about tea", "t", scope="bo")],
    }
    fused = fuse(lists, 5)
    assert [(one["scope"], one["duplicates"]) for one in fused] == [("bo", 0), ("ana", 0)]
    assert fused[0]["score"] == pytest.approx(1 / 62 + 1 / 61)


def test_a_scope_that_cannot_be_compared_is_none() -> None:
    fused = fuse({"a": [item("x", "tea", scope=["odd"]), item("y", "tea", scope={"odd": 1})]}, 5)
    assert [(one["id"], one["duplicates"]) for one in fused] == [("x", 1)]


def test_a_layer_that_only_repeats_adds_nothing() -> None:
    lists = {
        "a": [item("x", "tea", "a/x"), item("z", "moon", "a/z")],
        "b": [item("y", "Tea!", "b/y")],
    }
    assert additions(lists, 5, ["a", "b"]) == {"a": 2, "b": 0}
    assert additions(lists, 5, ["a"]) == {"a": 2, "b": 0}


@pytest.mark.parametrize("layer", ["episodic", "semantic", "graph"])
def test_a_recall_over_many_copies_of_a_fact_finds_the_others(layer: str) -> None:
    copy = {"layer": layer, "text": "The billing service is owned by Ana", "entities": ["billing service"]}
    other = {"layer": layer, "text": "The billing service moved to Oslo in May, says Ana"}
    with MemoryManager(":memory:") as manager:
        manager.remember_many({**copy, "id": f"d{n}", "evidence": [f"t{n}"]} for n in range(200))
        manager.remember({**other, "id": "other"})
        answer = manager.recall("what about the billing service?")
        assert {one["text"] for one in answer["_fused"]} == {copy["text"], other["text"]}
        assert answer["_fused"][0]["duplicates"] >= 4
        assert len(answer[layer]) == 5


TEXTS = st.sampled_from(["tea", "Tea!", "moon", "MOON", "fish", ""])
LISTS = st.dictionaries(
    st.sampled_from("abc"),
    st.lists(
        st.builds(
            lambda n, text, pieces, scope: item(f"i{n}", text, *sorted(pieces), scope=scope),
            st.integers(0, 9),
            TEXTS,
            st.sets(st.sampled_from(["e1", "e2", "e3"]), max_size=2),
            st.sampled_from([None, "s", "t"]),
        ),
        max_size=8,
        unique_by=lambda found: (found["id"], found["scope"]),
    ),
    max_size=3,
)


@given(LISTS, st.integers(1, 20))
def test_nothing_is_said_twice_and_nothing_gets_lost(
    lists: dict[str, list[dict[str, object]]], limit: int
) -> None:
    lists = {layer: [{**one, "layer": layer} for one in items] for layer, items in lists.items()}
    fused = fuse(lists, limit)
    said = [(str(one["text"]).strip("!").lower(), one["scope"]) for one in fused if one["text"]]
    assert len(said) == len(set(said))
    assert len(fused) <= limit
    scores = [one["score"] for one in fused]
    assert scores == sorted(scores, reverse=True)
    if limit == 20:
        there = {
            (piece, one["scope"]) for items in lists.values() for one in items for piece in one["evidence"]
        }
        assert there == {(piece, one["scope"]) for one in fused for piece in one["evidence"]}
