"""What recalls find: recall@10 on the shared conversations, by layer set and as layers are selected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness import Figure
from recall_memory import with_config

from athena_tuning.model import LAYERS
from athena_tuning.recall import MemoryManager

QUALITY_TARGETS = {("episodic", "semantic"): 0.745, ("episodic", "semantic", "graph"): 0.66}
SETS = (
    ("episodic",),
    ("semantic",),
    ("graph",),
    ("episodic", "semantic"),
    ("semantic", "graph"),
    ("episodic", "semantic", "graph"),
    LAYERS,
)


def quality(manager: MemoryManager, questions: Sequence[dict[str, Any]]) -> list[Figure]:
    figures = []
    for names in SETS:
        layers = [manager.memory.layers[name] for name in names]
        with MemoryManager(":memory:", layers=layers) as fixed:
            with_config(fixed, layer_selection_enabled=False, max_concurrent=2)
            value = recall_at_10(fixed, questions)
        target = QUALITY_TARGETS.get(names)
        figures.append(Figure(f"recall@10, {'+'.join(names)}", value, "", target, at_least=True))
    chosen = recall_at_10(manager, questions)
    return [*figures, Figure("recall@10, layers that selection chooses", chosen, "", 0.62, at_least=True)]


def recall_at_10(manager: MemoryManager, questions: Sequence[dict[str, Any]]) -> float:
    total = 0.0
    for question in questions:
        answer = manager.recall(question["text"], k=10, scope=question["conv"], use_cache=False)
        turns = list(dict.fromkeys(turn for item in answer["_fused"] for turn in item["evidence"]))[:10]
        gold = set(question["evidence"])
        total += len(gold & set(turns)) / len(gold)
    return total / len(questions)
