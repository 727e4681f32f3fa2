"""Results of hey, as ``hey -o csv`` writes them: seconds, counted from the beginning of the run."""

from __future__ import annotations

from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.interchange.recognition import CERTAIN, Recogniser, Recognition, Refusal, TableReading
from athena_tuning.interchange.shape import Sample, Shape

_NOTES = (
    "times count from the beginning of the run; set origin to place them",
    "hey leaves requests that got no answer out of this file",
)


def _recognise(sample: Sample) -> Recognition | None:
    if sample.shape is not Shape.CSV or not sample.has("response-time", "DNS+dialup", "Response-delay"):
        return None
    reason = "columns response-time, DNS+dialup and Response-delay"
    if not sample.has("offset"):
        words = "this version of hey does not say when a request began; newer ones have a column offset"
        return Recognition(CERTAIN, reason, Refusal(words))
    mapping = ColumnMapping(
        start="offset",
        latency="response-time",
        success="status-code" if sample.has("status-code") else None,
        time_unit="s",
        latency_unit="s",
    )
    return Recognition(CERTAIN, reason, TableReading(mapping, relative=True), _NOTES)


RECOGNISERS = (Recogniser("hey", "hey results (CSV)", _recognise),)
