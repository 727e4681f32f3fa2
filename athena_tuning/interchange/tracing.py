"""Spans in the JSON of OpenTelemetry (and Tempo), Jaeger and Zipkin."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from athena_tuning.interchange import units
from athena_tuning.interchange.spans import KEPT_ATTRIBUTES, NO_PARENT, STATUS_ATTRIBUTES, Span

Spans = Iterator[Span | ValueError]


def otlp(resource: Any) -> Spans:
    """Give the spans of one element of ``resourceSpans`` (``batches`` at Tempo), or of a whole document."""
    for inner in _list(resource, "resourceSpans", "resource_spans", "batches"):
        yield from otlp(inner)
    for scope in _list(resource, "scopeSpans", "scope_spans", "instrumentationLibrarySpans"):
        for span in _list(scope, "spans"):
            yield _tried(_otlp_span, span)


def jaeger(trace: Any) -> Spans:
    """Give the spans of one element of ``data``."""
    for span in _list(trace, "spans"):
        yield _tried(_jaeger_span, span)


def zipkin(element: Any) -> Spans:
    """Give the spans of one element of a Zipkin v2 list: a span, or the list of a trace's spans."""
    for span in element if isinstance(element, list) else [element]:
        yield _tried(_zipkin_span, span)


def _otlp_span(span: Mapping[str, Any]) -> Span:
    start = _whole(_get(span, "startTimeUnixNano", "start_time_unix_nano"), "startTimeUnixNano")
    end = _whole(_get(span, "endTimeUnixNano", "end_time_unix_nano"), "endTimeUnixNano")
    if not start:
        raise ValueError("a span without startTimeUnixNano")
    attributes = _attributes(span.get("attributes"), _otlp_value)
    status = span.get("status") or {}
    code = status.get("code")
    success = {1: True, 2: False, "STATUS_CODE_OK": True, "STATUS_CODE_ERROR": False}.get(code)
    return _span(
        _get(span, "traceId", "trace_id"),
        _get(span, "spanId", "span_id"),
        _get(span, "parentSpanId", "parent_span_id"),
        span.get("name"),
        start,
        None if not end else end - start,
        success,
        status.get("message") if success is False else None,
        attributes,
    )


def _jaeger_span(span: Mapping[str, Any]) -> Span:
    attributes = _attributes(span.get("tags"), lambda value: value)
    failed = attributes.pop("error", None) in (True, "true")
    code = attributes.pop("otel.status_code", None)
    start, duration = (_whole(span.get(name), name) for name in ("startTime", "duration"))
    if start is None:
        raise ValueError("a span without startTime")
    links = [link for link in _list(span, "references") if isinstance(link, Mapping)]
    links.sort(key=lambda link: link.get("refType") != "CHILD_OF")
    return _span(
        span.get("traceID"),
        span.get("spanID"),
        links[0].get("spanID") if links else span.get("parentSpanID"),
        span.get("operationName"),
        start * 1000,
        None if duration is None else duration * 1000,
        False if failed or code == "ERROR" else True if code == "OK" else None,
        None,
        attributes,
    )


def _zipkin_span(span: Mapping[str, Any]) -> Span:
    tags = span.get("tags") or {}
    start, duration = (_whole(span.get(name), name) for name in ("timestamp", "duration"))
    if not start:
        raise ValueError("a span without timestamp")
    error = tags.get("error")
    return _span(
        span.get("traceId"),
        span.get("id"),
        span.get("parentId"),
        span.get("name"),
        start * 1000,
        None if duration is None else duration * 1000,
        None if error is None else False,
        error or None,
        {name: value for name, value in tags.items() if name in KEPT_ATTRIBUTES},
        shared=True,
    )


def _span(
    trace_id: Any,
    span_id: Any,
    parent_id: Any,
    name: Any,
    start_ns: int,
    duration_ns: int | None,
    success: bool | None,
    error: Any,
    attributes: Mapping[str, Any],
    *,
    shared: bool = False,
) -> Span:
    trace, own, parent = (_id(value) for value in (trace_id, span_id, parent_id))
    if parent is not None and parent.lower() in NO_PARENT:
        parent = None
    if trace is None or own is None:
        raise ValueError("a span without the ids of its trace and itself")
    if duration_ns is not None and duration_ns < 0:
        raise ValueError(f"span {own!r:.80} ends before it starts: a clock went backwards")
    if success is None:
        codes = (attributes.get(status) for status in STATUS_ATTRIBUTES)
        success = units.flag(next((code for code in codes if code is not None), None))
    text = str(error)[:2000] if error else None
    return Span(
        trace, own, parent, str(name or "unnamed"), start_ns, duration_ns, success, text, shared, attributes
    )


def _tried(read: Any, span: Any) -> Span | ValueError:
    if not isinstance(span, Mapping):
        return ValueError(f"not a span: {span!r:.80}")
    try:
        made: Span = read(span)
    except (AttributeError, TypeError) as exc:
        return ValueError(f"not a span as this format has them: {exc}")
    except ValueError as exc:
        return exc
    return made


def _id(value: Any) -> str | None:
    """Return an id in its hexadecimal form; None for none."""
    if value is None or value == "":
        return None
    text = str(value)
    if len(text) in (12, 24) and text.endswith("="):
        try:
            text = base64.b64decode(text, validate=True).hex()
        except binascii.Error:
            return text
    return text


def _whole(value: Any, name: str) -> int | None:
    if value is None or value == "":
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a whole number, not {value!r:.80}") from None


def _get(values: Mapping[str, Any], *names: str) -> Any:
    return next((values[name] for name in names if name in values), None)


def _list(values: Any, *names: str) -> list[Any]:
    found = _get(values, *names) if isinstance(values, Mapping) else None
    return found if isinstance(found, list) else []


def _attributes(pairs: Any, read: Any) -> dict[str, Any]:
    kept = KEPT_ATTRIBUTES | {"error", "otel.status_code"}
    listed: Iterable[Any] = pairs if isinstance(pairs, list) else ()
    return {
        pair["key"]: read(pair.get("value"))
        for pair in listed
        if isinstance(pair, Mapping) and pair.get("key") in kept
    }


def _otlp_value(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if "intValue" in value:
        return int(value["intValue"])
    return next(iter(value.values()), None)
