"""Turns the OpenTelemetry spans of a running system into records; it needs the extra ``otel``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from athena_tuning.extras import needs_extra

with needs_extra("otel", "OpenTelemetry"):
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
    from opentelemetry.trace import StatusCode

from athena_tuning.interchange.spans import KEPT_ATTRIBUTES, LAYER_ATTRIBUTE, Span, record_of
from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.measure import settled

QUEUE_ATTRIBUTE = "athena.queue_ms"
"""How long a layer has waited for a slot before its span, if there is a limit."""

Chosen = Callable[[ReadableSpan], bool]


@dataclass(slots=True)
class _Open:
    """A query on its way: when it began, its layers that have ended, how many ran as each began."""

    begun_ns: int
    layers: list[tuple[Span, LayerTask]] = field(default_factory=list)
    in_flight: dict[int, int] = field(default_factory=dict)


class QuerySpanProcessor(SpanProcessor):
    """Records queries for a profiler from spans that a system makes anyway.

    A query is a span of a given name, or each span that is the first of its trace in this process; the spans
    right below it are its layers. The attributes ``athena.query.text``, ``athena.query.type``,
    ``athena.layer``, ``athena.cache_hit``, ``athena.result_count`` and ``athena.queue_ms`` say more than a
    span's name does, but are not needed. A span that ends without an error counts as a success. Layers that
    end after their query are not waited for. Only the layers of queries under way are held, so memory is
    bounded by what really runs; beyond ``most_open`` queries, the ones that never ended are let go.

    Args:
        profiler: takes the records.
        queries: a span's name, or what says of a span that starts whether it is a query; None: the first
            span of each trace here.
        most_open: queries under way at most.

    Example:
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
        *,
        most_open: int = 10_000,
    ) -> None:
        self._profiler = profiler
        self._is_query = _chosen(queries)
        self._most_open = most_open
        self._open: dict[int, _Open] = {}  # by span id; the oldest first
        self._running = 0
        self._lock = threading.Lock()

    def on_start(self, span: ReadableSpan, parent_context: Context | None = None) -> None:
        """Note a query, or a layer of one, that begins."""
        own, above = _id(span), _parent(span)
        with self._lock:
            query = self._open.get(above) if above is not None else None
            if query is not None:
                self._running += 1
                query.in_flight[own] = self._running
            if self._is_query(span):
                self._open[own] = _Open(span.start_time or 0)
                if len(self._open) > self._most_open:
                    self._running -= len(self._open.pop(next(iter(self._open))).in_flight)

    def on_end(self, span: ReadableSpan) -> None:
        """Record a query that has ended, and note a layer that has."""
        own, above = _id(span), _parent(span)
        with self._lock:
            around = self._open.get(above) if above is not None else None
            if around is not None and (in_flight := around.in_flight.pop(own, None)) is not None:
                self._running -= 1
                around.layers.append((_span(span), _task(span, around.begun_ns, in_flight)))
            query = self._open.pop(own, None)
            if query is not None:
                self._running -= len(query.in_flight)
        if query is not None:
            self._profiler.record_query(self._record(_span(span), query))

    def _record(self, root: Span, query: _Open) -> QueryMetrics:
        query_id = root.trace_id if root.parent_id is None else f"{root.trace_id}/{root.span_id}"
        m = record_of(root, [span for span, _ in query.layers], query_id, "live")
        tasks, _ = settled([task for _, task in query.layers if task.service_ms >= 0])
        all_failed = bool(tasks) and all(task.outcome is not TaskOutcome.OK for task in tasks)
        configs = self._profiler.measure.configs
        return m._replace(
            tasks=tuple(tasks),
            success=m.success and not all_failed,
            partial=m.partial and not all_failed,
            config_version=configs.by_type.get(m.query_type, configs.default).version,
        )


def _chosen(queries: str | Chosen | None) -> Chosen:
    if queries is None:
        return lambda span: span.parent is None or span.parent.is_remote
    if isinstance(queries, str):
        return lambda span: span.name == queries
    return queries


def _id(span: ReadableSpan) -> int:
    return int(span.context.span_id)


def _parent(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def _span(span: ReadableSpan) -> Span:
    """Return an ended span as the import knows them; where the clock went backwards, its time is unknown."""
    context, start = span.context, span.start_time or 0
    took = (span.end_time or start) - start
    failed = span.status.status_code is StatusCode.ERROR
    attributes = {name: value for name, value in (span.attributes or {}).items() if name in KEPT_ATTRIBUTES}
    return Span(
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        None if span.parent is None else f"{span.parent.span_id:016x}",
        span.name,
        start,
        took if took >= 0 else None,
        not failed,
        (span.status.description or "error") if failed else None,
        attributes=attributes,
    )


def _task(span: ReadableSpan, begun_ns: int, in_flight: int) -> LayerTask:
    """Return an ended span as a layer task of a query that began then."""
    attributes, start = span.attributes or {}, span.start_time or 0
    queue = attributes.get(QUEUE_ATTRIBUTE)
    queue_ms = float(queue) if isinstance(queue, (int, float)) and queue >= 0 else 0.0
    found = attributes.get("athena.result_count")
    failed = span.status.status_code is StatusCode.ERROR
    return LayerTask(
        str(attributes.get(LAYER_ATTRIBUTE) or span.name),
        (start - begun_ns) / 1e6 - queue_ms,
        queue_ms,
        ((span.end_time or start) - start) / 1e6,
        in_flight,
        TaskOutcome.ERROR if failed else TaskOutcome.OK,
        found if type(found) is int else 0,
    )
