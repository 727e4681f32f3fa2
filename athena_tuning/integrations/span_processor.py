"""Turns the OpenTelemetry spans of a running system into records; it needs the extra ``otel``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field

from athena_tuning.extras import needs_extra

with needs_extra("otel", "OpenTelemetry"):
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
    from opentelemetry.trace import StatusCode

from athena_tuning.interchange.retrieval_spans import Recall, SpanChoice, is_ours, is_retrieval, recalls
from athena_tuning.interchange.spans import (
    KEPT_ATTRIBUTES,
    LAYER_ATTRIBUTES,
    Span,
    kept,
    record_of_layers,
)
from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.measure import settled

QUEUE_ATTRIBUTE = "athena.queue_ms"
"""How long a layer has waited for a slot before its span, if there is a limit."""

_KEPT = KEPT_ATTRIBUTES | {QUEUE_ATTRIBUTE}
_MOST_NAMES = 1_000

Chosen = Callable[[ReadableSpan], bool]


@dataclass(slots=True)
class _Trace:
    """The spans of a trace in this process, until it is decided which of them are recalls.

    Attributes:
        since: when the first began, by the processor's timer.
        whole: whether its first span is the first in this process, and not a part of what was let go.
        roots: spans without one above them here that are under way.
        open: spans under way, and whether they count as running layers.
        finished: spans that have ended.
        in_flight: how many layers ran as each began, by id.
        queries: ids of those that were chosen as queries.
        layers: ids of those that were chosen as layers.
    """

    since: float
    whole: bool
    roots: set[int] = field(default_factory=set)
    open: dict[int, bool] = field(default_factory=dict)
    finished: list[Span] = field(default_factory=list)
    in_flight: dict[str, int] = field(default_factory=dict)
    queries: set[str] = field(default_factory=set)
    layers: set[str] = field(default_factory=set)


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
        cut: traces that were decided before they ended.
        late: spans that ended after their trace was decided.

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
        layers: str | Chosen | None = None,
        *,
        most_open: int = 10_000,
        most_spans: int = 100_000,
        most_seconds: float = 60.0,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cut = 0
        self.late = 0
        self._profiler = profiler
        self._is_query, self._is_layer = _chosen(queries), _chosen(layers)
        self._most_open, self._most_spans, self._most_seconds = most_open, most_spans, most_seconds
        self._timer = timer
        self._open: dict[int, _Trace] = {}  # by trace id; the oldest first
        self._waiting = 0
        self._running = 0
        self._layer_names: dict[str, None] = {}
        self._first_spans = True
        self._lock = threading.Lock()

    def on_start(self, span: ReadableSpan, parent_context: Context | None = None) -> None:
        """Note a span that begins."""
        own, above = span.context, span.parent
        attributes = span.attributes or {}
        counts = any(name in attributes for name in LAYER_ATTRIBUTES)
        with self._lock:
            now = self._timer()
            over = list(self._over(now))  # before, so that this span is no part of what is let go
            trace = self._open.get(own.trace_id)
            if trace is None:
                trace = self._open[own.trace_id] = _Trace(now, above is None or above.is_remote)
            if above is None or above.is_remote or not trace.open:
                trace.roots.add(own.span_id)
            counts = counts or span.name in self._layer_names
            if counts:
                self._running += 1
                trace.in_flight[f"{own.span_id:016x}"] = self._running
            trace.open[own.span_id] = counts
            over += self._over(now)
        self._decide(over)

    def on_end(self, span: ReadableSpan) -> None:
        """Note a span that has ended, and record the queries of its trace if that has."""
        own = span.context
        with self._lock:
            trace = self._open.get(own.trace_id)
            if trace is None or own.span_id not in trace.open:
                self.late += 1
                return
            self._running -= trace.open.pop(own.span_id)
            trace.roots.discard(own.span_id)
        finished = _span(span)
        is_query = self._is_query is not None and self._is_query(span)
        is_layer = self._is_layer is not None and self._is_layer(span)
        with self._lock:
            if self._open.get(own.trace_id) is not trace:  # let go meanwhile
                self.late += 1
                return
            trace.finished.append(finished)
            self._waiting += 1
            if is_query:
                trace.queries.add(finished.span_id)
            if is_layer:
                trace.layers.add(finished.span_id)
            if is_ours(finished) or is_retrieval(finished):
                self._first_spans = False
            over = [] if trace.roots else [self._taken(own.trace_id)]
            over += self._over(self._timer())
        self._decide(over)

    def shutdown(self) -> None:
        """Record what has ended of the traces that are under way."""
        with self._lock:
            over = [self._taken(trace_id) for trace_id in list(self._open)]
            self.cut += len(over)
        self._decide(over)

    def _over(self, now: float) -> Iterator[_Trace]:
        """Take the oldest traces while there are too many, or too many spans, or they are too old."""
        while self._open:
            trace_id = next(iter(self._open))
            if (
                len(self._open) <= self._most_open
                and self._waiting <= self._most_spans
                and now - self._open[trace_id].since <= self._most_seconds
            ):
                return
            self.cut += 1
            yield self._taken(trace_id)

    def _taken(self, trace_id: int) -> _Trace:
        trace = self._open.pop(trace_id)
        self._waiting -= len(trace.finished)
        self._running -= sum(trace.open.values())
        return trace

    def _decide(self, traces: Sequence[_Trace]) -> None:
        for trace in traces:
            if not trace.finished:
                continue
            choice = SpanChoice(
                recall_test=None if self._is_query is None else _among(trace.queries),
                layer_test=None if self._is_layer is None else _among(trace.layers),
            )
            first_spans = self._first_spans and trace.whole and not trace.roots
            for recall in recalls(trace.finished, choice, first_spans=first_spans):
                self._profiler.record_query(self._record(recall, trace.in_flight))

    def _record(self, recall: Recall, in_flight: dict[str, int]) -> QueryMetrics:
        root, layers = recall.root, recall.layers
        query_id = root.trace_id if root.parent_id is None else f"{root.trace_id}/{root.span_id}"
        m = record_of_layers(root, layers, query_id, "live")
        asked = [(layer, span) for layer, spans in layers.items() for span in spans]
        with self._lock:
            self._layer_names.update((span.name, None) for _, span in asked)
            while len(self._layer_names) > _MOST_NAMES:
                del self._layer_names[next(iter(self._layer_names))]
        known = [(layer, span) for layer, span in asked if span.duration_ns is not None]
        at_once = _at_once([span for _, span in known])
        tasks, _ = settled(
            [
                _task(layer, span, root.begun_ns, max(in_flight.get(span.span_id, 0), here))
                for (layer, span), here in zip(known, at_once, strict=True)
            ]
        )
        all_failed = bool(tasks) and all(task.outcome is not TaskOutcome.OK for task in tasks)
        configs = self._profiler.measure.configs
        return m._replace(
            tasks=tuple(tasks),
            success=m.success and not all_failed,
            partial=m.partial and not all_failed,
            config_version=configs.by_type.get(m.query_type, configs.default).version,
        )


def _chosen(chosen: str | Chosen | None) -> Chosen | None:
    return (lambda span: span.name == chosen) if isinstance(chosen, str) else chosen


def _among(ids: Container[str]) -> Callable[[Span], bool]:
    return lambda span: span.span_id in ids


def _span(span: ReadableSpan) -> Span:
    """Return an ended span as the import knows them; where the clock went backwards, its time is unknown."""
    context, start = span.context, span.start_time or 0
    took = (span.end_time or start) - start
    failed = span.status.status_code is StatusCode.ERROR
    return Span(
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        None if span.parent is None else f"{span.parent.span_id:016x}",
        span.name,
        start,
        took if took >= 0 else None,
        not failed,
        (span.status.description or "error") if failed else None,
        attributes=kept((span.attributes or {}).items(), _KEPT),
    )


def _at_once(spans: Sequence[Span]) -> list[int]:
    """Return how many of some spans were under way as each of them began, itself included."""
    ends = [(span.begun_ns, span.begun_ns + (span.duration_ns or 0)) for span in spans]
    return [
        1 + sum((other < place and begun <= at < end) or (other > place and begun < at < end)
                for other, (begun, end) in enumerate(ends))
        for place, (at, _) in enumerate(ends)
    ]  # fmt: skip


def _task(layer: str, span: Span, begun_ns: int, in_flight: int) -> LayerTask:
    """Return an ended span as a layer task of a query that began then."""
    queue = span.attributes.get(QUEUE_ATTRIBUTE)
    queue_ms = float(queue) if isinstance(queue, (int, float)) and queue >= 0 else 0.0
    return LayerTask(
        layer,
        (span.begun_ns - begun_ns) / 1e6 - queue_ms,
        queue_ms,
        (span.duration_ns or 0) / 1e6,
        in_flight,
        TaskOutcome.OK if span.success else TaskOutcome.ERROR,
        span.result_count or 0,
    )
