"""What advisors decide on a real manager: written as config versions, with reasons."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from athena_tuning.model import Mode, TuningBounds, TuningStrategy
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import MemoryManager
from athena_tuning.store import MemoryStore
from athena_tuning.tuning import AutoTuner


class Notes:
    keeps_deadline = True

    def __init__(self, name: str, *ids: str) -> None:
        self.name, self.ids = name, ids

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
        return [{"id": i, "text": i, "evidence": [i]} for i in self.ids]


def ask_until(manager: MemoryManager, holds: Callable[[], bool]) -> list[str]:
    end, ids = time.monotonic() + 240, []
    while not holds():
        assert time.monotonic() < end, [d.summary for d in manager.latest_decisions.values()]
        ids.append(manager.recall(f"what uses part {len(ids)}?", k=2, use_cache=False)["_query_id"])
        time.sleep(0.001)
    return ids


def managed(store: MemoryStore, *layers: Notes, **bounds: float) -> MemoryManager:
    profiler = PerformanceProfiler()
    tuner = AutoTuner(
        profiler,
        TuningStrategy.LATENCY,
        policy="model",
        bounds=TuningBounds(**bounds),  # type: ignore[arg-type]
    )
    return MemoryManager(
        ":memory:",
        store=store,
        strategy=TuningStrategy.LATENCY,
        mode=Mode.AUTO,
        layers=layers,
        profiler=profiler,
        tuner=tuner,
        worker_id="w",
    )


@pytest.mark.slow
def test_timeouts_are_set_by_a_version_that_says_which_bound_decided() -> None:
    store = MemoryStore()
    with managed(store, Notes("semantic", "a"), Notes("graph", "b"), min_timeout_seconds=2.5) as manager:
        ask_until(manager, lambda: manager.config.timeout_seconds != 10.0)
        assert manager.config.timeout_seconds == 2.5
        assert manager.config.layer_timeouts == {}
        (version,) = [v for v in store.config_history() if "Timeouts" in v.reason]
        assert version.author == "tuner"
        assert "at least 2.5 s decided" in version.reason
    decision = next(d for d in store.decisions() if d.config_version == version.version)
    assert {r.parameter: r.bound for r in decision.reasons}["timeout_seconds"] == "at least 2.5 s"
    assert decision.bound == "at least 2.5 s"


@pytest.mark.slow
def test_scores_keep_a_layer_that_adds_nothing_to_the_fused_list() -> None:
    """Somebody reads graph's own list: recalls that asked it score well, those that did not do not."""
    layers = Notes("semantic", "a", "b"), Notes("graph", "a")
    near = {"min_timeout_seconds": 9.0}  # so close to 10 s that timeouts do not change first
    with managed(MemoryStore(), *layers, **near) as manager:
        needed = len(ask_until(manager, lambda: bool(manager.configs.for_type("relational").skipped_layers)))
    with managed(MemoryStore(), *layers, **near) as manager:
        for i in range(60):
            answer = manager.recall(f"what uses part {i}?", use_cache=False)
            assert manager.record_feedback(answer["_query_id"], 1.0)
            manager.tuner.contributions.rate("relational", [("semantic", "graph")[i % 2]], 0.3)
        asked = iter(range(2 * needed))
        ask_until(manager, lambda: next(asked, None) is None)
        graph = manager.tuner.contributions.values()["relational"]["graph"]
        assert graph.share.upper < 0.015
        assert manager.configs.for_type("relational").skipped_layers == frozenset()
