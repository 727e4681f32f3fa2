"""athena_tuning: measures, tunes and shows the recalls of a layered agent memory.

The names below load on first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from athena_tuning.control import Control
    from athena_tuning.integrations.athena import adopt
    from athena_tuning.integrations.span_processor import QuerySpanProcessor
    from athena_tuning.model import (
        ConfigVersion,
        Decision,
        LayerMetrics,
        LayerTask,
        Mode,
        QueryMetrics,
        QueryTypeMetrics,
        TuningBounds,
        TuningConfig,
        TuningStrategy,
    )
    from athena_tuning.profiling import PerformanceProfiler
    from athena_tuning.profiling.context_pool import ContextPool
    from athena_tuning.recall import ExecutionResult, MemoryManager, ParallelLayerExecutor, QueryTask
    from athena_tuning.store import ConfigChange, ConfigConflict, open_store
    from athena_tuning.tuning import AutoTuner

_HOMES = {
    "AutoTuner": "tuning",
    "ConfigChange": "store",
    "ConfigConflict": "store",
    "ConfigVersion": "model",
    "ContextPool": "profiling.context_pool",
    "Control": "control",
    "Decision": "model",
    "ExecutionResult": "recall",
    "LayerMetrics": "model",
    "LayerTask": "model",
    "MemoryManager": "recall",
    "Mode": "model",
    "ParallelLayerExecutor": "recall",
    "PerformanceProfiler": "profiling",
    "QueryMetrics": "model",
    "QuerySpanProcessor": "integrations.span_processor",
    "QueryTask": "recall",
    "QueryTypeMetrics": "model",
    "TuningBounds": "model",
    "TuningConfig": "model",
    "TuningStrategy": "model",
    "adopt": "integrations.athena",
    "open_store": "store",
}

__all__ = [
    "AutoTuner",
    "ConfigChange",
    "ConfigConflict",
    "ConfigVersion",
    "ContextPool",
    "Control",
    "Decision",
    "ExecutionResult",
    "LayerMetrics",
    "LayerTask",
    "MemoryManager",
    "Mode",
    "ParallelLayerExecutor",
    "PerformanceProfiler",
    "QueryMetrics",
    "QuerySpanProcessor",
    "QueryTask",
    "QueryTypeMetrics",
    "TuningBounds",
    "TuningConfig",
    "TuningStrategy",
    "adopt",
    "open_store",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
