"""Acts: runs recalls over the layers of a memory, under the config in force."""

from athena_tuning.recall.current import CurrentRecall, current_recall
from athena_tuning.recall.execution.executor import ParallelLayerExecutor
from athena_tuning.recall.execution.task import ExecutionResult, QueryTask
from athena_tuning.recall.items import BadItems, Item, LayerQuery
from athena_tuning.recall.layers.base import Layer
from athena_tuning.recall.manager import MemoryManager

__all__ = [
    "BadItems",
    "CurrentRecall",
    "ExecutionResult",
    "Item",
    "Layer",
    "LayerQuery",
    "MemoryManager",
    "ParallelLayerExecutor",
    "QueryTask",
    "current_recall",
]
