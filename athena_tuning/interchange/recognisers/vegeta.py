"""Results of vegeta, as ``vegeta encode`` writes them: JSON lines, or CSV without a heading; in ns."""

from __future__ import annotations

from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.interchange.recognition import (
    CERTAIN,
    LIKELY,
    Recogniser,
    Recognition,
    Refusal,
    TableReading,
)
from athena_tuning.interchange.shape import Row, Sample, Shape

_MARKS = {"attack", "seq", "code", "timestamp", "latency", "bytes_out", "bytes_in"}
_GOB = (b"Attack", b"Latency", b"BytesOut")


def _recognise_json(sample: Sample) -> Recognition | None:
    if sample.share(lambda row: row.keys() >= _MARKS) < 0.9:
        return None
    mapping = ColumnMapping(
        start="timestamp",
        latency="latency",
        query_type="method" if sample.has("method") else None,
        query_text="url" if sample.has("url") else None,
        success="code",
        error="error",
        time_unit="text",
        latency_unit="ns",
    )
    return Recognition(CERTAIN, "members attack, seq, code and latency", TableReading(mapping))


def _recognise_csv(sample: Sample) -> Recognition | None:
    if sample.shape is Shape.BINARY and all(mark in sample.head for mark in _GOB):
        words = "these are results in vegeta's binary form: vegeta encode --to json makes them readable"
        return Recognition(CERTAIN, "names of the fields of a result", Refusal(words))
    if sample.shape is not Shape.CSV or not 9 <= len(sample.columns) <= 12:
        return None
    if not sample.has("column 1") or sample.share(_is_result) < 0.9:
        return None
    mapping = ColumnMapping(
        start="column 1",
        latency="column 3",
        query_type="column 10" if sample.has("column 10") else "column 8",
        query_text="column 11" if sample.has("column 11") else None,
        success="column 2",
        error="column 6",
        time_unit="ns",
        latency_unit="ns",
    )
    reason = "no heading; a time in ns, a status and a latency come first"
    return Recognition(LIKELY, reason, TableReading(mapping))


def _is_result(row: Row) -> bool:
    time, status, latency, sequence = (str(row.get(f"column {n}") or "") for n in (1, 2, 3, 9))
    return (
        len(time) == 19
        and all(map(str.isdigit, (time, status, latency, sequence)))
        and (status == "0" or 100 <= int(status) <= 599)
    )


RECOGNISERS = (
    Recogniser("vegeta-json", "vegeta results (JSON lines)", _recognise_json),
    Recogniser("vegeta-csv", "vegeta results (CSV)", _recognise_csv),
)
