"""Carries the trace of whoever asks to whoever answers, where OpenTelemetry is in use."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


def headers() -> dict[str, str] | None:
    """Return what names the current span; None where nobody traces."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import propagate

    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier or None


@contextmanager
def within(carrier: Mapping[str, str] | None) -> Iterator[None]:
    """Have what is done within this belong to the span that headers name."""
    if not carrier or "traceparent" not in carrier or "opentelemetry.trace" not in sys.modules:
        yield
        return
    from opentelemetry import context, propagate

    token = context.attach(propagate.extract(dict(carrier)))
    try:
        yield
    finally:
        context.detach(token)
