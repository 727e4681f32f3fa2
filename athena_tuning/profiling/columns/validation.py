"""What a record must be: impossible ones are rejected, odd ones made normal, both counted by reason.

Rejected: what is not a ``QueryMetrics`` (``not_a_record``) or raises when it is looked at (``unreadable``); a
time that is no number (``no_time``), more than a minute ahead (``in_the_future``) or older than the window
(``too_old``).

Made normal:
- a time of 0 becomes now; that is not counted;
- a time in ms, µs or ns becomes seconds (``time_unit``);
- an impossible figure (NaN, infinite, negative, of the wrong kind, a latency over 40 days) becomes unknown:
  ``latency``, ``memory``, ``cache_hit``, ``result_count``, ``success``, ``accuracy``, ``satisfaction``; an
  impossible ``concurrency`` becomes 1, ``config_version`` 0 (an ``accuracy`` of NaN is unknown as it is);
- what is no text becomes empty, a text over 2,000 characters or a name over 200 is cut: ``text``,
  ``query_id``, ``error``; an empty ``query_type`` becomes "unknown", an empty ``source`` "live";
- layers without a name or named twice are dropped, unlisted ones with a latency or task are added, at most
  64 stay (``layers``); impossible layer latencies and tasks are dropped (``layer_latencies``, ``tasks``).
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome

AHEAD_SECONDS = 60.0
LONGEST_MS = 40 * 86_400_000.0
LONGEST_TEXT = 2_000
LONGEST_NAME = 200
MOST_LAYERS = 64
LARGEST_COUNT = 2**31 - 1
LARGEST_MEMORY = 1e9  # MB

_UNITS = (1e3, 1e6, 1e9)
_EARLIEST = 978_307_200.0  # 2001: what is divided by a unit and lands after it was in that unit


class Rejected(Exception):
    """The record is impossible; the message is the reason's name."""


def normal(record: object, now: float, cutoff: float, counters: Counter[str]) -> QueryMetrics | None:
    """Return the record as the rules want it, or None if it is rejected; count what was done.

    Args:
        record: what a caller recorded; anything.
        now: Unix seconds.
        cutoff: oldest time of the window.
        counters: takes one for each "rejected_…" and "normalised_…".
    """
    try:
        return _normal(record, now, cutoff, counters)
    except Rejected as why:
        counters[f"rejected_{why}"] += 1
    except Exception:  # noqa: BLE001  # a caller's own classes may do anything when they are looked at
        counters["rejected_unreadable"] += 1
    return None


def _normal(record: object, now: float, cutoff: float, counters: Counter[str]) -> QueryMetrics:
    if not isinstance(record, QueryMetrics) or len(record) != len(QueryMetrics._fields):
        raise Rejected("not_a_record")
    odd: list[str] = []
    (
        query_id,
        text,
        query_type,
        timestamp,
        latency,
        memory,
        cache_hit,
        result_count,
        layers_queried,
        layer_latencies,
        success,
        error,
        parallel,
        concurrency,
        accuracy,
        satisfaction,
        layer_tasks,
        is_partial,
        config_version,
        source,
    ) = record
    timestamp = _time(timestamp, now, odd)
    if timestamp < cutoff:
        raise Rejected("too_old")
    timed = _layer_latencies(layer_latencies, odd)
    tasks = _tasks(layer_tasks, odd)
    layers = _layers(layers_queried, timed, tasks, odd)
    if len(layers) == MOST_LAYERS:
        timed = {layer: ms for layer, ms in timed.items() if layer in layers}
        tasks = tuple(task for task in tasks if task.layer in layers)
    clean = QueryMetrics(
        _text(query_id, LONGEST_NAME, "query_id", odd),
        _text(text, LONGEST_TEXT, "text", odd),
        _name(query_type, "unknown", "query_type", odd),
        timestamp,
        _number(latency, LONGEST_MS, "latency", odd),
        _number(memory, LARGEST_MEMORY, "memory", odd),
        _flag(cache_hit, "cache_hit", odd),
        _count(result_count, None, "result_count", odd),
        layers,
        timed,
        _flag(success, "success", odd),
        None if error is None else _text(error, LONGEST_TEXT, "error", odd),
        bool(parallel),
        _count(concurrency, 1, "concurrency", odd) or 0,
        _accuracy(accuracy, odd),
        _number(satisfaction, 1.0, "satisfaction", odd),
        tasks,
        bool(is_partial),
        _count(config_version, 0, "config_version", odd) or 0,
        _name(source, "live", "source", odd),
    )
    if odd:
        counters.update(f"normalised_{name}" for name in set(odd))
    return clean


def _time(value: Any, now: float, odd: list[str]) -> float:
    seconds = _real(value)
    if seconds is None or seconds < 0:
        raise Rejected("no_time")
    if seconds == 0:
        return now
    if seconds <= now + AHEAD_SECONDS:
        return seconds
    for unit in _UNITS:
        if _EARLIEST < seconds / unit <= now + AHEAD_SECONDS:
            odd.append("time_unit")
            return seconds / unit
    raise Rejected("in_the_future")


