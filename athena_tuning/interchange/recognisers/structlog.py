"""Logs of structlog as JSON lines: those with a duration are requests, the rest is passed over."""

from __future__ import annotations

from dataclasses import replace

from athena_tuning.interchange.converting import getter
from athena_tuning.interchange.guessing import guess
from athena_tuning.interchange.recognition import POSSIBLE, Recogniser, Recognition, TableReading
from athena_tuning.interchange.shape import Row, Sample, Shape, flat

_LEVELS = frozenset({"debug", "info", "warning", "warn", "error", "critical", "exception", "notset"})


def _recognise(sample: Sample) -> Recognition | None:
    if sample.shape is not Shape.JSONL or not sample.has("event", "level", "timestamp"):
        return None
    if sample.share(_is_line) < 0.9:
        return None
    timed = [flat(row) for row in sample.rows]
    guessed = guess(sample.columns, timed, sample.units)
    if guessed.mapping.latency is None:
        return None
    mapping = replace(
        guessed.mapping, start=None, end="timestamp", query_type="event", time_unit=guessed.mapping.time_unit
    )
    took = getter(guessed.mapping.latency)
    reading = TableReading(
        mapping,
        lambda row: row if took(row) not in (None, "") else None,
        questions=guessed.questions,
        doubts=guessed.doubts,
    )
    notes = (
        *guessed.notes,
        "lines without a duration are passed over; a line is written when what it tells ended",
    )
    return Recognition(
        POSSIBLE, "event, level and timestamp in each line, a duration in some", reading, notes
    )


def _is_line(row: Row) -> bool:
    return isinstance(row.get("event"), str) and str(row.get("level")).lower() in _LEVELS


RECOGNISERS = (Recogniser("structlog", "structlog lines with a duration (JSON lines)", _recognise),)
