"""The vocabulary: what is measured, what is decided, who decided it. Immutable records, validated once.

A ``QueryMetrics`` is made where a recall ends and is never changed. A ``TuningConfig`` is made by a tuner or
by a person, becomes a ``ConfigVersion`` in the store, and is obeyed by a manager as part of a ``ConfigSet``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, Self

LAYERS = ("episodic", "semantic", "procedural", "prospective", "graph")
"""The layers every manager has; others may be registered beside them."""

QUERY_TYPES = ("temporal", "relational", "planning", "procedural", "prospective", "meta", "factual")
"""What a recall can be about, in the order in which the classifier tries them."""


class TaskOutcome(StrEnum):
    """How one layer task ended."""

    OK = "ok"
    TIMEOUT = "timeout"
    ERROR = "error"


class LayerTask(NamedTuple):
    """Telemetry of one layer's share of a recall. Times are ms; ``offset_ms`` counts from the recall's start.

    ``queue_ms`` is the wait for a slot under the shared limit, ``service_ms`` the layer's own time once it
    had one; the two are never mixed. ``in_flight`` counts the tasks running as this one started, itself
    included. A timed-out task's ``service_ms`` is what had passed when it was given up: a lower bound.
    """

    layer: str
    offset_ms: float
    queue_ms: float
    service_ms: float
    in_flight: int
    outcome: TaskOutcome = TaskOutcome.OK
    result_count: int = 0


class _QueryMetricsFields(NamedTuple):
    query_id: str
    query_text: str
    query_type: str
    timestamp: float
    latency_ms: float | None
    memory_mb: float | None
    cache_hit: bool | None
    result_count: int | None
    layers_queried: list[str]
    layer_latencies: dict[str, float]
    success: bool | None
    error: str | None = None
    parallel_execution: bool = False
    concurrency_level: int = 1
    accuracy_score: float = 1.0
    user_satisfaction: float | None = None
    tasks: tuple[LayerTask, ...] = ()
    partial: bool = False
    config_version: int = 0
    source: str = "live"


class QueryMetrics(_QueryMetricsFields):
    """One finished recall, as measured. A tuple inside, because one is made for every recall.

    Nothing is validated here: a recall must not fail because its record is odd. The profiler rejects or
    normalises what it folds, by stated rules, and counts it. ``None`` means unknown, never zero.

    Attributes:
        query_id: unique id of the recall.
        query_text: what was asked.
        query_type: one of ``QUERY_TYPES``, or a name of the caller's own.
        timestamp: Unix seconds at the recall's start; 0 becomes now.
        latency_ms: the whole recall, queue waits included.
        memory_mb: peak Python memory where it was asked for.
        cache_hit: whether the result came from the cache.
        result_count: items returned.
        layers_queried: the layers that really ran.
        layer_latencies: each layer's own service time in ms.
        success: False only if every layer failed.
        error: what failed, if something did.
        parallel_execution: whether the layers ran at the same time.
        concurrency_level: layer tasks of this recall that could run at once.
        accuracy_score: quality of the answer, 0 to 1.
        user_satisfaction: feedback, 0 to 1.
        tasks: telemetry of every layer task.
        partial: whether a layer that was asked is missing from the answer.
        config_version: the version in force when the recall began; 0 before the first.
        source: "live", "sample", "imported" or "simulated".

    Example:
        >>> m = QueryMetrics("q1", "last deploy?", "temporal", 0, 12.5, 0.0, False, 3, ["episodic"],
        ...                  {"episodic": 11.0}, True)
        >>> m.timestamp > 1.7e9, m.latency_ms
        (True, 12.5)
    """

    __slots__ = ()

    def __new__(
        cls,
        query_id: str,
        query_text: str,
        query_type: str,
        timestamp: float,
        latency_ms: float | None,
        memory_mb: float | None,
        cache_hit: bool | None,
        result_count: int | None,
        layers_queried: list[str],
        layer_latencies: dict[str, float],
        success: bool | None,
        error: str | None = None,
        parallel_execution: bool = False,
        concurrency_level: int = 1,
        accuracy_score: float = 1.0,
        user_satisfaction: float | None = None,
        tasks: tuple[LayerTask, ...] = (),
        partial: bool = False,
        config_version: int = 0,
        source: str = "live",
    ) -> Self:
        """Take the fields in their order; see the class."""
        return tuple.__new__(
            cls,
            (
                query_id,
                query_text,
                query_type,
                timestamp or time.time(),
                latency_ms,
                memory_mb,
                cache_hit,
                result_count,
                layers_queried,
                layer_latencies,
                success,
                error,
                parallel_execution,
                concurrency_level,
                accuracy_score,
                user_satisfaction,
                tasks,
                partial,
                config_version,
                source,
            ),
        )


@dataclass(frozen=True, slots=True)
class LayerMetrics:
    """What one layer did within the window. Latencies are service times in ms, rates are 0 to 1."""

    layer_name: str
    total_queries: int
    successful_queries: int
    avg_latency_ms: float
    p50_latency_ms: float
    p99_latency_ms: float
    avg_memory_mb: float
    error_rate: float
    cache_hit_rate: float
    p90_latency_ms: float = math.nan
    p95_latency_ms: float = math.nan
    p999_latency_ms: float = math.nan
    avg_queue_ms: float = math.nan
    p99_queue_ms: float = math.nan


@dataclass(frozen=True, slots=True)
class QueryTypeMetrics:
    """What one type of query did within the window. Latencies are whole recalls in ms, rates are 0 to 1."""

    query_type: str
    total_queries: int
    avg_latency_ms: float
    p99_latency_ms: float
    parallel_speedup: float = 1.0
    cache_hit_rate: float = 0.0
    success_rate: float = 1.0
    avg_accuracy: float = 1.0
    p50_latency_ms: float = math.nan
    p90_latency_ms: float = math.nan
    p95_latency_ms: float = math.nan
    p999_latency_ms: float = math.nan


class TuningStrategy(StrEnum):
    """What the operator wants most."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"
    COST = "cost"
    BALANCED = "balanced"


