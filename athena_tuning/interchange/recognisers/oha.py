"""Results of oha as CSV: seconds, counted from the beginning of the run. Its JSON is a summary."""

from __future__ import annotations

from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.interchange.recognition import CERTAIN, Recogniser, Recognition, Refusal, TableReading
from athena_tuning.interchange.shape import Sample, Shape

_NOTES = (
    "times count from the beginning of the run; set origin to place them",
    "oha leaves requests that got no answer out of this file",
)
_SUMMARY = {"summary", "responseTimeHistogram", "statusCodeDistribution"}


def _recognise(sample: Sample) -> Recognition | None:
    if set(sample.members) >= _SUMMARY:
        words = "this is oha's summary: oha --output-format csv writes a row for each request"
        return Recognition(CERTAIN, "members summary and responseTimeHistogram", Refusal(words))
    if sample.shape is not Shape.CSV or not sample.has("request-start", "request-duration", "status"):
        return None
    mapping = ColumnMapping(
        start="request-start",
        latency="request-duration",
        success="status",
        time_unit="s",
        latency_unit="s",
    )
    reading = TableReading(mapping, relative=True)
    return Recognition(CERTAIN, "columns request-start, request-duration and status", reading, _NOTES)


RECOGNISERS = (Recogniser("oha", "oha results (CSV)", _recognise),)
