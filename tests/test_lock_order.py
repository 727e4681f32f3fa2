"""Threads and locks are those of ``docs/threads.md``, and locks are taken in its order only."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.recorded_locks import Nesting, locks_in_the_code, recorded, threads_in_the_code
from tests.support.waiting import until

PAGE = (Path(__file__).parents[1] / "docs" / "threads.md").read_text("utf-8")
LEVELS = {name: int(level) for level, name in re.findall(r"^\| (\d) \| `([^`]+)` \|", PAGE, re.M)}
THREADS = {(file, name) for name, file in re.findall(r"^\| `([^`]+)` \| `([^`]+\.py)` \|", PAGE, re.M)}


def test_every_lock_of_the_package_has_its_level_in_the_docs() -> None:
    assert set(LEVELS) == locks_in_the_code()


def test_every_thread_of_the_package_is_named_in_the_docs() -> None:
    started = {(file, name) for file, name in threads_in_the_code() if file != "control/periodic.py"}
    named = {(file, name if (file, name) in started else "…") for file, name in THREADS}
    assert named == started


class Blocking:
    name = "remote"

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, str]]:
        time.sleep(0.002)
        return [{"id": "r", "text": "billing"}]


class Awaiting:
    name = "awaiting"

    async def search(self, query: Any, k: int, deadline: float) -> list[dict[str, str]]:
        await asyncio.sleep(0.001)
        return []


class Broken:
    name = "broken"

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, str]]:
        raise OSError("it is down")


class Nested:
    """Recalls itself, within the slot that it has."""

    name = "nested"

    def __init__(self, recall: Callable[..., Any]) -> None:
        self.recall = recall

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, str]]:
        if "inner" not in query:
            self.recall("inner billing", use_cache=False)
        return []


def live(url: str, memory: Path) -> None:
    """Do with a manager, a control and a dashboard on one store all that may be done, at the same time."""
    from athena_tuning import (
        ConfigConflict,
        Control,
        MemoryManager,
        Mode,
        TuningConfig,
        TuningStrategy,
        open_store,
    )
    from athena_tuning.integrations.prometheus import ManagerCollector
    from athena_tuning.profiling import PerformanceProfiler
    from athena_tuning.service.store_follower import Tail

    with (
        open_store(url) as store,
        MemoryManager(memory, store=store, mode=Mode.AUTO, profiler=PerformanceProfiler()) as manager,
        Control(store) as control,
    ):
        manager.remember_many(
            [{"id": f"n{i}", "layer": "semantic", "text": f"billing {i}"} for i in range(50)]
        )
        for layer in (Blocking(), Awaiting(), Broken(), Nested(manager.recall)):
            manager.register_layer(layer)
        told: list[int] = []
        control.on_change(lambda config: told.append(config.max_concurrent))
        tail, collector = Tail(store), ManagerCollector(manager)
        tail.start()

        def ask() -> None:
            for i in range(30):
                context = {"track_memory": True} if i % 20 == 0 else None
                answer = manager.recall(f"when did billing {i % 7} fail?", context, use_cache=i % 3 > 0)
                manager.record_feedback(answer["_query_id"], 0.5)
                asyncio.run(manager.arecall(f"how does billing depend on {i % 5}?"))
                with control.measure("billing", "factual") as query, query.layer("semantic"):
                    pass
                list(collector.collect())

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for strategy in TuningStrategy:
            manager.update_tuning_strategy(strategy)
            manager.get_tuning_report()
            manager.get_performance_statistics()
            control.set_mode(Mode.AUTO, actor="a", reason="r")
            with contextlib.suppress(ConfigConflict):  # of the tuner's writes: it decides meanwhile
                at = manager.configs.default.version
                manager.apply_config(TuningConfig(7), expected_version=at, actor="a", reason="r")
        for thread in threads:
            thread.join()
        until(lambda: told)
        assert tail.wait_for(1, 30)
        tail.close()


@pytest.fixture(scope="module")
def nesting(tmp_path_factory: pytest.TempPathFactory) -> Nesting:
    folder = tmp_path_factory.mktemp("life")
    with recorded() as found:
        for number, url in enumerate((f"sqlite:///{folder / 's.db'}", "memory://")):
            live(url, folder / f"m{number}.db")
    return found


def test_no_lock_is_taken_inside_of_one_that_is_not_of_a_lower_level(nesting: Nesting) -> None:
    wrong = {
        f"{inner} inside of {outer} in thread {thread!r}"
        for (outer, inner), thread in nesting.inside.items()
        if LEVELS[outer] >= LEVELS[inner]
    }
    assert not wrong


def test_the_life_that_is_recorded_takes_the_locks_of_control_recall_tuning_and_stores(
    nesting: Nesting,
) -> None:
    rooms = ("control/", "recall/", "tuning/", "store/sqlite", "store/memory", "profiling/")
    untaken = {name for name in LEVELS if name.startswith(rooms)} - nesting.taken
    child, at_import = "control/worker.py _waking", "recall/peak.py _lock"
    assert untaken <= {child, at_import}, "one is made in a forked child only, one when it is imported"
    assert ("control/config_follower.py _lock", "tuning/tuner.py _state") in nesting.inside