class Mode(StrEnum):
    """Who steers: the tuner applies, it proposes and a person applies, or it only watches."""

    AUTO = "auto"
    ADVISE = "advise"
    PINNED = "pinned"


@dataclass(frozen=True, slots=True)
class TuningConfig:
    """How recalls are executed. A value: immutable, validated, equal only if every field is equal.

    Attributes:
        max_concurrent: layer tasks in flight over all recalls of a manager, 1 to 1024. It is one shared
            resource: only the config for all types decides it.
        timeout_seconds: longest service time of a layer task; queue wait does not count.
        layer_selection_enabled: ask the layers that the query calls for; else every layer.
        strategy: what the values were chosen for.
        enable_cache: answer repeated recalls from the result cache.
        enable_parallel: run a recall's layers at the same time.
        deadline_seconds: give a partial answer when the whole recall has taken so long; None: no deadline.
        layer_timeouts: timeouts in seconds that differ from ``timeout_seconds``, by layer.
        skipped_layers: layers that selection leaves out.

    Raises:
        ValueError: if a value is of the wrong kind or out of range; the message names field and value.

    Example:
        >>> TuningConfig(max_concurrent=8) == TuningConfig(max_concurrent=8, enable_parallel=False)
        False
        >>> TuningConfig(layer_timeouts={"graph": 2.0}).timeout_for("graph")
        2.0
    """

    max_concurrent: int = 5
    timeout_seconds: float = 10.0
    layer_selection_enabled: bool = True
    strategy: TuningStrategy = TuningStrategy.BALANCED
    enable_cache: bool = True
    enable_parallel: bool = True
    deadline_seconds: float | None = None
    layer_timeouts: Mapping[str, float] = field(default_factory=dict)
    skipped_layers: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if isinstance(self.max_concurrent, bool) or not isinstance(self.max_concurrent, int):
            raise ValueError(f"max_concurrent must be a whole number, not {self.max_concurrent!r}")
        if not 1 <= self.max_concurrent <= 1024:
            raise ValueError(f"max_concurrent must be 1 to 1024, not {self.max_concurrent}")
        _check_seconds("timeout_seconds", self.timeout_seconds)
        if self.deadline_seconds is not None:
            _check_seconds("deadline_seconds", self.deadline_seconds)
        for name in ("layer_selection_enabled", "enable_cache", "enable_parallel"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, not {getattr(self, name)!r}")
        for layer, seconds in self.layer_timeouts.items():
            _check_seconds(f"layer_timeouts[{layer!r}]", seconds)
        object.__setattr__(self, "strategy", TuningStrategy(self.strategy))
        object.__setattr__(self, "layer_timeouts", MappingProxyType(dict(self.layer_timeouts)))
        object.__setattr__(self, "skipped_layers", frozenset(self.skipped_layers))

    def __hash__(self) -> int:
        return hash((self.max_concurrent, self.timeout_seconds, self.strategy))

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self).from_dict, (self.to_dict(),))

    def timeout_for(self, layer: str) -> float:
        """Return the service-time limit of ``layer`` in seconds."""
        return self.layer_timeouts.get(layer, self.timeout_seconds)

    def to_dict(self) -> dict[str, Any]:
        """Return the values as plain JSON types."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["strategy"] = self.strategy.value
        values["layer_timeouts"] = dict(self.layer_timeouts)
        values["skipped_layers"] = sorted(self.skipped_layers)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a config from plain JSON types.

        Raises:
            ValueError: if a name is unknown or a value does not fit.
        """
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown config fields: {', '.join(sorted(unknown))}")
        return cls(**values)

    def changes_to(self, other: TuningConfig) -> dict[str, tuple[Any, Any]]:
        """Return ``{field: (here, there)}`` for the fields that differ, as plain JSON types."""
        here, there = self.to_dict(), other.to_dict()
        return {name: (here[name], there[name]) for name in here if here[name] != there[name]}


