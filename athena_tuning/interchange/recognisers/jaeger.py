"""Spans in the JSON of Jaeger: its API's traces, one trace, or a bare list of spans."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

from athena_tuning.interchange.recognition import CERTAIN, Recogniser, Recognition, SpanReading
from athena_tuning.interchange.shape import Row, Sample
from athena_tuning.interchange.spans import Span, kept
from athena_tuning.interchange.trace_json import each, list_in, span_of, whole

_MARKS = {"traceID", "spanID", "operationName"}


def spans(element: Any, keep: Container[str]) -> Iterator[Span | ValueError]:
    """Give the spans of a trace, of a document of traces, or of a span that stands alone."""
    if isinstance(element, Mapping) and element.keys() >= _MARKS:
        yield from each(lambda span: _span(span, keep), [element])
    yield from each(lambda span: _span(span, keep), list_in(element, "spans"))
    for trace in list_in(element, "data"):
        yield from spans(trace, keep)


def _recognise(sample: Sample) -> Recognition | None:
    traces, alone = sample.share(_is_trace), sample.share(lambda row: row.keys() >= _MARKS)
    if max(traces, alone) < 0.5:
        return None
    marks = (
        "traces with traceID and spans" if traces >= alone else "spans with traceID, spanID, operationName"
    )
    return Recognition(CERTAIN, marks, SpanReading(spans, _is_trace))


def _is_trace(row: Row | Any) -> bool:
    if not isinstance(row, Mapping):
        return False
    return ("traceID" in row and isinstance(row.get("spans"), list)) or any(
        map(_is_trace, list_in(row, "data"))
    )


def _span(span: Mapping[str, Any], keep: Container[str]) -> Span:
    tags = {pair["key"]: pair.get("value") for pair in list_in(span, "tags") if _is_pair(pair)}
    failed = tags.get("error") in (True, "true")
    code = tags.get("otel.status_code")
    start, duration = (whole(span.get(name), name) for name in ("startTime", "duration"))
    if start is None:
        raise ValueError("a span without startTime")
    links = [link for link in list_in(span, "references") if isinstance(link, Mapping)]
    links.sort(key=lambda link: link.get("refType") != "CHILD_OF")
    return span_of(
        span.get("traceID"),
        span.get("spanID"),
        links[0].get("spanID") if links else span.get("parentSpanID"),
        span.get("operationName"),
        start * 1000,
        None if duration is None else duration * 1000,
        False if failed or code == "ERROR" else True if code == "OK" else None,
        tags.get("otel.status_description") if failed or code == "ERROR" else None,
        kept(tags.items(), keep),
    )


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, Mapping) and isinstance(pair.get("key"), str)


RECOGNISERS = (Recogniser("jaeger", "Jaeger traces in JSON", _recognise),)
