"""Guesses a mapping from the names of the columns and the first rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from athena_tuning.interchange import units
from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.model import LAYERS

_NAMES: dict[str, tuple[str, ...]] = {
    "trace_id": ("trace id",),
    "span_id": ("span id",),
    "parent_id": ("parent id", "parent span id", "parent span", "parent"),
    "start": (
        "start",
        "start time",
        "started",
        "started at",
        "begin",
        "begin time",
        "began",
        "start timestamp",
        "timestamp",
        "time stamp",
        "ts",
        "request time",
        "request start",
        "arrival",
        "arrival time",
        "arrived",
        "event time",
        "datetime",
        "date time",
        "time",
        "created at",
        "created",
        "date",
        "at",
        "window start",
        "bucket",
    ),
    "end": (
        "end",
        "end time",
        "ended",
        "ended at",
        "finish",
        "finish time",
        "finished",
        "finished at",
        "end timestamp",
        "completed at",
        "completion time",
        "stop",
        "stop time",
        "response time stamp",
    ),
    "latency": (
        "latency",
        "query latency",
        "total latency",
        "duration",
        "query duration",
        "request duration",
        "elapsed",
        "elapsed time",
        "total time",
        "response time",
        "time taken",
        "took",
        "dur",
        "execution time",
        "exec time",
        "query time",
        "request latency",
        "processing time",
        "run time",
        "runtime",
        "wall time",
        "session time",
    ),
    "query_id": ("query id", "request id", "req id", "invocation id", "event id", "uuid", "guid", "id"),
    "query_text": (
        "query text",
        "query",
        "question",
        "text",
        "prompt",
        "statement",
        "sql",
        "search",
        "message",
        "url",
        "uri",
        "path",
    ),
    "query_type": (
        "query type",
        "type",
        "operation name",
        "operation",
        "op",
        "endpoint",
        "route",
        "category",
        "kind",
        "intent",
        "function",
        "func",
        "method",
        "action",
        "workload",
        "name",
        "service",
        "label",
        "app",
        "database",
    ),
    "success": (
        "success",
        "succeeded",
        "successful",
        "ok",
        "is success",
        "status code",
        "http status",
        "http status code",
        "status",
        "outcome",
        "result status",
    ),
    "error": ("error", "error message", "exception", "err", "failure"),
    "cache_hit": ("cache hit", "cached", "from cache", "is cached", "cache status", "hit"),
    "result_count": (
        "result count",
        "results",
        "num results",
        "n results",
        "hits",
        "rows",
        "row count",
        "rows returned",
        "hits total value",
        "documents",
    ),
    "memory_mb": ("memory", "peak memory"),
    "user_satisfaction": ("user satisfaction", "satisfaction", "feedback"),
    "layers": ("layer latencies", "layers", "layer times", "layers queried"),
}
_TIMED = frozenset({"start", "end", "latency", "layers"})
"""What may have a unit of time in its name; a ``query_us`` is no text."""

_TIMED_NAMES = ("query", "request", "response", "total", "call", "service", "")
"""Names that with a unit (or, the last, as nothing but one) are latencies, if nothing better is there."""

_UNIT_WORDS = frozenset({"unix", "epoch", "utc"})
_SUMMARY = frozenset(
    {"rate", "rps", "qps", "avg", "mean", "p50", "p95", "p99", "per", "total", "xacts", "queries"}
)
_EVIDENCE = 200
"""Rows that units are told from."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A mapping, and in plain words why: one note each that a person should see."""

    mapping: ColumnMapping
    notes: tuple[str, ...]