def _check_seconds(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} must be a number of seconds, not {value!r}")
    if not (math.isfinite(value) and 0 < value <= 3600):
        raise ValueError(f"{name} must be above 0 and at most 3600 seconds, not {value}")


@dataclass(frozen=True, slots=True)
class TuningBounds:
    """The range that tuning may choose from. A person may set values outside it; tuning never does.

    Raises:
        ValueError: if a lower bound is above its upper bound or not positive.
    """

    min_concurrent: int = 2
    max_concurrent: int = 20
    min_timeout_seconds: float = 5.0
    max_timeout_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not 1 <= self.min_concurrent <= self.max_concurrent:
            raise ValueError(
                f"concurrency bounds {self.min_concurrent} to {self.max_concurrent} hold nothing"
            )
        if not 0 < self.min_timeout_seconds <= self.max_timeout_seconds:
            raise ValueError(
                f"timeout bounds {self.min_timeout_seconds} to {self.max_timeout_seconds} s hold nothing"
            )


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """One entry of the append-only history of configs.

    Versions number all scopes together, from 1, without gaps. ``scope`` is "all" or a query type;
    ``parent`` is the version that was in force for that scope before (0: none), ``restores`` the version
    that a rollback brings back.
    """

    version: int
    parent: int
    scope: str
    config: TuningConfig
    mode: Mode
    author: str
    reason: str
    time: float
    restores: int | None = None


