"""A recall's deadline holds however its layers run, and gives what there is."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from athena_tuning.model import TuningConfig
from athena_tuning.recall import MemoryManager


class Quick:
    keeps_deadline = True
    name = "a quick one"

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
        return [{"id": "tea", "text": "tea"}]


class Endless:
    """Answers when it is told to, or gives up at its deadline as a layer should."""

    keeps_deadline = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.told = threading.Event()
        self.deadlines: list[float] = []

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
        self.deadlines.append(deadline - time.monotonic())
        if not self.told.wait(deadline - time.monotonic()):
            raise TimeoutError("not told in time")
        return []


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_deadline_gives_what_there_is(parallel: bool, asynchronous: bool) -> None:
    layers = [Quick(), Endless("b"), Endless("c")]
    with MemoryManager(":memory:", layers=layers) as manager:
        config = TuningConfig(deadline_seconds=0.05, enable_parallel=parallel, timeout_seconds=30.0)
        manager.apply_config(config, expected_version=0, actor="test", reason="a deadline")
        for _ in range(2):  # a partial answer is not kept: the second asks again
            answer = asyncio.run(manager.arecall("tea?")) if asynchronous else manager.recall("tea?")
            assert (answer["_success"], answer["_partial"], answer["_cache_hit"]) == (True, True, False)
            assert [item["id"] for item in answer["_fused"]] == ["tea"]
            assert set(answer["_errors"]) == {"b", "c"}
            assert answer["_latency_ms"] >= 50 * 0.99
        endless = layers[1]
        assert isinstance(endless, Endless)
        assert max(endless.deadlines, default=0.0) <= 0.05  # not the timeout's 30 s
        assert all(record.partial for record in manager.profiler.metrics)
        assert manager.tuner.contributions.values() == {}  # a partial answer says nothing about layers
