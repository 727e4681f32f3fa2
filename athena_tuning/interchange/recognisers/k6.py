"""Results of k6, which has one row for each metric of a request: those of the durations are the requests."""

from __future__ import annotations

from athena_tuning.interchange import units
from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.interchange.recognition import CERTAIN, Recogniser, Recognition, Refusal, TableReading
from athena_tuning.interchange.shape import Row, Sample, Shape

_DURATIONS = frozenset({"http_req_duration", "grpc_req_duration"})
_NOTE = "of the rows of each request the one with its duration is taken; times are those of its end"


def _recognise_csv(sample: Sample) -> Recognition | None:
    if sample.shape is not Shape.CSV or not sample.has("metric_name", "timestamp", "metric_value"):
        return None
    mapping = ColumnMapping(
        end="timestamp",
        latency="metric_value",
        query_type=_first(sample, "name", "scenario"),
        query_text=_first(sample, "url"),
        success=_first(sample, "expected_response", "status"),
        error=_first(sample, "error", "error_code"),
        time_unit=_time_unit(sample),
        latency_unit="ms",
    )
    reading = TableReading(mapping, lambda row: row if row.get("metric_name") in _DURATIONS else None)
    reason = "columns metric_name, timestamp and metric_value"
    return _taken(sample, "metric_name", reason, reading)


def _recognise_json(sample: Sample) -> Recognition | None:
    if sample.shape is not Shape.JSONL or sample.share(_is_line) < 0.9:
        return None
    mapping = ColumnMapping(
        end="data.time",
        latency="data.value",
        query_type="data.tags.name",
        query_text="data.tags.url",
        success="data.tags.expected_response",
        error="data.tags.error",
        time_unit="text",
        latency_unit="ms",
    )
    reading = TableReading(
        mapping,
        lambda row: row if row.get("type") == "Point" and row.get("metric") in _DURATIONS else None,
    )
    return _taken(sample, "metric", "lines of type Point and Metric, with metric and data", reading)


def _taken(sample: Sample, name: str, reason: str, reading: TableReading) -> Recognition:
    metrics = {row.get(name) for row in sample.rows}
    if len(sample.rows) > 100 and metrics.isdisjoint(_DURATIONS):
        words = f"it has no {' or '.join(sorted(_DURATIONS))}: k6 was told not to write the durations"
        return Recognition(CERTAIN, reason, Refusal(words))
    return Recognition(CERTAIN, reason, reading, (_NOTE,))


def _is_line(row: Row) -> bool:
    return row.get("type") in ("Point", "Metric") and "metric" in row and isinstance(row.get("data"), dict)


def _time_unit(sample: Sample) -> str:
    """Return the unit that k6 was told to write times in: seconds, parts of them, or RFC 3339."""
    times = [str(row.get("timestamp")) for row in sample.rows]
    if any(map(units.is_written_time, times)):
        return "text"
    return units.time_unit_of([float(time) for time in times if time.isdigit()])


def _first(sample: Sample, *names: str) -> str | None:
    return next((name for name in names if sample.has(name)), None)


RECOGNISERS = (
    Recogniser("k6-csv", "k6 results (CSV)", _recognise_csv),
    Recogniser("k6-json", "k6 results (JSON lines)", _recognise_json),
)