@dataclass(frozen=True, slots=True)
class ConfigSet:
    """The configs in force at one moment: one for all types, and the exceptions by type.

    Example:
        >>> ConfigSet().for_type("temporal").max_concurrent
        5
    """

    head: int = 0
    default: ConfigVersion = ConfigVersion(
        0, 0, "all", TuningConfig(), Mode.ADVISE, "athena_tuning", "defaults", 0.0
    )
    by_type: Mapping[str, ConfigVersion] = field(default_factory=dict)

    def for_type(self, query_type: str) -> TuningConfig:
        """Return the config for a query of this type."""
        return self.by_type.get(query_type, self.default).config

    def in_scope(self, scope: str) -> ConfigVersion | None:
        """Return the version in force for exactly this scope ("all" or a type), or None."""
        return self.default if scope == "all" else self.by_type.get(scope)

    def with_version(self, version: ConfigVersion) -> ConfigSet:
        """Return the set after ``version`` came into force."""
        head = max(self.head, version.version)
        if version.scope == "all":
            return replace(self, head=head, default=version)
        return replace(self, head=head, by_type=MappingProxyType({**self.by_type, version.scope: version}))


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one parameter has its value.

    Attributes:
        parameter: a field of ``TuningConfig``.
        value: what was chosen.
        rule: the rule in words, with its figures.
        inputs: what the rule looked at, by name (ms, rates, counts).
        samples: recalls that the inputs rest on.
        bound: the bound that decided, if one did ("at least 5 s").
    """

    parameter: str
    value: Any
    rule: str
    inputs: Mapping[str, Any]
    samples: int
    bound: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A config that was considered, with its predicted change of the objective.

    Changes are log ratios to the incumbent (−0.1 is about 10 % better); ``low`` to ``high`` is the 95 %
    interval.
    """

    config: TuningConfig
    predicted: float
    low: float
    high: float


class Action(StrEnum):
    """What a decision does to the config in force."""

    KEEP = "keep"
    CHANGE = "change"
    CANARY = "canary"
    CONFIRM = "confirm"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Decision:
    """The explanation record of one decision, "no change" included.

    Attributes:
        decision_id: unique id.
        time: Unix seconds.
        policy: the policy that decided ("rules", "model", …).
        scope: "all" or a query type.
        action: what it does.
        before: the incumbent.
        after: what should be in force; equal to ``before`` for KEEP and CONFIRM.
        summary: one sentence for a person.
        samples: recalls it rests on.
        reasons: why each parameter has its value.
        candidates: the best of what was considered, best first.
        bound: what kept the decision from going further, if something did.
        predicted: expected change of the objective as a log ratio; None where nothing was predicted.
        observed: what then happened, filled in by the verdict.
        verdict_on: the decision that this one judges.
        config_version: the version that it led to, once applied.
    """

    decision_id: str
    time: float
    policy: str
    scope: str
    action: Action
    before: TuningConfig
    after: TuningConfig
    summary: str
    samples: int
    reasons: tuple[Reason, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    bound: str | None = None
    predicted: float | None = None
    observed: float | None = None
    verdict_on: str | None = None
    config_version: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON types."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values |= {
            "action": self.action.value,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "reasons": [{**_plain(r), "inputs": dict(r.inputs)} for r in self.reasons],
            "candidates": [{**_plain(c), "config": c.config.to_dict()} for c in self.candidates],
        }
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a record from what ``to_dict`` gave."""
        return cls(
            **{
                **values,
                "action": Action(values["action"]),
                "before": TuningConfig.from_dict(values["before"]),
                "after": TuningConfig.from_dict(values["after"]),
                "reasons": tuple(Reason(**r) for r in values["reasons"]),
                "candidates": tuple(
                    Candidate(**{**c, "config": TuningConfig.from_dict(c["config"])})
                    for c in values["candidates"]
                ),
            }
        )


def _plain(record: Reason | Candidate) -> dict[str, Any]:
    return {f.name: getattr(record, f.name) for f in fields(record)}


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A process with a manager, as it last reported itself.

    Attributes:
        worker_id: unique id.
        host: machine name.
        pid: process id.
        started: Unix seconds.
        last_seen: Unix seconds of the last report.
        config_version: the version that it runs.
        recalls: recalls since its start.
        dropped_metrics: records that it could not deliver.
        rejected_metrics: records that its profiler refused as impossible.
    """

    worker_id: str
    host: str
    pid: int
    started: float
    last_seen: float
    config_version: int = 0
    recalls: int = 0
    dropped_metrics: int = 0
    rejected_metrics: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the status as plain JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Annotation:
    """A note at a moment, for charts."""

    time: float
    text: str
    author: str
