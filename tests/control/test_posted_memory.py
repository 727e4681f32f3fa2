"""What layers took of memory is found in the store hour by hour, also when its manager is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from athena_tuning.control.posted_memory import POST_SECONDS, TOPIC, MemoryPost, posted_memory
from athena_tuning.model import MemoryHour, TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.execution.task import QueryTask
from athena_tuning.recall.layer_memory import HOURS, LayerMemoryMonitor
from athena_tuning.store import Store, open_store
from athena_tuning.testing.clock import Clock
from athena_tuning.testing.waiting import until


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        opened = open_store(f"sqlite:///{tmp_path / 's.db'}")
    else:
        opened = request.getfixturevalue("postgres")()
    yield opened
    opened.close()


class Steady:
    """A layer that always gives the same."""

    name = "semantic"
    keeps_deadline = True

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
        return [{"id": "s1", "text": "x" * 1000}]


def test_last_weeks_memory_of_a_layer_is_known_after_its_manager_has_gone(
    store: Store,
) -> None:
    config = TuningConfig(memory_share=0.5, enable_cache=False, exploration_share=0.0)
    with MemoryManager(":memory:", layers=[Steady()], store=store, worker_id="w1") as manager:
        manager.apply_config(config, expected_version=0, actor="test", reason="test")
        for _ in range(12):
            manager.recall("anything")
        until(lambda: manager.layer_health()["semantic"].returned_bytes)
        MemoryPost(store, "w2").post(manager._layer_memory.hours())
        now = manager.tuner.profiler.metrics[-1].timestamp
    known = posted_memory(store, now - 7 * 86400, now + 1)
    hours = known["w2"]
    assert {hour.layer for hour in hours} == {"semantic"}
    whole = MemoryHour.joined(hours)
    assert whole.mean_returned_bytes is not None
    assert 1000 < whole.mean_returned_bytes < 1300
    assert whole.returned >= 1
    assert posted_memory(store, now + 7200, now + 9000) == {}


def test_what_is_posted_of_an_hour_replaces_what_was_and_of_other_hours_stays(
    store: Store,
) -> None:
    clock = Clock(0.0)
    post = MemoryPost(store, "w1", clock)
    post.post([MemoryHour(0, "graph", 10)])
    post.post([MemoryHour(0, "graph", 20)])  # too soon
    assert posted_memory(store, 0, 7200) == {"w1": [MemoryHour(0, "graph", 10)]}
    clock.now += POST_SECONDS
    post.post([MemoryHour(0, "graph", 20), MemoryHour(3600, "graph", 30)])
    MemoryPost(store, "w2", clock).post([MemoryHour(3600, "plans")])
    assert posted_memory(store, 0, 7200) == {
        "w1": [MemoryHour(0, "graph", 20), MemoryHour(3600, "graph", 30)],
        "w2": [MemoryHour(3600, "plans")],
    }
    assert posted_memory(store, 3600, 7200)["w1"] == [MemoryHour(3600, "graph", 30)]
    assert posted_memory(store, 0, 3600) == {"w1": [MemoryHour(0, "graph", 20)]}


@pytest.mark.parametrize("text", ["{", "[1]", '[{"start": 0}]', '{"a": 1}'])
def test_what_cannot_be_read_is_passed_over_and_said(
    store: Store, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.post(TOPIC, "0/w1", text)
    store.post(TOPIC, "0/w2", '[{"start": 0, "layer": "graph", "of a newer program": 1}]')
    assert posted_memory(store, 0, 10).get("w2") == [MemoryHour(0, "graph")]
    assert "what w1 posted of its layers' memory cannot be read" in caplog.text


def test_samples_of_an_hour_add_up_and_old_hours_are_let_go() -> None:
    clock = Clock(7200.0)
    monitor = LayerMemoryMonitor(lambda: 1, lambda: 0.5, clock)
    taken = QueryTask("graph", lambda: [bytearray(200_000)])
    for _ in range(3):
        monitor.watched(taken).query_fn()
    monitor.note_indexes({"graph": 4096, "plans": 1})
    [graph, plans] = sorted(monitor.hours(), key=lambda hour: hour.layer)
    assert (graph.start, graph.index_bytes, graph.peaks) == (7200, 4096, 3)
    assert graph.peak_bytes is not None
    assert 200_000 <= graph.peak_bytes < 400_000
    assert plans == MemoryHour(7200, "plans", 1)
    for _ in range(5):
        clock.now += 3600
        monitor.note_indexes({"graph": 5})
    assert [hour.start for hour in monitor.hours()] == [7200 + 3600 * n for n in (4, 5)]
    assert HOURS == 2
