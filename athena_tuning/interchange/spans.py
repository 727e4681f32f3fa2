"""Traces as queries: a root span is a query, its children are layers, overlapping children mean parallel."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from athena_tuning.interchange.opening import Limits
from athena_tuning.model import QueryMetrics
from athena_tuning.profiling.overlap import most_at_once, time_covered

TEXT_ATTRIBUTES = ("athena.query.text", "input.value", "db.query.text", "db.statement")
"""Attributes that hold what was asked, best first; without one it is the span's name."""

TYPE_ATTRIBUTE = "athena.query.type"
LAYER_ATTRIBUTE = "athena.layer"
LAYER_ATTRIBUTES = (LAYER_ATTRIBUTE, "memory.layer", "layer")
"""Attributes that name the layer of a child, best first; without one it is the span's name."""

CACHE_ATTRIBUTE = "athena.cache_hit"
COUNT_ATTRIBUTE = "athena.result_count"
STATUS_ATTRIBUTES = ("http.response.status_code", "http.status_code")

KEPT_ATTRIBUTES = frozenset(
    {
        *TEXT_ATTRIBUTES,
        *STATUS_ATTRIBUTES,
        *LAYER_ATTRIBUTES,
        TYPE_ATTRIBUTE,
        CACHE_ATTRIBUTE,
        COUNT_ATTRIBUTE,
    }
)
"""What a span keeps of its attributes."""

NO_PARENT = frozenset({"", "0", "0000000000000000", "root", "none", "null"})


@dataclass(frozen=True, slots=True)
class Span:
    """One step of a trace. Times are whole ns, so that what follows never seems to overlap.

    Attributes:
        trace_id: the trace.
        span_id: unique within the trace.
        parent_id: the step that it belongs to; None for the first.
        name: what was done.
        start_ns: Unix time.
        duration_ns: None if the file does not tell.
        success: None if the file does not tell.
        error: what failed.
        shared: whether caller and called may both report under this id.
        attributes: those of ``KEPT_ATTRIBUTES`` that it has.
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    start_ns: int
    duration_ns: int | None
    success: bool | None = None
    error: str | None = None
    shared: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)


def record_of(root: Span, children: Sequence[Span], query_id: str, source: str = "imported") -> QueryMetrics:
    """Return a root span and its children as a record.

    A layer that is asked several times has the time in which it worked; one of its spans without a duration
    leaves it unknown. How long spans waited for a slot is unknown, so there are no ``tasks``.
    """
    by_layer: dict[str, list[Span]] = defaultdict(list)
    for child in sorted(children, key=lambda span: span.start_ns):
        named = (child.attributes.get(name) for name in LAYER_ATTRIBUTES)
        by_layer[next((str(name) for name in named if name), child.name)].append(child)
    timed = {
        layer: time_covered(_intervals(spans)) / 1e6 for layer, spans in by_layer.items() if _known(spans)
    }
    at_once = max(1, most_at_once(_intervals(child for child in children if child.duration_ns is not None)))
    failed = [layer for layer, spans in by_layer.items() if any(span.success is False for span in spans)]
    texts = (root.attributes.get(name) for name in TEXT_ATTRIBUTES)
    return QueryMetrics(
        query_id,
        next((str(text) for text in texts if text), root.name),
        str(root.attributes.get(TYPE_ATTRIBUTE) or root.name),
        root.start_ns / 1e9,
        None if root.duration_ns is None else root.duration_ns / 1e6,
        None,
        _as(bool, root.attributes.get(CACHE_ATTRIBUTE)),
        _as(int, root.attributes.get(COUNT_ATTRIBUTE)),
        list(by_layer),
        timed,
        root.success,
        root.error or ("; ".join(f"{layer} failed" for layer in failed) or None),
        at_once > 1,
        at_once,
        math.nan,
        partial=bool(failed) and root.success is not False,
        source=source,
    )


def assemble(
    spans: Iterable[tuple[int, Span | ValueError | None]], limits: Limits
) -> Iterator[tuple[int, QueryMetrics | ValueError]]:
    """Put spans together to records as soon as their trace is complete.

    A trace ends with the file, or when more spans are open than ``limits`` allows and it is the one that has
    rested longest; a None among the spans ends all traces. In a trace without a first step, the steps whose
    parent is not in the file are the queries.

    Args:
        spans: with their numbers.
        limits: how many spans wait for others at most.
    """
    traces = _OpenTraces(limits)
    for number, span in spans:
        if isinstance(span, ValueError):
            yield number, span
        elif span is not None and (problem := traces.add(number, span)) is not None:
            yield number, problem
        for trace in traces.all_complete() if span is None else traces.too_many():
            yield from _records(trace)
    for trace in traces.all_complete():
        yield from _records(trace)


_Trace = dict[str, tuple[int, Span]]
"""The spans of a trace with their numbers, by id."""


class _OpenTraces:
    """Traces that more spans may belong to, the one that has rested longest first."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: dict[str, _Trace] = {}
        self._complete: dict[str, None] = {}
        self._spans = 0

    def add(self, number: int, span: Span) -> ValueError | None:
        """Take a span; return what is wrong with it, if it is left out."""
        if span.trace_id in self._complete:
            return ValueError(f"comes after its trace {span.trace_id!r:.80} was complete")
        trace = self._waiting.pop(span.trace_id, {})
        self._waiting[span.trace_id] = trace
        first, known = trace.get(span.span_id, (0, None))
        if known is not None and not span.shared:
            return ValueError(f"span {span.span_id!r:.80} is there twice, first as {first}")
        trace[span.span_id] = number, span if known is None else _longer(known, span)
        self._spans += known is None
        return None

    def all_complete(self) -> Iterator[_Trace]:
        """Give all traces and forget them."""
        while self._waiting:
            yield self._next()

    def too_many(self) -> Iterator[_Trace]:
        """Give traces until no more spans are left than may be."""
        while self._spans > self._limits.open_spans:
            yield self._next()

    def _next(self) -> _Trace:
        name = next(iter(self._waiting))
        trace = self._waiting.pop(name)
        self._spans -= len(trace)
        self._complete[name] = None
        if len(self._complete) > self._limits.ids:
            del self._complete[next(iter(self._complete))]
        return trace


def _records(trace: _Trace) -> Iterator[tuple[int, QueryMetrics | ValueError]]:
    children: dict[str, list[Span]] = defaultdict(list)
    roots, strays = [], []
    for number, span in trace.values():
        if span.parent_id is None or span.parent_id == span.span_id:
            roots.append((number, span))
            continue
        children[span.parent_id].append(span)
        if span.parent_id not in trace:
            strays.append((number, span))
    queries = roots or strays
    if not queries:
        number, span = next(iter(trace.values()))
        yield number, ValueError(f"trace {span.trace_id!r:.80} goes round in a circle: no span is the first")
    for number, span in queries:
        query_id = span.trace_id if len(queries) == 1 else f"{span.trace_id}/{span.span_id}"
        yield number, record_of(span, children[span.span_id], query_id)


def _longer(one: Span, other: Span) -> Span:
    """Caller and called report the same call: the caller's time is the whole."""
    return max(one, other, key=lambda span: -1 if span.duration_ns is None else span.duration_ns)


def _known(spans: Iterable[Span]) -> bool:
    return all(span.duration_ns is not None for span in spans)


def _intervals(spans: Iterable[Span]) -> list[tuple[int, int]]:
    return [(span.start_ns, span.start_ns + (span.duration_ns or 0)) for span in spans]


def _as(kind: type[Any], value: Any) -> Any:
    return value if type(value) is kind else None
