"""Results of JMeter (JTL) as CSV: ``elapsed`` is the time of a request, ``Latency`` to its first byte."""

from __future__ import annotations

from athena_tuning.interchange import units
from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.interchange.recognition import CERTAIN, Recogniser, Recognition, Refusal, TableReading
from athena_tuning.interchange.shape import Row, Sample, Shape

_SUM = "Number of samples in transaction"


def _recognise(sample: Sample) -> Recognition | None:
    if sample.lines and "<testResults" in "".join(sample.lines[:3]):
        words = "these are results in XML: let JMeter save them as CSV (save.saveservice.output_format=csv)"
        return Recognition(CERTAIN, "the element testResults", Refusal(words))
    if sample.shape is not Shape.CSV or not sample.has("timeStamp", "elapsed"):
        return None
    if not any(map(sample.has, ("label", "responseCode", "threadName", "success"))):
        return None
    sums = sample.share(_is_sum)
    notes = ("rows that sum up a transaction are passed over: its requests have rows of their own",)
    return Recognition(
        CERTAIN,
        "columns timeStamp, elapsed, label, responseCode",
        TableReading(_mapping(sample), (lambda row: None if _is_sum(row) else row) if sums < 1 else None),
        notes if 0 < sums < 1 else (),
    )


def _mapping(sample: Sample) -> ColumnMapping:
    written = any(units.is_written_time(row.get("timeStamp")) for row in sample.rows)
    texts = sample.has("URL") and sample.share(lambda row: row.get("URL") not in ("", "null", None)) > 0
    return ColumnMapping(
        start="timeStamp",
        latency="elapsed",
        query_type="label" if sample.has("label") else None,
        query_text="URL" if texts else None,
        success="success"
        if sample.has("success")
        else "responseCode"
        if sample.has("responseCode")
        else None,
        error="failureMessage" if sample.has("failureMessage") else None,
        time_unit="text" if written else "ms",
        latency_unit="ms",
    )


def _is_sum(row: Row) -> bool:
    return str(row.get("responseMessage") or "").startswith(_SUM)


RECOGNISERS = (Recogniser("jmeter", "JMeter results (JTL as CSV)", _recognise),)
