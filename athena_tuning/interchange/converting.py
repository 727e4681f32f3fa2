"""Makes records and spans of a table's rows, as a mapping says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, cast

from athena_tuning.interchange import units
from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.interchange.spans import KEPT_ATTRIBUTES, NO_PARENT, Span, kept
from athena_tuning.model import QueryMetrics

_NO_FAILURES = frozenset({"", "-", "0", "false", "no", "none", "null", "nil", "nan", "ok", "n/a"})

TINY = 1e-6
"""Stands for time 0, which would read as "now"."""

_LONGEST_MS = 40 * 86_400_000.0

Row = Mapping[str, Any]


def to_record(mapping: ColumnMapping) -> Callable[[int, Row], QueryMetrics]:
    """Return what makes a record of a row and its number.

    What it returns raises ``ValueError``, naming the column, for a value that does not fit.

    Examples:
        >>> make = to_record(ColumnMapping(start="at", latency="took", latency_unit="us"))
        >>> record = make(7, {"at": "1700000000", "took": 1500})
        >>> record.query_id, record.latency_ms, record.success
        ('row 7', 1.5, None)
    """
    begun_and_took = _times(mapping)
    query_id, text, kind = (_texts(mapping, name) for name in ("query_id", "query_text", "query_type"))
    success, cache_hit = (_column(mapping, name, units.flag) for name in ("success", "cache_hit"))
    error = _column(mapping, "error", _failure)
    told_by_error = mapping.success is None and mapping.error is not None
    numbers = ("result_count", "memory_mb", "user_satisfaction")
    result_count, memory, satisfaction = (_column(mapping, name, _not_negative) for name in numbers)
    layers = _layers(mapping)

    def make(number: int, row: Row) -> QueryMetrics:
        timestamp, latency = begun_and_took(row)
        failure, succeeded, count = error(row), success(row), result_count(row)
        layers_queried, timed = layers(row)
        return QueryMetrics(
            query_id(row) or f"row {number}",
            text(row) or "",
            kind(row) or "unknown",
            timestamp,
            latency,
            memory(row),
            cache_hit(row),
            None if count is None else int(count),
            layers_queried,
            timed,
            failure is None if told_by_error else False if succeeded is None and failure else succeeded,
            failure,
            accuracy_score=math.nan,
            user_satisfaction=satisfaction(row),
            source="imported",
        )

    return make


def to_span(mapping: ColumnMapping, keep: Collection[str] = KEPT_ATTRIBUTES) -> Callable[[int, Row], Span]:
    """Return what makes a span of a row; see ``to_record``.

    Args:
        mapping: what the columns are.
        keep: columns that are attributes of the span, also where "attributes." is before their names.
    """
    begun_and_took = _times(mapping)
    names = ("trace_id", "span_id", "parent_id", "query_type", "query_text")
    trace_id, span_id, parent_id, kind, text = (_texts(mapping, name) for name in names)
    error = _column(mapping, "error", _failure)
    success = _column(mapping, "success", units.flag)
    attributes = {**{name: name for name in keep}, **{f"attributes.{name}": name for name in keep}}

    def make(_number: int, row: Row) -> Span:
        trace, own, parent = trace_id(row), span_id(row), parent_id(row)
        if trace is None or own is None:
            raise ValueError("a span without the ids of its trace and itself")
        timestamp, latency = begun_and_took(row)
        failure, succeeded = error(row), success(row)
        pairs = ((attributes[name], row[name]) for name in attributes.keys() & row.keys())
        return Span(
            trace,
            own,
            None if parent is None or parent.lower() in NO_PARENT else parent,
            kind(row) or text(row) or "unnamed",
            round(timestamp * 1e9),
            None if latency is None else round(latency * 1e6),
            False if succeeded is None and failure else succeeded,
            failure,
            attributes=kept(((name, value) for name, value in pairs if value not in (None, "")), keep),
        )

    return make


def getter(column: str) -> Callable[[Row], Any]:
    """Return what reads a column, or a value inside objects that is named with dots."""
    parts = column.split(".")
    if len(parts) == 1:
        return lambda row: row.get(column)

    def read(row: Row) -> Any:
        if column in row:
            return row[column]
        value: Any = row
        for part in parts:
            if not isinstance(value, Mapping):
                return None
            value = value.get(part)
        return value

    return read


def _column(mapping: ColumnMapping, name: str, convert: Callable[[Any], Any]) -> Callable[[Row], Any]:
    column = getattr(mapping, name)
    if column is None:
        return lambda _: None
    return _reading(column, convert)


def _reading(column: str, convert: Callable[[Any], Any]) -> Callable[[Row], Any]:
    get = getter(column)

    def read(row: Row) -> Any:
        try:
            return convert(get(row))
        except (ValueError, OverflowError) as exc:
            raise ValueError(f"{column}: {exc}") from None

    return read


def _texts(mapping: ColumnMapping, name: str) -> Callable[[Row], str | None]:
    return _column(mapping, name, _text)


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _failure(value: Any) -> str | None:
    """Return what failed; None where a column of errors says that nothing did."""
    if value is None or value is False or value == 0:
        return None
    text = _text(value)
    return None if text is None or text.strip().lower() in _NO_FAILURES else text


def _not_negative(value: Any) -> float | int | None:
    amount = units.number(value)
    if amount is not None and amount < 0:
        raise ValueError(f"below 0: {value!r:.80}")
    return amount


def _times(mapping: ColumnMapping) -> Callable[[Row], tuple[float, float | None]]:
    """Return what reads a row's start in Unix seconds and its latency in ms."""
    time_unit, origin = mapping.time_unit, mapping.origin
    whole = units.SECONDS.get(time_unit, 1.0) * 1e3  # ms in one unit
    start = _column(mapping, "start", _moment_reader(time_unit))
    end = _column(mapping, "end", _moment_reader(time_unit))
    latency = _column(mapping, "latency", lambda value: units.duration_ms(value, mapping.latency_unit))

    def read(row: Row) -> tuple[float, float | None]:
        began, ended, took = start(row), end(row), latency(row)
        if took is None and began is not None and ended is not None:
            took = (ended - began) * whole  # whole numbers are subtracted before they are rounded
            if took < 0:
                raise ValueError("ends before it starts: a clock went backwards")
        if took is not None and took > _LONGEST_MS:
            raise ValueError(f"takes {took / 86_400_000:,.0f} days: is the unit right?")
        if began is None:
            if ended is None or took is None:
                raise ValueError("no time: when it began is unknown")
            began = ended - took / whole
        seconds = began * whole / 1e3 if isinstance(began, float) else began / round(1e3 / whole)
        placed = origin + seconds
        if not 0 <= placed < 1e11:
            raise ValueError(f"its time is {placed:,.0f} s after 1970: is the unit right?")
        return max(placed, TINY), took

    return read


