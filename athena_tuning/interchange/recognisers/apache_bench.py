"""Results of ApacheBench, as ``ab -g`` writes them: starts in whole seconds, durations in whole ms."""

from __future__ import annotations

from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.interchange.recognition import CERTAIN, Recogniser, Recognition, TableReading
from athena_tuning.interchange.shape import Sample, Shape

_MARKS = ("starttime", "seconds", "ctime", "dtime", "ttime", "wait")
_NOTES = (
    "ab knows when a request began to the second only",
    "ab does not say here which requests failed",
)


def _recognise(sample: Sample) -> Recognition | None:
    if sample.shape is not Shape.CSV or not sample.has(*_MARKS):
        return None
    mapping = ColumnMapping(start="seconds", latency="ttime", time_unit="s", latency_unit="ms")
    return Recognition(CERTAIN, f"columns {', '.join(_MARKS)}", TableReading(mapping), _NOTES)


RECOGNISERS = (Recogniser("ab", "ApacheBench results (ab -g)", _recognise),)
