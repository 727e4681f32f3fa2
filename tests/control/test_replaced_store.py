"""A manager whose store is deleted or put back from a backup under it goes on and obeys what is there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from athena_tuning.model import Mode, TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.store import ConfigChange, Store, StoreError
from athena_tuning.store.sqlite import SqliteStore
from athena_tuning.testing.waiting import until

NOTE = {"id": "s1", "layer": "semantic", "text": "Billing runs on two nodes"}


def change(limit: int, expected: int, scope: str = "all") -> ConfigChange:
    config = TuningConfig(max_concurrent=limit, enable_cache=False)
    return ConfigChange(config, expected_version=expected, actor="ana", reason="r", scope=scope)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with SqliteStore(path) as opened:
        yield opened


@pytest.fixture
def manager(store: Store) -> Iterator[MemoryManager]:
    with MemoryManager(":memory:", store=store, worker_id="w") as opened:
        opened.remember(NOTE)
        yield opened


def stored_ids(path: Path) -> set[str]:
    with SqliteStore(path) as reader:
        return {record.query_id for record in reader.tail_metrics().records}


def test_after_a_restore_the_earlier_config_is_obeyed_and_recalls_are_stored(
    path: Path, store: Store, manager: MemoryManager
) -> None:
    store.apply_config(change(3, 0))
    until(lambda: manager.limit == 3)
    store.change_token()
    backup = path.with_name("backup.db")
    shutil.copy(path, backup)
    store.apply_config(change(11, 1))
    until(lambda: manager.limit == 11)
    os.replace(backup, path)
    assert until(lambda: manager.limit == 3) < 2.0
    assert (manager.configs.head, manager.configs.epoch) == (1, 1)
    answers = [manager.recall("billing") for _ in range(5)]
    assert all(answer["_success"] and answer["_config_version"] == 1 for answer in answers)
    until(lambda: {answer["_query_id"] for answer in answers} <= stored_ids(path))
    assert [event.kind for event in store.events()] == ["replaced"]
    assert manager.apply_configs([change(7, 1)])[0].version == 2
    assert manager.limit == 7


@pytest.mark.slow
def test_after_the_file_was_deleted_what_was_in_force_is_carried_over(
    path: Path, store: Store, manager: MemoryManager
) -> None:
    store.apply_configs([change(11, 0), change(9, 0, "meta")])
    store.apply_config(
        ConfigChange(
            TuningConfig(max_concurrent=12), expected_version=1, actor="ana", reason="r", mode=Mode.PINNED
        )
    )
    until(lambda: manager.limit == 12)
    for file in path.parent.glob("store.db*"):
        file.unlink()
    answers = [manager.recall("billing") for _ in range(5)]
    until(lambda: manager.configs.epoch == 1 and manager.configs.head == 2)
    assert manager.limit == 12
    assert (manager.mode, manager.configs.for_type("meta").max_concurrent) == (Mode.PINNED, 9)
    assert store.config_set() == manager.configs
    assert "carried over" in store.config_history()[0].reason
    until(lambda: {answer["_query_id"] for answer in answers} <= stored_ids(path))
    assert manager.status().dropped_metrics == 0
    assert [event.kind for event in store.events()] == ["deleted"]
    until(lambda: [worker.worker_id for worker in store.workers()] == ["w"])


@pytest.mark.slow
def test_of_two_managers_one_carries_over_and_the_other_obeys(path: Path, store: Store) -> None:
    with SqliteStore(path) as second:
        one = MemoryManager(":memory:", store=store, worker_id="one")
        two = MemoryManager(":memory:", store=second, worker_id="two")
        store.apply_config(change(11, 0))
        until(lambda: one.limit == two.limit == 11)
        path.unlink()
        until(lambda: one.configs.epoch == two.configs.epoch == 1)
        until(lambda: one.configs == two.configs and one.configs.head == 1)
        assert one.limit == two.limit == 11
        assert len(store.config_history()) == 1
        one.close()
        two.close()


def test_a_recall_never_fails_while_the_store_is_gone(
    path: Path, store: Store, manager: MemoryManager
) -> None:
    folder = path.parent
    away = folder.with_name("away")
    folder.rename(away)
    until(lambda: manager.housekeeping_failures.get("config watch", 0) > 0)
    answers = [manager.recall("billing") for _ in range(10)]
    assert all(answer["_success"] for answer in answers)
    with pytest.raises(StoreError, match=r"deleted while in use|does not exist"):
        store.config_set()
    away.rename(folder)
    until(lambda: {answer["_query_id"] for answer in answers} <= stored_ids(path))