def guess(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Guess:
    """Guess what the columns of a table are.

    Args:
        columns: their names.
        rows: the first rows, values by name.

    Example:
        >>> rows = [{"StartTimeUnixNano": "1661141965391007814", "Duration": "191530", "op": "read"}]
        >>> found = guess(list(rows[0]), rows)
        >>> found.mapping.start, found.mapping.time_unit, found.mapping.latency, found.mapping.latency_unit
        ('StartTimeUnixNano', 'ns', 'Duration', 'us')
    """
    rows = rows[:_EVIDENCE]
    found = _by_name(columns, rows)
    if not {"trace_id", "span_id", "parent_id"} <= found.keys():
        found = {
            what: column for what, column in found.items() if what not in ("trace_id", "span_id", "parent_id")
        }
    odd = _no_time(rows, found.pop("start")) if not _holds_times(rows, found.get("start")) else ""
    if not {"start", "end"} & found.keys() and (first := _first_with_times(columns, rows, found)):
        found["start"] = first
    layer_columns = {} if "layers" in found else _layer_columns(columns, found)
    time_unit, time_why = _time_unit(found, rows)
    relative = _counts_from_unknown(found, rows, time_unit)
    latency_unit, latency_why = _latency_unit(found, rows, time_unit, relative)
    layer_unit = next((unit for column in layer_columns.values() if (unit := units.named_unit(column))), None)
    columns_of: dict[str, Any] = {**found}
    mapping = ColumnMapping(
        **columns_of,
        layer_columns=layer_columns,
        time_unit=time_unit,
        latency_unit=latency_unit,
        layer_unit=layer_unit
        or (units.named_unit(found["layers"]) if "layers" in found else None)
        or latency_unit,
    )
    notes = _notes(columns, mapping, time_why, latency_why, relative)
    return Guess(mapping, tuple(filter(None, [odd, *notes])))


def _by_name(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Give each meaning its first name that is a column's; a column has one meaning.

    Times inside objects ("event.duration.ms") go by what follows a dot too. An object itself is only layers.
    """
    plain: dict[str, str] = {}
    timed: dict[str, str] = {}
    for column in columns:
        (plain if units.named_unit(column) is None else timed).setdefault(_known_as(column), column)
    inner = {_known_as(c[dot + 1 :]): c for c in columns for dot, sign in enumerate(c) if sign == "."}
    objects = {c for c in columns if any(isinstance(row.get(c), Mapping) for row in rows)}
    found: dict[str, str] = {}
    for what, names in _NAMES.items():
        known = {**plain, **timed} if what in _TIMED else plain
        fitting = [known[name] for name in names if name in known]
        if what == "latency":
            fitting += [timed[name] for name in _TIMED_NAMES if name in timed]
        if what in _TIMED:
            fitting += [inner[name] for name in names if name in inner]
        taken = set(found.values()) | (objects if what != "layers" else set())
        free = [column for column in fitting if column not in taken]
        if free:
            found[what] = free[0]
    return found


def _known_as(column: str) -> str:
    """Return a column's name in words, without its unit."""
    return " ".join(w for w in units.words(column) if units.named_unit(w) is None and w not in _UNIT_WORDS)


def _first_with_times(
    columns: Sequence[str], rows: Sequence[Mapping[str, Any]], found: Mapping[str, str]
) -> str | None:
    """Return the first column without a meaning that holds nothing but times of the last decades."""

    def holds(column: str) -> bool:
        values = [row.get(column) for row in rows if row.get(column) not in (None, "")]
        if values and all(map(units.is_written_time, values)):
            return True
        numbers = _numbers(values)
        size = units.SECONDS[units.time_unit_of(numbers)]
        plausible = sum(units.EARLIEST < n * size < units.LATEST for n in numbers)
        return bool(values) and plausible == len(values)

    free = (column for column in columns if column not in found.values())
    return next((column for column in free if holds(column)), None)


def _layer_columns(columns: Sequence[str], found: Mapping[str, str]) -> dict[str, str]:
    """Find columns like ``semantic_ms`` and ``layer_search_latency``."""
    timing = {"latency", "duration", "time", "took", "elapsed"}
    layers: dict[str, str] = {}
    for column in columns:
        parts = units.words(column)
        timed = units.named_unit(column) is not None or bool(timing.intersection(parts))
        name = "_".join(w for w in parts if w not in timing and units.named_unit(w) is None and w != "layer")
        if column not in found.values() and timed and name and (name in LAYERS or parts[0] == "layer"):
            layers[name] = column
    return layers


def _no_time(rows: Sequence[Mapping[str, Any]], column: str) -> str:
    value = next(row[column] for row in rows if row.get(column) not in (None, ""))
    return (
        f"{column!r} is a time by its name, but {value!r:.60} is none: Unix times and ISO 8601 are understood"
    )


def _holds_times(rows: Sequence[Mapping[str, Any]], column: str | None) -> bool:
    if column is None:
        return True
    values = [row.get(column) for row in rows if row.get(column) not in (None, "")]
    return not values or any(units.is_written_time(value) or _numbers([value]) for value in values)


def _numbers(values: Sequence[Any]) -> list[float]:
    kept = []
    for value in values:
        try:
            found = units.number(value)
        except ValueError:
            continue
        if found is not None:
            kept.append(found)
    return kept


def _column(rows: Sequence[Mapping[str, Any]], name: str | None) -> list[Any]:
    return [] if name is None else [row.get(name) for row in rows]


def _time_unit(found: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    column = found.get("start") or found.get("end")
    if column is None:
        return "s", ""
    values = _column(rows, column)
    written = sum(map(units.is_written_time, values))
    if written > len(values) / 2:
        return "text", f"{column!r} is a written time"
    named = units.named_unit(column)
    if named is not None:
        return named, f"{column!r} names its unit"
    return units.time_unit_of(_numbers(values)), f"by the size of the numbers in {column!r}"


def _moments(rows: Sequence[Mapping[str, Any]], name: str | None, unit: str) -> list[float | None]:
    return [_moment(value, unit) for value in _column(rows, name)]


def _moment(value: Any, unit: str) -> float | None:
    try:
        return units.moment(value, unit)
    except ValueError:
        return None


def _counts_from_unknown(found: Mapping[str, str], rows: Sequence[Mapping[str, Any]], unit: str) -> bool:
    times = [t for t in _moments(rows, found.get("start") or found.get("end"), unit) if t is not None]
    return bool(times) and max(times) < units.EARLIEST


def _latency_unit(
    found: Mapping[str, str], rows: Sequence[Mapping[str, Any]], time_unit: str, relative: bool
) -> tuple[str, str]:
    column = found.get("latency")
    if column is None:
        return "ms", ""
    told = units.named_unit(column)
    if told is not None:
        return told, f"{column!r} names its unit"
    starts, ends = (_moments(rows, found.get(what), time_unit) for what in ("start", "end"))
    pairs = [
        (taken[0], end - start)
        for value, start, end in zip(_column(rows, column), starts, ends, strict=False)
        if start is not None and end is not None and (taken := _numbers([value]))
    ]
    beside = time_unit if relative and time_unit != "text" else None
    durations = [d for d, _ in pairs] or _numbers(_column(rows, column))
    unit, why = units.duration_unit_of(durations, [s for _, s in pairs], beside)
    return unit, f"{column!r}: {why}"


def _notes(
    columns: Sequence[str], mapping: ColumnMapping, time_why: str, latency_why: str, relative: bool
) -> list[str]:
    notes = []
    if time_why:
        notes.append(
            time_why if mapping.time_unit == "text" else f"times are in {mapping.time_unit}: {time_why}"
        )
    if latency_why:
        notes.append(f"latencies are in {mapping.latency_unit}: {latency_why}")
    elif mapping.start and mapping.end:
        notes.append("latency is end − start")
    else:
        notes.append("no column is a latency: it stays unknown")
    if relative:
        notes.append("times count from a beginning that the file does not name; set origin to place them")
    unused = [column for column in columns if column not in mapping.columns.values()]
    summaries = [column for column in unused if _SUMMARY.intersection(units.words(column))]
    if summaries:
        notes.append(
            f"{', '.join(map(repr, summaries))}: if rows are summaries, each still counts as one query"
        )
    if mapping.is_spans:
        notes.append("rows are spans: one without a parent is a query, its children are layers")
    return notes
