"""Turns the OpenTelemetry spans of a running system into records; it needs the extra ``otel``."""

from __future__ import annotations

import time
from collections.abc import Callable

from athena_tuning.extras import needs_extra

with needs_extra("otel", "OpenTelemetry"):
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
    from opentelemetry.trace import StatusCode

from athena_tuning.integrations.live_spans import QUEUE_ATTRIBUTE, LiveSpans
from athena_tuning.interchange.spans import KEPT_ATTRIBUTES, LAYER_ATTRIBUTES, Span, kept
from athena_tuning.profiling import PerformanceProfiler

_KEPT = KEPT_ATTRIBUTES | {QUEUE_ATTRIBUTE}

Chosen = Callable[[ReadableSpan], bool]


class QuerySpanProcessor(SpanProcessor):
    """Records queries for a profiler from spans that a system makes anyway.

    Which spans are queries, and which their layers, is decided by finished spans when the first span of a
    trace in this process ends, by the rules of ``interchange.retrieval_spans``: spans with our attributes
    (``athena.query.text``, ``athena.query.type``), else the outermost retrievals of OpenInference or
    OpenTelemetry's gen_ai, else, in a system that has neither, that first span. Layers are spans below with
    ``athena.layer``, else the retrievers below, told apart by name and position, else the spans right below.
    ``athena.cache_hit``, ``athena.result_count`` and ``athena.queue_ms`` say more. A span that ends without
    an error counts as a success. What ends after its query is not waited for.

    Memory is bounded: a trace that goes on for longer than ``most_seconds``, or is the oldest of too many, is
    decided by what has ended of it.

    Args:
        profiler: takes the records.
        queries: the name of the spans that are queries, or what says of a finished span whether it is one;
            None: by the rules.
        layers: the same for the layers below a query.
        most_open: traces under way at most.
        most_spans: finished spans that wait for the end of their traces at most.
        most_seconds: how long a trace is waited for.
        timer: seconds that only grow.

    Attributes:
        spans: what is under way, and what was let go.

    Examples:
        >>> from opentelemetry.sdk.trace import TracerProvider
        >>> profiler, provider = PerformanceProfiler(), TracerProvider()
        >>> provider.add_span_processor(QuerySpanProcessor(profiler))
        >>> tracer = provider.get_tracer("shop")
        >>> with tracer.start_as_current_span("search", attributes={"athena.query.text": "tea"}):
        ...     with tracer.start_as_current_span("semantic"):
        ...         pass
        >>> m = profiler.metrics[0]
        >>> m.query_text, m.query_type, m.layers_queried, m.success
        ('tea', 'search', ['semantic'], True)
    """

    def __init__(
        self,
        profiler: PerformanceProfiler,
        queries: str | Chosen | None = None,
        layers: str | Chosen | None = None,
        *,
        most_open: int = 10_000,
        most_spans: int = 100_000,
        most_seconds: float = 60.0,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_query, self._is_layer = _chosen(queries), _chosen(layers)
        self.spans = LiveSpans(
            profiler,
            chosen_queries=queries is not None,
            chosen_layers=layers is not None,
            most_open=most_open,
            most_spans=most_spans,
            most_seconds=most_seconds,
            timer=timer,
        )

    def on_start(self, span: ReadableSpan, parent_context: Context | None = None) -> None:
        """Note a span that begins."""
        own, above = span.context, span.parent
        here = None if above is None or above.is_remote else f"{above.span_id:016x}"
        attributes = span.attributes or {}
        is_layer = bool(attributes) and any(name in attributes for name in LAYER_ATTRIBUTES)
        self.spans.begin(f"{own.trace_id:032x}", f"{own.span_id:016x}", here, span.name, is_layer=is_layer)

    def on_end(self, span: ReadableSpan) -> None:
        """Note a span that has ended, and record the queries of its trace if that has."""
        self.spans.end(
            _span(span),
            is_query=self._is_query is not None and self._is_query(span),
            is_layer=self._is_layer is not None and self._is_layer(span),
        )

    def shutdown(self) -> None:
        """Record what has ended of the traces that are under way."""
        self.spans.close()


def _chosen(chosen: str | Chosen | None) -> Chosen | None:
    return (lambda span: span.name == chosen) if isinstance(chosen, str) else chosen


def _span(span: ReadableSpan) -> Span:
    """Return an ended span as the import knows them; where the clock went backwards, its time is unknown."""
    context, start = span.context, span.start_time or 0
    took = (span.end_time or start) - start
    failed = span.status.status_code is StatusCode.ERROR
    attributes = span.attributes
    return Span(
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        None if span.parent is None else f"{span.parent.span_id:016x}",
        span.name,
        start,
        took if took >= 0 else None,
        not failed,
        (span.status.description or "error") if failed else None,
        attributes=kept(attributes.items(), _KEPT) if attributes else {},
    )
