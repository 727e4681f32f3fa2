"""What columns are called, for those who guess what they hold."""

from __future__ import annotations

from athena_tuning.interchange import units

NAMES: dict[str, tuple[str, ...]] = {
    "trace_id": ("trace id",),
    "span_id": ("span id",),
    "parent_id": ("parent id", "parent span id", "parent span", "parent"),
    "start": (
        "start", "start time", "started", "started at", "begin", "begin time", "began",
        "start timestamp", "timestamp", "time stamp", "ts", "request time", "request start", "arrival",
        "arrival time", "arrived", "event time", "datetime", "date time", "time", "created at",
        "created", "date", "at", "window start", "bucket",
    ),
    "end": (
        "end", "end time", "ended", "ended at", "finish", "finish time", "finished", "finished at",
        "end timestamp", "completed at", "completion time", "stop", "stop time", "response time stamp",
    ),
    "latency": (
        "latency", "query latency", "total latency", "duration", "query duration", "request duration",
        "elapsed", "elapsed time", "total time", "response time", "time taken", "took", "dur",
        "execution time", "exec time", "query time", "request latency", "processing time", "run time",
        "runtime", "wall time", "session time", "request time",
    ),
    "query_id": (
        "query id", "request id", "req id", "invocation id", "event id", "uuid", "guid", "id",
    ),
    "query_text": (
        "query text", "query", "question", "text", "prompt", "statement", "sql", "search", "message",
        "url", "uri", "path",
    ),
    "query_type": (
        "query type", "type", "operation name", "operation", "op", "endpoint", "route", "category",
        "kind", "intent", "function", "func", "method", "action", "workload", "name", "service",
        "label", "app", "database",
    ),
    "success": (
        "success", "succeeded", "successful", "ok", "is success", "status code", "http status",
        "http status code", "status", "outcome", "result status", "response code", "http code",
    ),
    "error": ("error", "error message", "exception", "err", "failure"),
    "cache_hit": ("cache hit", "cached", "from cache", "is cached", "cache status", "hit"),
    "result_count": (
        "result count", "results", "num results", "n results", "hits", "rows", "row count",
        "rows returned", "hits total value", "documents",
    ),
    "memory_mb": ("memory", "peak memory"),
    "user_satisfaction": ("user satisfaction", "satisfaction", "feedback"),
    "layers": ("layer latencies", "layers", "layer times", "layers queried"),
}  # fmt: skip
"""Names of columns in words, without their units, by what they mean; the best first."""

TIMED = frozenset({"start", "end", "latency", "layers"})
"""What may have a unit of time in its name; a ``query_us`` is no text."""

TIMED_NAMES = ("query", "request", "response", "total", "call", "service", "")
"""Names that with a unit (or, the last, as nothing but one) are latencies, if nothing better is there."""

_UNIT_WORDS = frozenset({"unix", "epoch", "utc"})


def known_as(column: str) -> str:
    """Return a column's name in words, without its unit.

    Example:
        >>> known_as("StartTimeUnixNano"), known_as("took_ms")
        ('start time', 'took')
    """
    return " ".join(w for w in units.words(column) if units.named_unit(w) is None and w not in _UNIT_WORDS)
