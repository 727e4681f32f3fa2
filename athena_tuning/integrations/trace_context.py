"""Carries the trace of whoever asks to whoever answers: over HTTP, over a cluster, into spans."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.context import Context

_HEADERS = ("traceparent", "tracestate")
"""Of W3C Trace Context."""

_received: ContextVar[dict[str, str] | None] = ContextVar("athena_tuning_trace_headers", default=None)


def trace_headers() -> dict[str, str] | None:
    """Return what names the current span, or else the span of the request at hand; None: neither."""
    if _is_traced():
        from opentelemetry import propagate

        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return carrier or _received.get()
    return _received.get()


@contextmanager
def within_trace(headers: Mapping[str, str] | None) -> Iterator[None]:
    """Have what is done within this belong to the span that a request's headers name.

    Where nobody traces in this process, the headers are kept for whoever is asked next. A current span stays:
    whoever made it has read the headers.
    """
    if not headers or "traceparent" not in headers:
        yield
        return
    kept = _received.set({name: headers[name] for name in _HEADERS if name in headers})
    attached = _attach(headers)
    try:
        yield
    finally:
        if attached is not None:
            from opentelemetry import context

            context.detach(attached)
        _received.reset(kept)


def _attach(headers: Mapping[str, str]) -> Token[Context] | None:
    if not _is_traced():
        return None
    from opentelemetry import context, propagate, trace

    if trace.get_current_span().get_span_context().is_valid:
        return None
    return context.attach(propagate.extract(dict(headers)))


def _is_traced() -> bool:
    return "opentelemetry.trace" in sys.modules