def _moment_reader(unit: str) -> Callable[[Any], float | int | None]:
    """Numbers stay in their unit here, so that whole ns lose nothing; written times become seconds."""
    if unit == "text":
        return lambda value: units.moment(value, unit)

    def read(value: Any) -> float | int | None:
        if isinstance(value, (str, datetime)) and units.is_written_time(value):
            return (units.moment(value, "text") or 0.0) / units.SECONDS[unit]
        return units.number(value)

    return read


def _layers(mapping: ColumnMapping) -> Callable[[Row], tuple[list[str], dict[str, float]]]:
    """Return what reads the layers that ran and their times in ms."""
    unit = mapping.layer_unit
    if mapping.layers is not None:
        return _reading(mapping.layers, lambda value: _layer_values(value, unit))
    if mapping.layer_columns:
        reads = {
            layer: _reading(column, lambda value: units.duration_ms(value, unit))
            for layer, column in mapping.layer_columns.items()
        }

        def from_columns(row: Row) -> tuple[list[str], dict[str, float]]:
            timed = {layer: ms for layer, read in reads.items() if (ms := read(row)) is not None}
            return list(timed), timed

        return from_columns
    return lambda _: ([], {})


def _layer_values(value: Any, unit: str) -> tuple[list[str], dict[str, float]]:
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except (RecursionError, ValueError) as exc:
            raise ValueError(f"layers are no JSON: {exc}") from None
    if value is None or value == "":
        return [], {}
    if isinstance(value, Mapping):
        timed = {layer: units.duration_ms(took, unit) for layer, took in value.items()}
        if None not in timed.values():
            return list(timed), cast("dict[str, float]", timed)
        return list(timed), {layer: ms for layer, ms in timed.items() if ms is not None}
    names = value.replace(";", ",").split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"layers are times by name or a list of names, not {value!r:.80}")
    return list(dict.fromkeys(name.strip() for name in names if name.strip())), {}
