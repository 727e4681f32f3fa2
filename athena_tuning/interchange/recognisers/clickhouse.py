"""Spans in ``otel_traces``, the table of OpenTelemetry's collector in ClickHouse: CSV, JSON, Parquet."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator, Mapping
from typing import Any

from athena_tuning.interchange.recognition import CERTAIN, Recogniser, Recognition, SpanReading
from athena_tuning.interchange.shape import Row, Sample, flat
from athena_tuning.interchange.spans import Span, kept
from athena_tuning.interchange.trace_json import each, span_of, whole, written_ns

_MARKS = ("Timestamp", "TraceId", "SpanId", "ParentSpanId", "SpanName", "Duration")
_OUTCOMES = {"OK": True, "ERROR": False}


def spans(element: Any, keep: Container[str]) -> Iterator[Span | ValueError]:
    """Give the span of a row."""
    return each(lambda row: _span(row, keep), (element,))


def _recognise(sample: Sample) -> Recognition | None:
    if not sample.has(*_MARKS):
        return None
    return Recognition(CERTAIN, f"columns {', '.join(_MARKS)}; durations are in ns", SpanReading(spans))


def _span(row: Row, keep: Container[str]) -> Span:
    start = written_ns(row.get("Timestamp"), "Timestamp")
    if start is None:
        raise ValueError("a span without Timestamp")
    success = _OUTCOMES.get(str(row.get("StatusCode") or "").upper().removeprefix("STATUS_CODE_"))
    return span_of(
        row.get("TraceId"),
        row.get("SpanId"),
        row.get("ParentSpanId"),
        row.get("SpanName"),
        start,
        whole(row.get("Duration"), "Duration"),
        success,
        row.get("StatusMessage") if success is False else None,
        kept(_attributes(row.get("SpanAttributes")).items(), keep),
    )


def _attributes(value: Any) -> Mapping[str, Any]:
    """Return a span's attributes: an object, pairs of a map of Parquet, or a map in ClickHouse's writing."""
    if isinstance(value, str) and value[:1] == "{":
        try:
            value = ast.literal_eval(value)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return {}
    if isinstance(value, list):
        return dict(pair for pair in value if isinstance(pair, tuple) and len(pair) == 2)
    return flat(value, depth=5) if isinstance(value, Mapping) else {}


RECOGNISERS = (
    Recogniser("clickhouse-spans", "OpenTelemetry spans in ClickHouse's table (otel_traces)", _recognise),
)
