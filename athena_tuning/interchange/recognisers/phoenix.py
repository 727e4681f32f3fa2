"""Spans as Phoenix gives them (OpenInference): its dataframe as CSV, JSON or Parquet, and its API's JSON."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

from athena_tuning.interchange.converting import getter
from athena_tuning.interchange.recognition import CERTAIN, Recogniser, Recognition, SpanReading
from athena_tuning.interchange.shape import Row, Sample, flat
from athena_tuning.interchange.spans import KIND_ATTRIBUTE, Span, kept
from athena_tuning.interchange.trace_json import each, span_of, written_ns

_trace_id, _span_id = getter("context.trace_id"), getter("context.span_id")
_PREFIX = "attributes."


def spans(element: Any, keep: Container[str]) -> Iterator[Span | ValueError]:
    """Give the span of a row."""
    return each(lambda row: _span(row, keep), (element,))


def _recognise(sample: Sample) -> Recognition | None:
    if not sample.has("context.trace_id", "context.span_id", "parent_id", "start_time"):
        return None
    return Recognition(CERTAIN, "columns context.trace_id, context.span_id and parent_id", SpanReading(spans))


def _span(row: Row, keep: Container[str]) -> Span:
    start, end = (written_ns(row.get(name), name) for name in ("start_time", "end_time"))
    if start is None:
        raise ValueError("a span without start_time")
    code = str(row.get("status_code") or "").upper()
    return span_of(
        _trace_id(row),
        _span_id(row),
        row.get("parent_id"),
        row.get("name"),
        start,
        None if end is None else end - start,
        {"OK": True, "ERROR": False}.get(code),
        row.get("status_message") if code == "ERROR" else None,
        {**_kind(row), **kept(_attributes(row), keep)},
    )


def _kind(row: Row) -> dict[str, Any]:
    kind = row.get("span_kind")
    return {KIND_ATTRIBUTE: kind} if isinstance(kind, str) else {}


def _attributes(row: Row) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if name == "attributes" and isinstance(value, Mapping):
            yield from flat(value, depth=5).items()
        elif name.startswith(_PREFIX) and value is not None and value != "":
            yield name.removeprefix(_PREFIX), value


RECOGNISERS = (Recogniser("phoenix", "Phoenix spans (OpenInference; CSV, JSON, Parquet)", _recognise),)