def _real(value: Any) -> float | None:
    """Return a finite float for what is a number (numpy's too), else None."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    if isinstance(value, (str, bytes)) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _number(value: Any, largest: float, name: str, odd: list[str]) -> float | None:
    if value is None or (type(value) is float and 0 <= value <= largest):
        return value
    number = _real(value)
    if number is None or not 0 <= number <= largest:
        odd.append(name)
        return None
    return number


def _accuracy(value: Any, odd: list[str]) -> float:
    if type(value) is float and math.isnan(value):
        return value
    number = _number(value, 1.0, "accuracy", odd)
    return math.nan if number is None else number


def _count(value: Any, otherwise: int | None, name: str, odd: list[str]) -> int | None:
    if type(value) is int and 0 <= value <= LARGEST_COUNT:
        return value
    if value is None and otherwise is None:
        return None
    number = _real(value)
    if number is None or not 0 <= number <= LARGEST_COUNT or number != int(number):
        odd.append(name)
        return otherwise
    return int(number)


def _flag(value: Any, name: str, odd: list[str]) -> bool | None:
    if value is None or type(value) is bool:
        return value
    number = _real(value) if not hasattr(value, "dtype") else float(bool(value))
    if number in (0.0, 1.0):
        return bool(number)
    odd.append(name)
    return None


def _text(value: Any, longest: int, name: str, odd: list[str]) -> str:
    if type(value) is str and len(value) <= longest:
        return value
    odd.append(name)
    return str.__str__(value)[:longest] if isinstance(value, str) else ""


def _name(value: Any, otherwise: str, name: str, odd: list[str]) -> str:
    return _text(value, LONGEST_NAME, name, odd) or _replaced(otherwise, name, odd)


def _replaced(otherwise: str, name: str, odd: list[str]) -> str:
    odd.append(name)
    return otherwise


def is_name(layer: object) -> bool:
    """Whether a layer may be called so."""
    return isinstance(layer, str) and 0 < len(layer) <= LONGEST_NAME


def _layer_latencies(values: Any, odd: list[str]) -> dict[str, float]:
    if not isinstance(values, dict):
        odd.append("layer_latencies")
        return {}
    kept = {}
    for layer, value in values.items():
        ms = value if type(value) is float else _real(value)
        if is_name(layer) and ms is not None and 0 <= ms <= LONGEST_MS:
            kept[layer] = ms
    if len(kept) < len(values):
        odd.append("layer_latencies")
    return kept


def _tasks(values: Any, odd: list[str]) -> tuple[LayerTask, ...]:
    if not isinstance(values, (tuple, list)):
        odd.append("tasks")
        return ()
    kept = {task.layer: task for value in values if (task := _task(value)) is not None}
    if len(kept) < len(values):
        odd.append("tasks")
    return tuple(kept.values())


def _task(value: Any) -> LayerTask | None:
    if _is_normal(value):
        return value  # type: ignore[no-any-return]  # a LayerTask
    if not isinstance(value, LayerTask) or not is_name(value.layer):
        return None
    times = [_real(ms) for ms in value[1:4]]
    counts = [_count(value.in_flight, None, "", []), _count(value.result_count, None, "", [])]
    if any(ms is None or not 0 <= ms <= LONGEST_MS for ms in times) or None in counts:
        return None
    if value.outcome not in TaskOutcome._value2member_map_:
        return None
    offset, queue, service = (float(ms or 0) for ms in times)
    in_flight, results = (int(n or 0) for n in counts)
    return LayerTask(str(value.layer), offset, queue, service, in_flight, TaskOutcome(value.outcome), results)


def _is_normal(value: Any) -> bool:
    """Whether a task needs no mending; nearly all are so."""
    if type(value) is not LayerTask:
        return False
    layer, offset, queue, service, in_flight, outcome, results = value
    return (
        type(layer) is str
        and 0 < len(layer) <= LONGEST_NAME
        and type(offset) is type(queue) is type(service) is float
        and 0 <= offset <= LONGEST_MS
        and 0 <= queue <= LONGEST_MS
        and 0 <= service <= LONGEST_MS
        and type(in_flight) is type(results) is int
        and 0 <= in_flight <= LARGEST_COUNT
        and 0 <= results <= LARGEST_COUNT
        and type(outcome) is TaskOutcome
    )


def _layers(values: Any, timed: dict[str, float], tasks: tuple[LayerTask, ...], odd: list[str]) -> list[str]:
    listed = values if isinstance(values, (list, tuple)) else ()
    named = [str(layer) for layer in listed if is_name(layer)]
    kept = list(dict.fromkeys([*named, *timed, *(task.layer for task in tasks)]))[:MOST_LAYERS]
    if kept != list(listed) or listed is not values:
        odd.append("layers")
    return kept
