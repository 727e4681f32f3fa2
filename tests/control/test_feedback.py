"""Feedback on a real manager: to the window, the tuner, the store and the dashboard's window."""

from __future__ import annotations

import math
from typing import Any

import pytest

from athena_tuning.recall import MemoryManager
from athena_tuning.store import MemoryStore, StoreError
from athena_tuning.testing.waiting import until


class Notes:
    keeps_deadline = True

    def __init__(self, name: str) -> None:
        self.name = name

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
        return [{"id": self.name, "text": "tea"}]


def test_a_score_reaches_window_tuner_and_store() -> None:
    store = MemoryStore()
    with MemoryManager(":memory:", store=store, layers=[Notes("semantic"), Notes("graph")]) as manager:
        good, bad = (manager.recall(f"what uses {name}?") for name in ("tea", "coffee"))
        assert manager.record_feedback(good["_query_id"], 1)
        assert manager.record_feedback(bad["_query_id"], 0.25)
        assert [m.user_satisfaction for m in manager.profiler.metrics] == [1.0, 0.25]
        asked = manager.tuner.contributions.values()["relational"]["graph"].quality.asked
        assert (asked.n, asked.mean) == (2, 0.625)
        until(lambda: len(store.feedback()) == 2)
    assert {f.query_id: f.score for f in store.feedback()} == {good["_query_id"]: 1.0, bad["_query_id"]: 0.25}


def test_an_unknown_id_is_noted_nowhere() -> None:
    store = MemoryStore()
    with MemoryManager(":memory:", store=store, layers=[Notes("semantic")]) as manager:
        manager.recall("tea")
        assert manager.record_feedback("somebody-else-1", 1.0) is False
    assert store.feedback() == []


def test_a_score_counts_whichever_worker_takes_it() -> None:
    store = MemoryStore()
    layers = [Notes("semantic"), Notes("graph")]
    with MemoryManager(":memory:", store=store, layers=layers, worker_id="first") as first:
        until(lambda: not store.acquire_lease("tuner", "me", 1.0))
        with MemoryManager(":memory:", store=store, layers=layers, worker_id="second") as second:
            until(lambda: {w.worker_id for w in store.workers()} == {"first", "second"})
            leaders = first.recall("what uses tea?")["_query_id"]
            others = second.recall("what uses coffee?")["_query_id"]
            assert second.record_feedback(leaders, 0.25)
            assert first.record_feedback(others, 0.75)
            assert first.record_feedback(others, 1.0)  # a later score replaces an earlier one

            def asked() -> Any:
                values = first.tuner.contributions.values().get("relational", {})
                return values["graph"].quality.asked if "graph" in values else None

            until(lambda: asked() is not None and asked().n == 2 and asked().mean == 0.625)
            assert first.profiler.metrics[0].user_satisfaction == 0.25
    assert {f.query_id: f.score for f in store.feedback()} == {leaders: 0.25, others: 1.0}


def test_an_own_id_that_left_the_window_and_one_of_no_worker_are_noted_nowhere() -> None:
    store = MemoryStore()
    with MemoryManager(":memory:", store=store, layers=[Notes("semantic")], worker_id="w") as manager:
        until(store.workers)
        for query_id in ("w-99", "nobody-1", "w", "", "-1"):
            assert manager.record_feedback(query_id, 1.0) is False
    assert store.feedback() == []


@pytest.mark.parametrize("score", [1.5, -1, math.nan, True, "good"])
def test_a_score_that_is_none_is_refused(score: Any) -> None:
    with MemoryManager(":memory:", layers=[Notes("semantic")]) as manager:
        answer = manager.recall("tea")
        with pytest.raises(ValueError, match="a score is a number from 0 to 1"):
            manager.record_feedback(answer["_query_id"], score)
        assert manager.profiler.metrics[0].user_satisfaction is None


def test_a_cached_answer_is_scored_without_blaming_a_layer() -> None:
    with MemoryManager(":memory:", layers=[Notes("semantic"), Notes("graph")]) as manager:
        manager.recall("what uses tea?")
        again = manager.recall("what uses tea?")
        assert again["_cache_hit"]
        assert manager.record_feedback(again["_query_id"], 0.0)
        assert manager.profiler.metrics[1].user_satisfaction == 0.0
        values = manager.tuner.contributions.values().get("relational", {})
        assert all(value.quality.asked.n == 0 for value in values.values())


def test_scores_wait_for_a_store_that_is_down() -> None:
    class Down(MemoryStore):
        up = False

        def append_feedback(self, given: Any) -> None:
            if not self.up:
                raise StoreError("down")
            super().append_feedback(given)

    store = Down()
    with MemoryManager(":memory:", store=store, layers=[Notes("semantic")]) as manager:
        for i in range(3):
            assert manager.record_feedback(manager.recall(f"tea {i}")["_query_id"], 0.5)
        until(lambda: manager.housekeeping_failures.get("feedback delivery", 0) > 0)
        store.up = True
        until(lambda: len(store.feedback()) == 3)


def test_the_dashboards_window_sees_scores_also_those_that_come_later() -> None:
    from athena_tuning.service.store_follower import Tail

    store = MemoryStore()
    with MemoryManager(":memory:", store=store, layers=[Notes("semantic")]) as manager:
        tail = Tail(store)
        first, second = (manager.recall(f"tea {i}")["_query_id"] for i in range(2))
        manager.record_feedback(first, 0.5)
        assert tail.wait_for(2, 30)
        until(lambda: len(store.feedback()) == 1)
        tail.look()
        assert [m.user_satisfaction for m in tail.profiler.metrics] == [0.5, None]
        manager.record_feedback(second, 1.0)
        manager.record_feedback(first, 0.0)
        until(lambda: {f.score for f in store.feedback()} == {0.0, 1.0})
        tail.look()
        assert [m.user_satisfaction for m in tail.profiler.metrics] == [0.0, 1.0]


def test_a_score_given_to_one_worker_reaches_the_tuner_of_the_one_that_leads() -> None:
    store = MemoryStore()
    with MemoryManager(":memory:", store=store, layers=[Notes("semantic"), Notes("graph")]) as leads:
        until(lambda: not store.acquire_lease("tuner", "me", 1.0))
        with MemoryManager(":memory:", store=store, layers=[Notes("semantic"), Notes("graph")]) as other:
            mine = leads.recall("what uses coffee?")["_query_id"]
            assert leads.record_feedback(mine, 1.0)
            assert other.record_feedback(other.recall("what uses tea?")["_query_id"], 0.25)
            seen = leads.tuner.contributions
            until(lambda: seen.values()["relational"]["graph"].quality.asked.n > 1)
        until(lambda: len(leads.tuner.profiler.metrics) == 2)
        assert seen.values()["relational"]["graph"].quality.asked.mean == 0.625
