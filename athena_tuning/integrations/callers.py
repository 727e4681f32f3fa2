"""Within which spans recalls are made, and what they find: known to their threads alone, noted for others."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from athena_tuning.extras import needs_extra

with needs_extra("otel", "OpenTelemetry"):
    from opentelemetry.trace import SpanContext, get_current_span

from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import FoundItems, PerformanceProfiler
from athena_tuning.profiling.measure import MeasuredQuery


class Caller(NamedTuple):
    """Who asked, and what was found.

    Attributes:
        span: the span within which a recall was made; None: there was none.
        found: gives the items; None: nobody knows them.
    """

    span: SpanContext | None
    found: FoundItems | None

    @property
    def wants_spans(self) -> bool:
        """Whether the trace that it belongs to is kept."""
        return self.span is None or self.span.trace_flags.sampled


UNKNOWN = Caller(None, None)


class Callers:
    """Notes of each recall, as it is recorded, within which span it was made.

    A look at a context variable and an entry in a dictionary are all that a recall pays. Held are as many as
    the profiler's window holds; what is not taken meanwhile is let go, the oldest first.

    Args:
        profiler: tells of its records.
    """

    def __init__(self, profiler: PerformanceProfiler) -> None:
        self._profiler = profiler
        self._noted: OrderedDict[str, Caller] = OrderedDict()  # each of its calls is one step
        profiler.add_listener(self._note)

    def take(self, query_id: str) -> Caller:
        """Return who asked, once; ``UNKNOWN`` if nobody noted it."""
        return self._noted.pop(query_id, UNKNOWN)

    def close(self) -> None:
        """Note no more; what is noted can still be taken."""
        self._profiler.remove_listener(self._note)

    def _note(self, metrics: QueryMetrics | MeasuredQuery, found: FoundItems | None) -> None:
        span = get_current_span().get_span_context()
        if not span.is_valid and found is None:
            return
        self._noted[metrics.query_id] = Caller(span if span.is_valid else None, found)
        if len(self._noted) > self._profiler.max_metrics:
            self._noted.popitem(last=False)
