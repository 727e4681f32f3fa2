"""Fusion by evidence, and one flight for identical recalls."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.recall.fusion import fuse
from athena_tuning.recall.single_flight import Flight, Flights


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


def test_who_joins_a_flight_gets_its_answer() -> None:
    flights: Flights[str] = Flights()
    flight, first = flights.board("q")
    assert first
    joined = [flights.board("q") for _ in range(5)]
    assert not any(began for _, began in joined)
    assert flights.board("other")[1]
    got: list[str | None] = []
    threads = [threading.Thread(target=lambda f=f: got.append(f.wait(30))) for f, _ in joined]
    for thread in threads:
        thread.start()
    flights.land(flight, "tea")
    for thread in threads:
        thread.join(30)
    assert got == ["tea"] * 5
    assert flights.board("q")[1], "who comes later begins a new one"


def test_a_flight_that_fails_or_takes_too_long_gives_nothing() -> None:
    flight: Flight[str] = Flight("q")
    got: list[str | None] = []
    thread = threading.Thread(target=lambda: got.append(flight.wait(0.001)))
    thread.start()
    thread.join(30)
    flight.land(None)
    thread = threading.Thread(target=lambda: got.append(flight.wait(30)))
    thread.start()
    thread.join(30)
    assert got == [None, None]


def test_nobody_waits_in_the_thread_that_must_end_the_flight() -> None:
    assert Flight("q").wait(1e9) is None


def test_one_awaiting_caller_that_is_cancelled_does_not_cancel_the_others() -> None:
    async def main() -> None:
        flight: Flight[str] = Flight("q")
        one, two = (asyncio.ensure_future(flight.join(30)) for _ in range(2))
        await asyncio.sleep(0)
        one.cancel()
        await asyncio.gather(one, return_exceptions=True)
        flight.land("tea")
        assert await two == "tea"
        assert await Flight[str]("r").join(0.001) is None

    asyncio.run(main())
