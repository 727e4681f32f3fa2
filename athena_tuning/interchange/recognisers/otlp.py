"""Spans in the JSON of OpenTelemetry: plain documents, a collector's lines, and Tempo's ``batches``."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from athena_tuning.interchange.recognition import CERTAIN, Recogniser, Recognition, SpanReading
from athena_tuning.interchange.shape import Sample
from athena_tuning.interchange.spans import Span, kept
from athena_tuning.interchange.trace_json import each, first_of, list_in, span_of, whole

_RESOURCES = ("resourceSpans", "resource_spans", "batches")
_SCOPES = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans")
_OUTCOMES = {1: True, 2: False, "STATUS_CODE_OK": True, "STATUS_CODE_ERROR": False}


def spans(element: Any, keep: Container[str]) -> Iterator[Span | ValueError]:
    """Give the spans of a whole document, of one of its resources, or of what Tempo puts around them."""
    for inner in list_in(element, *_RESOURCES):
        yield from spans(inner, keep)
    if isinstance(element, Mapping) and isinstance(element.get("trace"), Mapping):
        yield from spans(element["trace"], keep)
    for scope in list_in(element, *_SCOPES):
        yield from each(lambda span: _span(span, keep), list_in(scope, "spans"))


def _recognise(sample: Sample) -> Recognition | None:
    wrapper = next((name for name in _RESOURCES if name in sample.members or sample.has(name)), None)
    if wrapper is None and "trace" in sample.members and sample.share(_has_scopes) > 0.5:
        wrapper = "trace"
    if wrapper is None and sample.share(_has_scopes) < 0.5:
        return None
    if (
        wrapper == "batches"
        and sample.share(lambda row: _has_scopes(row) or bool(list_in(row, wrapper))) < 0.5
    ):
        return None
    return Recognition(
        CERTAIN, f"spans of scopes of resources, under {wrapper or 'a list'}", SpanReading(spans)
    )


def _has_scopes(row: Any) -> bool:
    return any(list_in(row, name) for name in _SCOPES)


def _span(span: Mapping[str, Any], keep: Container[str]) -> Span:
    start = whole(first_of(span, "startTimeUnixNano", "start_time_unix_nano"), "startTimeUnixNano")
    end = whole(first_of(span, "endTimeUnixNano", "end_time_unix_nano"), "endTimeUnixNano")
    if not start:
        raise ValueError("a span without startTimeUnixNano")
    status = span.get("status") or {}
    success = _OUTCOMES.get(status.get("code"))
    return span_of(
        first_of(span, "traceId", "trace_id"),
        first_of(span, "spanId", "span_id"),
        first_of(span, "parentSpanId", "parent_span_id"),
        span.get("name"),
        start,
        None if not end else end - start,
        success,
        status.get("message") if success is False else None,
        kept(_pairs(span.get("attributes")), keep),
    )


def _pairs(attributes: Any) -> Iterator[tuple[str, Any]]:
    listed: Iterable[Any] = attributes if isinstance(attributes, list) else ()
    for pair in listed:
        if isinstance(pair, Mapping) and isinstance(pair.get("key"), str):
            yield pair["key"], _value(pair.get("value"))


def _value(value: Any) -> Any:
    """Return the value of an attribute: it stands under the name of its type."""
    if not isinstance(value, Mapping):
        return value
    if "intValue" in value:
        return int(value["intValue"])
    if "arrayValue" in value:
        return [_value(inner) for inner in list_in(value["arrayValue"], "values")]
    return next(iter(value.values()), None)


RECOGNISERS = (Recogniser("otlp", "OpenTelemetry spans in JSON (OTLP, collector, Tempo)", _recognise),)
