"""Spans in the JSON of Zipkin v2: lists of spans, lists of traces, spans on lines."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

from athena_tuning.interchange.recognition import CERTAIN, Recogniser, Recognition, Refusal, SpanReading
from athena_tuning.interchange.shape import Row, Sample
from athena_tuning.interchange.spans import Span, kept
from athena_tuning.interchange.trace_json import each, span_of, whole

_OWN = ("localEndpoint", "remoteEndpoint", "annotations", "shared", "kind", "duration", "timestamp")
_OF_OTHERS = ("startTime", "start_time", "spanId", "type", "startTimeUnixNano")


def spans(element: Any, keep: Container[str]) -> Iterator[Span | ValueError]:
    """Give the spans of one element: a span, or the list of a trace's spans."""
    yield from each(lambda span: _span(span, keep), element if isinstance(element, list) else [element])


def _recognise(sample: Sample) -> Recognition | None:
    if sample.share(lambda row: "traceId" in row and "binaryAnnotations" in row) > 0.5:
        words = "Zipkin's first format is not read; its API gives the second under /api/v2/traces"
        return Recognition(CERTAIN, "spans with binaryAnnotations", Refusal(words))
    if sample.share(_is_span) < 0.9:
        return None
    return Recognition(
        CERTAIN,
        "spans with traceId, id and a timestamp, a duration or an endpoint",
        SpanReading(spans, lambda element: isinstance(element, list)),
    )


def _is_span(row: Row) -> bool:
    return (
        "traceId" in row
        and "id" in row
        and any(name in row for name in _OWN)
        and not any(name in row for name in _OF_OTHERS)
        and not isinstance(row.get("timestamp"), str)
    )


def _span(span: Mapping[str, Any], keep: Container[str]) -> Span:
    tags = span.get("tags") or {}
    start, duration = (whole(span.get(name), name) for name in ("timestamp", "duration"))
    error = tags.get("error")
    return span_of(
        span.get("traceId"),
        span.get("id"),
        span.get("parentId"),
        span.get("name"),
        start * 1000 if start else None,
        None if duration is None else duration * 1000,
        None if error is None else False,
        error or None,
        kept(tags.items(), keep),
        shared=True,
    )


RECOGNISERS = (Recogniser("zipkin", "Zipkin v2 traces in JSON", _recognise),)
