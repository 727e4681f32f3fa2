"""Memory by layer: index, what is returned, and a peak while nothing else runs; unknown where it is."""

from __future__ import annotations

import math
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
import pytest

from athena_tuning.model import LayerHealth, QueryMetrics, TuningConfig
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import MemoryManager
from athena_tuning.testing.waiting import until

EVERY_OTHER = TuningConfig(memory_share=0.5, enable_cache=False, exploration_share=0.0)


class Takes:
    """A layer that takes so many bytes for each call, and waits for others where it is told to."""

    def __init__(self, name: str, size: int, meeting: threading.Barrier | None = None) -> None:
        self.name, self.size, self.meeting = name, size, meeting

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
        taken = bytearray(self.size)
        if self.meeting is not None:
            self.meeting.wait(10)
        return [{"id": f"{self.name} {len(taken)}", "text": "x" * 1000}]


class Awaited(Takes):
    """The same, awaited."""

    async def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:  # type: ignore[override]
        return super().search(query, k, deadline)


def serving(
    *layers: Any, config: TuningConfig = EVERY_OTHER, memory: Path | str = ":memory:"
) -> MemoryManager:
    manager = MemoryManager(memory, layers=layers or None)
    manager.apply_config(config, expected_version=0, actor="test", reason="test")
    return manager


def test_each_layer_has_a_peak_of_its_own_and_what_it_returns() -> None:
    with serving(Takes("small", 300_000), Takes("large", 3_000_000)) as manager:
        for _ in range(12):
            manager.recall("anything")

        def health(layer: str) -> LayerHealth:
            return manager.layer_health()[layer]

        until(lambda: health("large").returned_bytes)
        small, large = health("small"), health("large")
        assert small.peak_bytes is not None and large.peak_bytes is not None  # noqa: PT018 (both, for mypy)
        assert 0.3e6 <= small.peak_bytes < 1e6
        assert 3e6 <= large.peak_bytes < 4e6
        assert 1 <= small.peaks <= 12
        assert small.returned_bytes is not None
        assert 1000 < small.returned_bytes < 1300
    assert not tracemalloc.is_tracing()


def test_nothing_is_measured_while_the_share_is_0() -> None:
    with serving(Takes("small", 1000), config=TuningConfig(enable_cache=False)) as manager:
        for _ in range(20):
            manager.recall("anything")
        health = manager.layer_health()["small"]
        assert (health.peak_bytes, health.peaks, health.returned_bytes) == (None, 0, None)
        assert health.index_bytes is None  # a layer of one's own
        assert not tracemalloc.is_tracing()


def test_a_call_beside_another_one_has_no_peak() -> None:
    meeting = threading.Barrier(2)
    with serving(Takes("busy", 1000, meeting)) as manager, ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            recalls = [pool.submit(manager.recall, f"anything {i}") for i in range(2)]
            assert all(recall.result()["_success"] for recall in recalls)
        until(lambda: manager.layer_health()["busy"].returned_bytes)
        assert manager.layer_health()["busy"].peaks == 0


def test_a_call_that_is_awaited_has_no_peak_and_still_answers() -> None:
    with serving(Awaited("awaited", 1000)) as manager:
        assert all(manager.recall("anything")["_success"] for _ in range(10))
        until(lambda: manager.layer_health()["awaited"].returned_bytes)
        assert manager.layer_health()["awaited"].peak_bytes is None


def test_a_layer_that_fails_while_it_is_measured_fails_as_ever() -> None:
    class Fails(Takes):
        def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
            raise RuntimeError("down")

    with serving(Fails("down", 1)) as manager:
        answers = [manager.recall("anything") for _ in range(4)]
        assert {"down" in answer["_errors"] for answer in answers} == {True}
    assert not tracemalloc.is_tracing()


def test_the_index_of_each_built_in_layer_is_measured(tmp_path: Path) -> None:
    with serving(memory=tmp_path / "m.db") as manager:
        manager.remember_many(
            [
                {"id": f"e{i}", "layer": "episodic", "text": f"deploy {i} of service {i % 7}"}
                for i in range(3000)
            ]
        )
        sizes = manager.memory.index_bytes()
        assert set(sizes) == set(manager.layer_health())
        assert sizes["episodic"] > 3 * sizes["semantic"] > 0
        assert sum(sizes.values()) < (tmp_path / "m.db").stat().st_size + 4096 * 1000
        assert manager.memory.index_bytes(seconds=-1.0) == {}  # no time: unknown
        manager._measure_indexes()
        assert manager.layer_health()["episodic"].index_bytes == manager.memory.index_bytes()["episodic"]


def test_an_sqlite_that_cannot_tell_leaves_the_index_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as manager:

        def read(*_: Any, **__: Any) -> Any:
            raise apsw.SQLError("no such table: dbstat")

        with monkeypatch.context() as without:
            without.setattr(manager.memory.file, "read", read)
            assert manager.memory.index_bytes() == {}


def test_the_profiler_gives_no_layer_the_memory_of_a_recall_that_asked_several() -> None:
    profiler = PerformanceProfiler()
    for layers, mb in ((["graph", "semantic"], 9.0), (["graph"], 2.0), (["graph"], 4.0), (["graph"], None)):
        profiler.record_query(QueryMetrics("q", "?", "meta", 0, 5.0, mb, False, 1, layers, {}, True))
    graph, semantic = profiler.get_layer_metrics("graph"), profiler.get_layer_metrics("semantic")
    assert graph is not None and semantic is not None  # noqa: PT018 (both, for mypy)
    assert graph.avg_memory_mb == 3.0
    assert math.isnan(semantic.avg_memory_mb)


def test_health_of_an_older_program_has_no_memory() -> None:
    older = {"layer": "graph", "state": "closed", "since": 1.0}
    assert LayerHealth.from_dict(older).peak_bytes is None
