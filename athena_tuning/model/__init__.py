"""The vocabulary: what is measured, what is decided, who decided it. Immutable records, validated once.

A ``QueryMetrics`` is made where a recall ends and is never changed. A ``TuningConfig`` is made by a tuner or
by a person, becomes a ``ConfigVersion`` in the store, and is obeyed by a manager as part of a ``ConfigSet``.
"""

from __future__ import annotations

from athena_tuning.model.config_versions import ConfigSet, ConfigVersion
from athena_tuning.model.configs import (
    EVERY,
    EVERY_HASHED,
    LimitScope,
    Mode,
    TuningBounds,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.model.decision import (
    Action,
    Candidate,
    Decision,
    Reason,
)
from athena_tuning.model.experiment import (
    EXPERIMENT,
    Experiment,
    ExperimentBlock,
    ExperimentMeasure,
    ExperimentReport,
    ExperimentVerdict,
)
from athena_tuning.model.layer_health import BreakerState, LayerHealth
from athena_tuning.model.memory_hour import MemoryHour
from athena_tuning.model.metrics import (
    LAYERS,
    QUERY_TYPES,
    LayerMetrics,
    LayerTask,
    QueryMetrics,
    QueryTypeMetrics,
    TaskOutcome,
)
from athena_tuning.model.objective import Objective
from athena_tuning.model.proposal import Forecast, Proposal, StrategyProposal
from athena_tuning.model.source import Source, SourceBatch
from athena_tuning.model.worker import (
    Annotation,
    Feedback,
    WorkerStatus,
)

__all__ = [
    "EVERY",
    "EVERY_HASHED",
    "EXPERIMENT",
    "LAYERS",
    "QUERY_TYPES",
    "Action",
    "Annotation",
    "BreakerState",
    "Candidate",
    "ConfigSet",
    "ConfigVersion",
    "Decision",
    "Experiment",
    "ExperimentBlock",
    "ExperimentMeasure",
    "ExperimentReport",
    "ExperimentVerdict",
    "Feedback",
    "Forecast",
    "LayerHealth",
    "LayerMetrics",
    "LayerTask",
    "LimitScope",
    "MemoryHour",
    "Mode",
    "Objective",
    "Proposal",
    "QueryMetrics",
    "QueryTypeMetrics",
    "Reason",
    "Source",
    "SourceBatch",
    "StrategyProposal",
    "TaskOutcome",
    "TuningBounds",
    "TuningConfig",
    "TuningStrategy",
    "WorkerStatus",
]
