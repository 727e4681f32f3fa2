"""Spans in the JSON of OpenTelemetry: plain documents, a collector's lines, and Tempo's ``batches``."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from athena_tuning.interchange.recognition import CERTAIN, Recogniser, Recognition, SpanReading
from athena_tuning.interchange.shape import Sample
from athena_tuning.interchange.spans import Span, kept
from athena_tuning.interchange.trace_json import each, first_of, list_in, span_of, whole

_MARKS = ({"traceId", "spanId", "startTimeUnixNano"}, {"trace_id", "span_id", "start_time_unix_nano"})
_OUTCOMES = {1: True, 2: False, "STATUS_CODE_OK": True, "STATUS_CODE_ERROR": False}


def spans(element: Any, keep: Container[str]) -> Iterator[Span | ValueError]:
    """Give the span of an element; the way to it through resources and scopes is the layout's."""
    return each(lambda span: _span(span, keep), (element,))


def _recognise(sample: Sample) -> Recognition | None:
    wrapped = sample.path[-1:] == ("spans",) and len(sample.path) > 1
    marked = sample.share(lambda row: any(row.keys() >= marks for marks in _MARKS))
    if not wrapped and marked < 0.5:
        return None
    way = " / ".join(sample.path) if wrapped else "spans with traceId, spanId and startTimeUnixNano"
    return Recognition(CERTAIN, way, SpanReading(spans))


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
