"""Decides which spans of a running system are recalls, whoever reports them, and records those."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

from athena_tuning.interchange.retrieval_spans import Recall, SpanChoice, is_ours, is_retrieval, recalls
from athena_tuning.interchange.spans import Span, record_of_layers
from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.measure import settled

QUEUE_ATTRIBUTE = "athena.queue_ms"
"""How long a layer has waited for a slot before its span, if there is a limit."""

_MOST_NAMES = 1_000


@dataclass(slots=True)
class _Trace:
    """The spans of a trace in this process, until it is decided which of them are recalls.

    Attributes:
        since: when the first began, by the timer.
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
    roots: set[str] = field(default_factory=set)
    open: dict[str, bool] = field(default_factory=dict)
    finished: list[Span] = field(default_factory=list)
    in_flight: dict[str, int] = field(default_factory=dict)
    queries: set[str] = field(default_factory=set)
    layers: set[str] = field(default_factory=set)


class LiveSpans:
    """Takes spans as they begin and end, and records the recalls among them for a profiler.

    A trace is decided when its first span in this process ends, by ``interchange.retrieval_spans``. Memory is
    bounded: a trace that goes on for longer than ``most_seconds``, or is the oldest of too many, is decided
    by what has ended of it. All of it may be used from any thread.

    Args:
        profiler: takes the records.
        chosen_queries: whether whoever ends spans says which are queries; else the rules do.
        chosen_layers: the same for layers.
        first_spans: whether first spans are queries as long as none says that it is a retrieval.
        most_open: traces under way at most.
        most_spans: finished spans that wait for the end of their traces at most.
        most_seconds: how long a trace is waited for.
        timer: seconds that only grow.

    Attributes:
        cut: traces that were decided before they ended.
        late: spans that ended after their trace was decided.

    Examples:
        >>> profiler = PerformanceProfiler()
        >>> spans = LiveSpans(profiler)
        >>> spans.begin("t", "1", None, "search")
        >>> spans.end(Span("t", "1", None, "search", time.time_ns(), 5_000_000, True))
        >>> [(m.query_type, m.latency_ms) for m in profiler.metrics]
        [('search', 5.0)]
    """

    def __init__(
        self,
        profiler: PerformanceProfiler,
        *,
        chosen_queries: bool = False,
        chosen_layers: bool = False,
        first_spans: bool = True,
        most_open: int = 10_000,
        most_spans: int = 100_000,
        most_seconds: float = 60.0,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cut = 0
        self.late = 0
        self._profiler = profiler
        self._chosen_queries, self._chosen_layers = chosen_queries, chosen_layers
        self._first_spans = first_spans
        self._most_open, self._most_spans, self._most_seconds = most_open, most_spans, most_seconds
        self._timer = timer
        self._open: dict[str, _Trace] = {}  # by trace id; the oldest first
        self._waiting = 0
        self._running = 0
        self._layer_names: dict[str, None] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many spans are held, under way or finished."""
        with self._lock:
            return self._waiting + sum(len(trace.open) for trace in self._open.values())

    def begin(
        self, trace_id: str, span_id: str, parent_id: str | None, name: str, *, is_layer: bool = False
    ) -> None:
        """Note a span that begins.

        Args:
            trace_id: its trace.
            span_id: unique in it.
            parent_id: the span above it in this process; None for the first here.
            name: what is done.
            is_layer: whether it is known already that it is a layer.
        """
        with self._lock:
            now = self._timer()
            over = self._over(now)  # before, so that this span is no part of what is let go
            trace = self._open.get(trace_id)
            if trace is None:
                trace = self._open[trace_id] = _Trace(now, parent_id is None)
            if parent_id is None or not trace.open:
                trace.roots.add(span_id)
            counts = is_layer or name in self._layer_names
            if counts:
                self._running += 1
                trace.in_flight[span_id] = self._running
            trace.open[span_id] = counts
            over += self._over(now)
        self._decide(over)

    def end(self, span: Span, *, is_query: bool = False, is_layer: bool = False) -> None:
        """Note a span that has ended, and record the queries of its trace if that has.

        Args:
            span: with all that is known of it.
            is_query: whether it was chosen as a query.
            is_layer: whether it was chosen as a layer.
        """
        with self._lock:
            trace = self._open.get(span.trace_id)
            if trace is None or span.span_id not in trace.open:
                self.late += 1
                return
            self._running -= trace.open.pop(span.span_id)
            trace.roots.discard(span.span_id)
            trace.finished.append(span)
            self._waiting += 1
            if is_query:
                trace.queries.add(span.span_id)
            if is_layer:
                trace.layers.add(span.span_id)
            if is_ours(span) or is_retrieval(span):
                self._first_spans = False
            over = [] if trace.roots else [self._taken(span.trace_id)]
            over += self._over(self._timer())
        self._decide(over)

    def close(self) -> None:
        """Record what has ended of the traces that are under way."""
        with self._lock:
            over = [self._taken(trace_id) for trace_id in list(self._open)]
            self.cut += len(over)
        self._decide(over)

    def _over(self, now: float) -> list[_Trace]:
        """Take the oldest traces while there are too many, or too many spans, or they are too old."""
        over: list[_Trace] = []
        while self._open:
            trace_id = next(iter(self._open))
            if (
                len(self._open) <= self._most_open
                and self._waiting <= self._most_spans
                and now - self._open[trace_id].since <= self._most_seconds
            ):
                break
            self.cut += 1
            over.append(self._taken(trace_id))
        return over

    def _taken(self, trace_id: str) -> _Trace:
        trace = self._open.pop(trace_id)
        self._waiting -= len(trace.finished)
        self._running -= sum(trace.open.values())
        return trace

    def _decide(self, traces: Sequence[_Trace]) -> None:
        for trace in traces:
            if not trace.finished:
                continue
            choice = SpanChoice(
                recall_test=_among(trace.queries) if self._chosen_queries else None,
                layer_test=_among(trace.layers) if self._chosen_layers else None,
            )
            first_spans = self._first_spans and trace.whole and not trace.roots
            for recall in recalls(trace.finished, choice, first_spans=first_spans):
                self._profiler.record_query(self._record(recall, trace.in_flight))

    def _record(self, recall: Recall, in_flight: dict[str, int]) -> QueryMetrics:
        root, layers = recall.root, recall.layers
        query_id = root.trace_id if root.parent_id is None else f"{root.trace_id}/{root.span_id}"
        m = record_of_layers(root, layers, query_id, "live")
        layer_spans = [(layer, span) for layer, spans in layers.items() for span in spans]
        with self._lock:
            self._layer_names.update((span.name, None) for _, span in layer_spans)
            while len(self._layer_names) > _MOST_NAMES:
                del self._layer_names[next(iter(self._layer_names))]
        known = [(layer, span) for layer, span in layer_spans if span.duration_ns is not None]
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


def _among(ids: Container[str]) -> Callable[[Span], bool]:
    return lambda span: span.span_id in ids


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
