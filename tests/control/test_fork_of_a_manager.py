"""A manager that was made before its process forked recalls over all its layers in the child."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from athena_tuning.model import TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.store import ConfigChange, open_store
from tests.support.forked import forked
from tests.support.waiting import until


class Blocking:
    name = "remote"

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, str]]:
        return [{"id": "r", "text": "billing, from far away"}]


class Awaiting:
    name = "awaiting"

    async def search(self, query: Any, k: int, deadline: float) -> list[dict[str, str]]:
        await asyncio.sleep(0.001)
        return [{"id": "a", "text": "the deploy, later"}]


@pytest.fixture(params=["file", ":memory:"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    path = ":memory:" if request.param == ":memory:" else tmp_path / "m.db"
    with (
        open_store(f"sqlite:///{tmp_path / 's.db'}") as store,
        MemoryManager(path, store=store, worker_id="web") as made,
    ):
        for layer in (Blocking(), Awaiting()):
            made.register_layer(layer)
        made.remember({"id": "n1", "layer": "semantic", "text": "the billing deploy failed"})
        yield made


def stored(manager: MemoryManager) -> list[str]:
    return [m.query_id for m in manager.store.tail_metrics().records]


def test_a_forked_manager_recalls_obeys_and_delivers(manager: MemoryManager) -> None:
    before = manager.recall("billing deploy")["_query_id"]
    until(lambda: stored(manager) == [before])

    def work() -> dict[str, Any]:
        answer = manager.recall("billing deploy", use_cache=False)
        also = asyncio.run(manager.arecall("the deploy of billing", use_cache=False))
        manager.remember({"id": "n2", "layer": "semantic", "text": "billing is well again"})
        again = manager.recall("billing well", use_cache=False)
        at = manager.configs.default.version
        manager.store.apply_config(
            ConfigChange(TuningConfig(9), expected_version=at, actor="ana", reason="r")
        )
        until(lambda: manager.limit == 9)
        until(lambda: len(stored(manager)) == 4)
        return {
            "errors": [answer["_errors"], also["_errors"]],
            "found": [[item["id"] for item in given["_fused"]] for given in (answer, again)],
            "ids": [given["_query_id"] for given in (answer, also, again)],
            "status": (manager.worker_id, manager.status().recalls),
        }

    said = forked(work)
    assert said["errors"] == [{}, {}]
    assert {"n1", "r", "a"} <= set(said["found"][0])
    assert "n2" in said["found"][1]
    assert said["status"][0].startswith("web-")
    assert said["status"][1] == 3
    until(lambda: manager.limit == 9)
    after = manager.recall("billing well", use_cache=False)
    assert after["_errors"] == {}
    until(lambda: len(stored(manager)) == 5)
    assert sorted(stored(manager)) == sorted([before, *said["ids"], after["_query_id"]])
    assert {w.worker_id: w.recalls for w in manager.store.workers()}[said["status"][0]] == 3


def test_a_forked_manager_that_is_forgotten_delivers_its_recalls(manager: MemoryManager) -> None:
    ids = forked(lambda: [manager.recall(f"billing {i}", use_cache=False)["_query_id"] for i in range(5)])
    assert sorted(stored(manager)) == sorted(ids)


@pytest.mark.slow
def test_forks_under_load_leave_parent_and_children_sound(manager: MemoryManager) -> None:
    ends, failed = threading.Event(), []

    def load() -> None:
        number = 0
        while not ends.is_set():
            number += 1
            answer = manager.recall(f"billing {number % 9}", use_cache=number % 2 > 0)
            if not answer["_success"] or answer["_errors"]:
                failed.append(answer["_errors"])

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            errors = forked(lambda: [manager.recall(f"deploy {i}")["_errors"] for i in range(3)])
            assert errors == [{}, {}, {}]
    finally:
        ends.set()
        for thread in threads:
            thread.join()
    assert not failed
    until(lambda: len(stored(manager)) >= manager.status().recalls + 5 * 3)
    assert not [(query_id, times) for query_id, times in Counter(stored(manager)).items() if times > 1]
