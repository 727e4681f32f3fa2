"""A manager with the parts, names and manners of Athena's, which cannot be installed as a package."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Strategy(Enum):
    LATENCY = "latency"
    COST = "cost"
    BALANCED = "balanced"


@dataclass
class Metrics:
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
    concurrency_level: int
    accuracy_score: float


@dataclass
class Task:
    layer_name: str
    query_fn: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    timeout_seconds: float = 10.0


@dataclass
class Config:
    max_concurrent: int = 5
    timeout_seconds: float = 10.0
    enable_parallel: bool = True


class Profiler:
    def __init__(self):
        self.metrics = []

    def record_query(self, metrics):
        self.metrics.append(metrics)


class Tuner:
    def __init__(self, profiler):
        self.profiler, self.strategy = profiler, Strategy.COST

    def get_optimized_config(self, query_type=None):
        return Config()


@dataclass
class Executor:
    max_concurrent: int = 5
    timeout_seconds: float = 10.0
    total_parallel_queries: int = 0
    total_sequential_queries: int = 0
    failed_tasks: int = 0
    latest_layer_latencies: dict[str, float] = field(default_factory=dict)


class TierExecutor:
    """Wraps each layer's function into a coroutine that hands it to the running loop's pool."""

    def __init__(self, query_methods, words):
        self.query_methods, self.words = query_methods, words
        self.executor, self.enable_parallel, self.timeout_seconds = Executor(), True, 10.0

    def select_layers_for_query(self, query, context=None):
        return sorted(name for name, words in self.words.items() if any(word in query for word in words))

    async def _execute_sequential(self, query, context, k, layers):
        raise AssertionError("its own way of asking one layer is replaced")

    async def execute_tier_1_parallel(self, query, context=None, k=5, use_parallel=True):
        layers = self.select_layers_for_query(query, context)
        if not use_parallel or len(layers) <= 1:
            return await self._execute_sequential(query, context or {}, k, layers)
        tasks = [
            Task(layer, self._later(self.query_methods[layer], query, context or {}, k), (), {})
            for layer in layers
        ]
        done = await self.executor.execute_parallel(tasks)
        return {name: of.result if of.success else [] for name, of in done.items()}

    def _later(self, function, *args):
        async def call():
            return await asyncio.get_event_loop().run_in_executor(None, lambda: function(*args))

        return call

    def get_statistics(self):
        own = self.executor
        return {
            "total_parallel_queries": own.total_parallel_queries,
            "total_sequential_queries": own.total_sequential_queries,
            "failed_tasks": own.failed_tasks,
        }


class Selector:
    def __init__(self, profiler):
        self.profiler = profiler


class KnownManager:
    def __init__(self, methods, words):
        self.performance_profiler = Profiler()
        self.auto_tuner = Tuner(self.performance_profiler)
        self.strategy_selector = Selector(self.performance_profiler)
        self.parallel_tier1_executor = TierExecutor(methods, words)

    def _classify_query(self, query):
        return "temporal" if "when" in query else "factual"

    def recall(self, query, context=None, k=5):
        begun, kind, tier = time.time(), self._classify_query(query), self.parallel_tier1_executor
        config = self.auto_tuner.get_optimized_config(kind)
        tier.executor.max_concurrent = config.max_concurrent
        tier.executor.timeout_seconds = config.timeout_seconds
        tier.enable_parallel = config.enable_parallel
        loop = asyncio.new_event_loop()
        try:
            found = loop.run_until_complete(
                tier.execute_tier_1_parallel(query, context, k, use_parallel=config.enable_parallel)
            )
        finally:
            loop.close()
        ms, count = (time.time() - begun) * 1000, sum(map(len, found.values()))
        self.performance_profiler.record_query(
            Metrics(f"q_{int(begun * 1000)}", query, kind, begun, ms, 0.0, False, count,
                    list(tier.query_methods), tier.executor.latest_layer_latencies, True,
                    config.enable_parallel, config.max_concurrent, 1.0)
        )  # fmt: skip
        return found

    def update_tuning_strategy(self, strategy):
        self.auto_tuner.update_strategy(strategy)

    def get_tuning_report(self):
        return self.auto_tuner.get_tuning_report()

    def get_performance_statistics(self):
        of = self.performance_profiler
        return {
            "cache_effectiveness": of.get_cache_effectiveness(),
            "concurrency_effectiveness": of.get_concurrency_effectiveness(),
            "slow_queries": of.get_slow_queries(limit=5),
            "trending_queries": of.get_trending_queries(limit=5),
            "layer_dependencies": of.get_layer_dependency_analysis(),
            "temporal_pattern": of.get_temporal_pattern(),
        }
