"""Layers that tests steer, and managers over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from athena_tuning.model import QueryMetrics, TuningConfig
from athena_tuning.recall import MemoryManager

NOTES = (
    {"id": "e1", "layer": "episodic", "text": "The billing deploy failed on Friday", "scope": "billing"},
    {"id": "s1", "layer": "semantic", "text": "Billing runs on two nodes", "scope": "billing"},
    {
        "id": "p1",
        "layer": "procedural",
        "text": "How to deploy billing: run the pipeline",
        "scope": "billing",
    },
    {"id": "t1", "layer": "prospective", "text": "Todo: rotate the billing keys", "scope": "billing"},
    {
        "id": "g1",
        "layer": "graph",
        "text": "Billing depends on the ledger",
        "scope": "billing",
        "edges": [["Billing", "depends on", "ledger"]],
    },
    {"id": "s2", "layer": "semantic", "text": "The search team owns billing alerts", "scope": "search"},
)
"""A small memory: one item of each layer and one of another scope."""

Answer = Callable[[Any, int, float], Any]


class StubLayer:
    """A layer that counts its calls and answers, fails or waits as it is told to."""

    def __init__(self, name: str, answer: Answer = lambda query, k, deadline: []) -> None:
        self.name = name
        self.calls = 0
        self.answer = answer

    def search(self, query: Any, k: int, deadline: float) -> Any:
        self.calls += 1
        return self.answer(query, k, deadline)


def items(*ids: str) -> Answer:
    """Answer with one item for each id."""
    return lambda query, k, deadline: [{"id": i, "text": f"{i} says {query}"} for i in ids]


def failing(query: Any, k: int, deadline: float) -> Any:
    """Fail as a layer without a network does."""
    raise ConnectionError("no route")


def over(*layers: Any, **config: Any) -> MemoryManager:
    """Return a manager that asks exactly these layers."""
    manager = MemoryManager(":memory:", layers=layers)
    set_config(manager, layer_selection_enabled=False, **config)
    return manager


def set_config(manager: MemoryManager, scope: str = "all", **values: Any) -> None:
    """Put a config in force: the defaults, and these values."""
    at = manager.configs.in_scope(scope)
    manager.apply_config(
        TuningConfig(**values),
        expected_version=at.version if at else 0,
        actor="test",
        reason="a test",
        scope=scope,
    )


def records(manager: MemoryManager) -> list[QueryMetrics]:
    """Return what was recorded, oldest first."""
    return list(manager.profiler.metrics)
