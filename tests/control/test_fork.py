"""A worker that was made before its process forked: the child is a worker too, under its own name."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pytest

from athena_tuning.control import Control
from athena_tuning.model import TuningConfig
from athena_tuning.store import ConfigChange, Store, open_store
from tests.support.forked import forked
from tests.support.waiting import until


def ask(control: Control, n: int) -> None:
    for _ in range(n):
        with control.measure("who owns billing?", "factual") as query, query.layer("semantic"):
            pass


def apply(store: Store, limit: int) -> None:
    at = store.config_set().default.version
    store.apply_config(ConfigChange(TuningConfig(limit), expected_version=at, actor="ana", reason="r"))


def stored(store: Store) -> list[str]:
    return [m.query_id for m in store.tail_metrics().records]


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    if request.param == "sqlite":
        opened = open_store(f"sqlite:///{tmp_path / 's.db'}")
    else:
        opened = request.getfixturevalue("postgres")()
    yield opened
    opened.close()


def test_a_forked_control_measures_obeys_and_delivers_under_its_own_name(store: Store) -> None:
    with Control(store, worker_id="web") as control:
        ask(control, 3)
        until(lambda: len(stored(store)) == 3)

        def work() -> tuple[str, list[str], int]:
            ask(control, 1)
            apply(control.store, 9)
            until(lambda: control.current_config().max_concurrent == 9)
            until(lambda: len(stored(control.store)) == 4)
            control.close()
            return control.worker_id, [m.query_id for m in control.profiler.metrics], control.status().recalls

        name, ids, recalls = forked(work)
        until(lambda: control.current_config().max_concurrent == 9)
        ask(control, 2)
    assert name.startswith("web-")
    assert recalls == 1
    assert len(ids) == 4, "what was measured before is still in the child's window"
    assert len(stored(store)) == len(set(stored(store))) == 6
    assert {worker.worker_id: worker.recalls for worker in store.workers()} == {"web": 5, name: 1}


def test_a_forked_child_that_forgets_to_close_delivers_all_the_same(store: Store) -> None:
    with Control(store) as control:
        forked(lambda: ask(control, 20))
        assert len(stored(store)) == 20


def test_a_forked_child_that_does_not_use_its_worker_is_none(store: Store) -> None:
    with Control(store, worker_id="web") as control:
        ask(control, 3)
        until(lambda: len(stored(store)) == 3)
        threads = forked(lambda: (time.sleep(0.2), [t.name for t in threading.enumerate()])[1])
    assert "config watch" not in threads
    assert [worker.worker_id for worker in store.workers()] == ["web"]
    assert len(stored(store)) == 3


def test_listeners_are_told_in_the_child_too(store: Store) -> None:
    seen: list[int] = []
    with Control(store) as control:
        control.on_change(lambda config: seen.append(config.max_concurrent))

        def work() -> list[int]:
            ask(control, 1)
            apply(control.store, 9)
            until(lambda: 9 in seen)
            return seen

        assert forked(work) == [5, 9]


def test_forks_while_all_threads_are_at_work_leave_parent_and_children_sound(store: Store) -> None:
    ends = threading.Event()
    with Control(store) as control:

        def work() -> None:
            while not ends.is_set():
                ask(control, 5)
                control.profiler.summary()
                store.config_set()

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(5):
                forked(lambda: (ask(control, 2), control.profiler.summary().count)[1])
        finally:
            ends.set()
            for thread in threads:
                thread.join()
    children = [worker for worker in store.workers() if worker.pid != os.getpid()]
    assert [worker.recalls for worker in children] == [2] * 5
    assert len(stored(store)) == len(set(stored(store))) == sum(w.recalls for w in store.workers())
