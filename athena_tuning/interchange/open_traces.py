"""Puts spans together to traces, and traces to records, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from athena_tuning.interchange.opening import Limits
from athena_tuning.interchange.recent import RecentNames
from athena_tuning.interchange.retrieval_spans import Recall, SpanChoice, recalls
from athena_tuning.interchange.spans import STATUS_ATTRIBUTES, Span, record_of_layers
from athena_tuning.model import QueryMetrics

Numbered = Iterator[tuple[int, QueryMetrics | ValueError | None]]
"""Records with the numbers of their spans; what is wrong with a span; None for a trace without a recall."""

_LONG_TEXT = 500
"""Signs of a text that take the memory of another span."""

_Trace = dict[str, tuple[int, Span]]
"""The spans of a trace with their numbers, by id."""


def assemble(
    spans: Iterable[tuple[int, Span | ValueError | None]],
    limits: Limits,
    choice: SpanChoice | None = None,
    *,
    unmarked_succeeded: bool = False,
    trace_is_request: bool = False,
    first_spans: bool = True,
) -> Numbered:
    """Put spans together to records as soon as their trace is complete.

    A trace ends with the file, or when more spans are open than ``limits`` allows and it is the one that has
    rested longest; a None among the spans ends all traces. In a trace without a first step, the steps whose
    parent is not in the file are the first.

    Args:
        spans: with their numbers.
        limits: how many spans wait for others at most.
        choice: which spans are recalls, and what names a layer.
        unmarked_succeeded: whether a span that has ended and is not marked as failed has succeeded.
        trace_is_request: whether several first spans of a trace are parts of one request.
        first_spans: whether first spans are recalls where none says that it is one.
    """
    find = partial(
        recalls,
        choice=choice or SpanChoice(),
        trace_is_request=trace_is_request,
        first_spans=first_spans,
    )
    traces = OpenTraces(limits)
    for number, span in spans:
        if isinstance(span, ValueError):
            yield number, span
        elif span is not None:
            known = _settled(span) if unmarked_succeeded else span
            if (problem := traces.add(number, known)) is not None:
                yield number, problem
        for trace in traces.all_complete() if span is None else traces.too_many():
            yield from _records(trace, find)
    for trace in traces.all_complete():
        yield from _records(trace, find)


class OpenTraces:
    """Traces that more spans may belong to, the one that has rested longest first.

    Args:
        limits: how many spans are held, and of how many complete traces the names are.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: dict[str, _Trace] = {}
        self._complete = RecentNames(limits.ids)
        self._weight = 0

    def add(self, number: int, span: Span) -> ValueError | None:
        """Take a span; return what is wrong with it, if it is left out."""
        if span.trace_id in self._complete:
            return ValueError(f"comes after its trace {span.trace_id!r:.80} was complete")
        trace = self._waiting.pop(span.trace_id, {})
        self._waiting[span.trace_id] = trace
        first, known = trace.get(span.span_id, (0, None))
        if known is not None and not span.shared:
            return ValueError(f"span {span.span_id!r:.80} is there twice, first as {first}")
        kept = span if known is None else _longer(known, span)
        trace[span.span_id] = number, kept
        self._weight += _weight(kept) - (0 if known is None else _weight(known))
        return None

    def all_complete(self) -> Iterator[_Trace]:
        """Give all traces and forget them."""
        while self._waiting:
            yield self._next()

    def too_many(self) -> Iterator[_Trace]:
        """Give traces until no more spans are left than may be."""
        while self._weight > self._limits.open_spans:
            yield self._next()

    def _next(self) -> _Trace:
        name = next(iter(self._waiting))
        trace = self._waiting.pop(name)
        self._weight -= sum(_weight(span) for _, span in trace.values())
        self._complete.first(name, 0)
        return trace


def _weight(span: Span) -> int:
    """Return as how many spans one counts: a long text is as large as several spans."""
    return 1 + len(span.text or "") // _LONG_TEXT


def placed(spans: Sequence[Span]) -> list[Span]:
    """Return spans with those that have no time beside the others: as the first below, or as the one above.

    Raises:
        ValueError: if none of them has a time.
    """
    untimed = {span.span_id: span for span in spans if span.start_ns is None}
    if not untimed:
        return list(spans)
    timed = sorted((span.begun_ns, span.span_id) for span in spans if span.start_ns is not None)
    if not timed:
        raise ValueError(f"no span of trace {spans[0].trace_id!r:.80} says when it began")
    parents = {span.span_id: span.parent_id or "" for span in spans}
    times = {span_id: begun for begun, span_id in timed}
    for begun, span_id in timed:  # the earliest first, so that each span above is given its time once
        above = parents[span_id]
        while above in untimed and above not in times:
            times[above] = begun
            above = parents[above]
    first = timed[0][0]
    return [
        span if span.start_ns is not None
        else replace(span, start_ns=times.get(span.span_id, times.get(span.parent_id or "", first)))
        for span in spans
    ]  # fmt: skip


def _records(trace: _Trace, find: Callable[[list[Span]], list[Recall]]) -> Numbered:
    number, one = next(iter(trace.values()))
    try:
        spans = placed([span for _, span in trace.values()])
    except ValueError as exc:
        yield number, exc
        return
    trace_recalls = find(spans)
    if not trace_recalls:
        circle = all(span.parent_id in trace and span.parent_id != span.span_id for span in spans)
        yield (
            number,
            ValueError(f"trace {one.trace_id!r:.80} goes round in a circle: no span is the first")
            if circle
            else None,
        )
    for recall in trace_recalls:
        root = recall.root
        if root.begun_ns <= 0:
            yield trace[root.span_id][0], ValueError(f"its time is {root.begun_ns / 1e9:,.0f} s after 1970")
            continue
        query_id = root.trace_id if len(trace_recalls) == 1 else f"{root.trace_id}/{root.span_id}"
        yield trace[root.span_id][0], record_of_layers(root, recall.layers, query_id)


def _settled(span: Span) -> Span:
    """Return a span that has ended and is not marked as failed as one that has succeeded."""
    if span.success is not None or span.duration_ns is None:
        return span
    if any(name in span.attributes for name in STATUS_ATTRIBUTES):
        return span  # a status that tells nothing of the system, like 404
    return replace(span, success=True)


def _longer(one: Span, other: Span) -> Span:
    """Caller and called report the same call: the caller's time is the whole."""
    return max(one, other, key=lambda span: -1 if span.duration_ns is None else span.duration_ns)
