"""A record as plain JSON types and back: the one form that exports write and imports read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from athena_tuning.model import LayerTask, QueryMetrics, Source, TaskOutcome
from athena_tuning.model.source import kind_of

FIELDS: tuple[str, ...] = QueryMetrics._fields
"""Names of the values, in the order in which they are written."""

REQUIRED = frozenset({"query_id", "query_text", "query_type", "timestamp", "latency_ms", "layer_latencies"})
"""What tells an export from anybody else's table."""

NESTED = ("layers_queried", "layer_latencies", "tasks")
"""What has no single value; in CSV these cells are JSON."""

LARGEST = 1e300
"""Larger numbers are none that anybody measured."""

_TASK_FIELDS = LayerTask._fields
_task_values = itemgetter(*_TASK_FIELDS)
_OUTCOMES = {str(outcome): outcome for outcome in TaskOutcome}


def to_plain(m: QueryMetrics) -> dict[str, Any]:
    """Return a record as JSON types; what is unknown, or no finite number, is None.

    Examples:
        >>> m = QueryMetrics("q1", "tea?", "meta", 5.0, None, None, None, 1, [], {}, None, source="sample")
        >>> plain = to_plain(m)
        >>> plain["query_text"], plain["latency_ms"], from_plain(plain) == m
        ('tea?', None, True)
    """
    values = {name: _finite(value) for name, value in zip(FIELDS, m, strict=True)}
    values["layers_queried"] = list(m.layers_queried)
    values["layer_latencies"] = {layer: _finite(ms) for layer, ms in m.layer_latencies.items()}
    values["tasks"] = [
        {**dict(zip(_TASK_FIELDS, map(_finite, task), strict=True)), "outcome": str(task.outcome)}
        for task in m.tasks
    ]
    return values


def from_plain(values: Mapping[str, Any]) -> QueryMetrics:
    """Make a record from JSON types. What was measured becomes "imported"; a sample or simulation stays one.

    Raises:
        ValueError: if a value is missing or of the wrong kind; the message names it.
    """
    get = values.get
    timestamp = _number("timestamp", get("timestamp"))
    if timestamp is None:
        raise ValueError("timestamp is missing")
    concurrency, version = _count("concurrency_level", get("concurrency_level")), get("config_version")
    accuracy = _number("accuracy_score", get("accuracy_score"))
    return QueryMetrics(
        _text("query_id", get("query_id")),
        _text("query_text", get("query_text")),
        _text("query_type", get("query_type")),
        timestamp,
        _number("latency_ms", get("latency_ms")),
        _number("memory_mb", get("memory_mb")),
        _flag("cache_hit", get("cache_hit")),
        _count("result_count", get("result_count")),
        _names(get("layers_queried")),
        _latencies(get("layer_latencies")),
        _flag("success", get("success")),
        _text("error", get("error") or "") or None,
        bool(_flag("parallel_execution", get("parallel_execution"))),
        1 if concurrency is None else concurrency,
        math.nan if accuracy is None else accuracy,
        _number("user_satisfaction", get("user_satisfaction")),
        _tasks(get("tasks")),
        bool(_flag("partial", get("partial"))),
        _count("config_version", version) or 0,
        imported_source(get("source")),
    )


def imported_source(source: Any) -> str:
    """Return the source of a record that was read from a file: a simulated one stays simulated.

    Examples:
        >>> imported_source("live"), imported_source(None), imported_source("simulated")
        ('imported', 'imported', 'simulated')
    """
    kind = kind_of(source) if isinstance(source, str) else ""
    foreign = (Source.SAMPLE.value, Source.SIMULATED.value)
    return kind if kind in foreign else Source.IMPORTED.value


def task_outcome(value: Any) -> TaskOutcome:
    """Return the outcome that a text names.

    Raises:
        ValueError: if there is no such outcome.
    """
    outcome = _OUTCOMES.get(value) if isinstance(value, str) else None
    if outcome is None:
        raise ValueError(f"a task's outcome is ok, timeout or error, not {value!r:.80}")
    return outcome


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, not {value!r:.80}")
    return value


def _number(name: str, value: Any) -> float | None:
    if type(value) is float and 0.0 <= value < math.inf:  # nearly always
        return value
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} must be a number, not {value!r:.80}")
    if not 0 <= value <= LARGEST:
        raise ValueError(f"{name} must be a number from 0 up, not {value!r:.80}")
    return float(value)


def _count(name: str, value: Any) -> int | None:
    if type(value) is int and value >= 0:  # nearly always
        return value
    number = _number(name, value)
    if number is not None and number != int(number):
        raise ValueError(f"{name} must be a whole number, not {value}")
    return None if number is None else int(number)


def _flag(name: str, value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, not {value!r:.80}")
    return value


def _names(values: Any) -> list[str]:
    if not isinstance(values, list):
        raise ValueError(f"layers_queried must be a list of names, not {values!r:.80}")
    for value in values:
        _text("a layer's name", value)
    return values


def _latencies(values: Any) -> dict[str, float]:
    if not isinstance(values, Mapping):
        raise ValueError(f"layer_latencies must be ms by layer, not {values!r:.80}")
    kept = {}
    for layer, value in values.items():
        ms = _number("a layer's latency", value)
        if ms is not None:
            kept[layer] = ms
    return kept


def _tasks(values: Any) -> tuple[LayerTask, ...]:
    if values is None:
        return ()
    if not isinstance(values, list):
        raise ValueError(f"tasks must be a list, not {values!r:.80}")
    return tuple([_task(value) for value in values])


def _task(values: Any) -> LayerTask:
    try:
        layer, offset, queue, service, in_flight, outcome, results = _task_values(values)
    except (KeyError, TypeError):
        raise ValueError(f"a task is an object with {', '.join(_TASK_FIELDS)}, not {values!r:.80}") from None
    if (  # nearly always; a task has seven values to look at, and a record several tasks
        type(offset) is type(queue) is type(service) is float
        and offset >= 0.0
        and queue >= 0.0
        and service >= 0.0
        and offset + queue + service <= LARGEST
        and type(in_flight) is type(results) is int
        and in_flight >= 0
        and results >= 0
        and type(layer) is str
        and type(outcome) is str
        and outcome in _OUTCOMES
    ):
        return LayerTask(layer, offset, queue, service, in_flight, _OUTCOMES[outcome], results)
    offset, queue, service = (_number("a task's time", ms) for ms in (offset, queue, service))
    if offset is None or queue is None or service is None:
        raise ValueError("a task has offset_ms, queue_ms and service_ms")
    return LayerTask(
        _text("a task's layer", layer),
        offset,
        queue,
        service,
        _count("a task's in_flight", in_flight) or 0,
        task_outcome(outcome),
        _count("a task's result_count", results) or 0,
    )
