"""Puts measuring and tuning into a manager of Athena's kind; a small one with its names stands for it."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from athena_tuning import adopt


@dataclass
class Record:
    """What such a manager records of a recall."""

    query_id: str
    query_text: str
    query_type: str
    timestamp: float
    latency_ms: float
    memory_mb: float
    cache_hit: bool
    result_count: int
    layers_queried: list[str]
    layer_latencies: dict[str, float]
    success: bool
    parallel_execution: bool


@dataclass
class Task:
    """What its executor is given for a layer."""

    layer_name: str
    query_fn: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    timeout_seconds: float = 10.0


class Executor:
    """Its executor."""

    max_concurrent, timeout_seconds = 5, 10.0


class TierExecutor:
    """Asks its layers."""

    def __init__(self) -> None:
        self.executor: Any = Executor()
        self.query_methods = {"semantic": self.facts, "episodic": self.events}

    def facts(self, query: str, context: dict[str, Any], k: int) -> list[dict[str, Any]]:
        return [{"id": 1, "content": "Ana owns billing."}]

    def events(self, query: str, context: dict[str, Any], k: int) -> list[dict[str, Any]]:
        return [{"id": 7, "content": "The billing deploy failed."}]

    def select_layers_for_query(self, query: str, context: dict[str, Any] | None = None) -> list[str]:
        return ["semantic", "episodic"] if "when" in query else ["semantic"]


class UnifiedMemoryManager:
    """The manager: from athena.manager import UnifiedMemoryManager in a real program."""

    performance_profiler: Any = None
    auto_tuner: Any = None

    def __init__(self) -> None:
        self.parallel_tier1_executor = TierExecutor()

    def _classify_query(self, query: str) -> str:
        return "temporal" if "when" in query else "factual"

    def recall(self, query: str) -> dict[str, Any]:
        tier, begun = self.parallel_tier1_executor, time.time()
        layers = tier.select_layers_for_query(query)
        tasks = [Task(layer, tier.query_methods[layer], (query, {}, 5), {}) for layer in layers]
        done = asyncio.run(tier.executor.execute_parallel(tasks))
        found = {layer: of.result for layer, of in done.items() if of.success}
        taken, kind = (time.time() - begun) * 1000, self._classify_query(query)
        latencies = tier.executor.latest_layer_latencies
        self.performance_profiler.record_query(
            Record(query, query, kind, begun, taken, 0.0, False, len(found), layers, latencies, True, True)
        )
        return found


if __name__ == "__main__":
    manager = UnifiedMemoryManager()
    with adopt(manager, store="memory://") as control:
        manager.recall("when did the deploy fail?")
        measured = control.profiler.metrics[-1]
        print(f"{measured.query_type}: {', '.join(sorted(measured.layers_queried))}")
        manager.auto_tuner.update_strategy("latency")
        print(f"now {manager.auto_tuner.get_optimized_config().strategy.value}")
