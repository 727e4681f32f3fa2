"""Feedback in shared stores: whoever takes it, however late, however often; for the tuner that leads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from athena_tuning.recall import MemoryManager
from athena_tuning.store import Store, open_store
from athena_tuning.testing.clock import Clock
from athena_tuning.testing.waiting import until
from athena_tuning.tuning.estimation.layer_value import Mean


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Store]:
    if request.param == "sqlite":
        opened = open_store(f"sqlite:///{tmp_path / 's.db'}")
    else:
        opened = request.getfixturevalue("postgres")()
    yield opened
    opened.close()


class Notes:
    keeps_deadline = True

    def __init__(self, name: str) -> None:
        self.name = name

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
        return [{"id": self.name, "text": "tea"}]


def worker(store: Store, name: str, clock: Clock) -> MemoryManager:
    layers = [Notes("semantic"), Notes("graph")]
    return MemoryManager(":memory:", store=store, layers=layers, worker_id=name, clock=clock)


def scores_of_graph(manager: MemoryManager) -> Mean:
    values = manager.tuner.contributions.values().get("relational", {})
    return values["graph"].quality.asked if "graph" in values else Mean()


def kept(store: Store) -> dict[str, float]:
    return {f.query_id: f.score for f in store.feedback()}


def test_scores_are_kept_by_query_id_whichever_worker_takes_them(store: Store) -> None:
    clock = Clock()
    with worker(store, "first", clock) as first:
        until(lambda: not store.acquire_lease("tuner", "me", 1.0))
        with worker(store, "second", clock) as second:
            until(lambda: {w.worker_id for w in store.workers()} == {"first", "second"})
            firsts = first.recall("what uses tea?")["_query_id"]
            seconds = second.recall("what uses coffee?")["_query_id"]
            assert second.record_feedback(firsts, 0.25)
            assert first.record_feedback(seconds, 0.75)
            until(lambda: kept(store) == {firsts: 0.25, seconds: 0.75})
            until(lambda: scores_of_graph(first).n == 2)
            assert scores_of_graph(first).mean == 0.5


def test_a_score_of_a_day_later_and_its_repetition_count_once_with_the_last_value(store: Store) -> None:
    clock = Clock()
    with worker(store, "leads", clock) as leads:
        until(lambda: not store.acquire_lease("tuner", "me", 1.0))
        with worker(store, "other", clock) as other:
            until(lambda: {w.worker_id for w in store.workers()} == {"leads", "other"})
            mine = leads.recall("what uses tea?")["_query_id"]
            its = other.recall("what uses coffee?")["_query_id"]
            until(lambda: len(leads.tuner.profiler.metrics) == 2)
            clock.now += 24 * 3600 - 60
            for score in (0.0, 1.0, 0.5):
                assert other.record_feedback(mine, score)
                assert leads.record_feedback(its, score)
            until(lambda: kept(store) == {mine: 0.5, its: 0.5})
            until(lambda: (scores_of_graph(leads).n, scores_of_graph(leads).mean) == (2, 0.5))
            clock.now += 1.0
            assert other.record_feedback(mine, 1.0)
            until(lambda: kept(store)[mine] == 1.0)
            until(lambda: scores_of_graph(leads).mean == 0.75)
        assert scores_of_graph(leads).n == 2
    assert leads.profiler.metrics[0].user_satisfaction == 1.0


def test_a_score_of_an_answer_that_has_left_the_window_is_kept_in_the_store(store: Store) -> None:
    clock = Clock()
    with worker(store, "w", clock) as manager:
        old = manager.recall("what uses tea?")["_query_id"]
        assert len(manager.profiler.metrics) == 1
        clock.now += 25 * 3600
        assert len(manager.profiler.metrics) == 0
        assert manager.record_feedback(old, 0.5)
        until(lambda: kept(store) == {old: 0.5})
        assert manager.record_feedback("w-2", 0.5) is False, "no such recall was asked"
        assert manager.record_feedback("w-0", 0.5) is False
        assert manager.record_feedback("w-" + "9" * 5000, 0.5) is False
