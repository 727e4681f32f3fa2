"""Our own exports: JSON lines, CSV and Parquet."""

from __future__ import annotations

from athena_tuning.interchange import record_json
from athena_tuning.interchange.recognition import CERTAIN, OwnReading, Recogniser, Recognition
from athena_tuning.interchange.shape import Sample, Shape


def _recognise(sample: Sample) -> Recognition | None:
    if not sample.has(*record_json.REQUIRED):
        return None
    if sample.shape is Shape.PARQUET and not sample.has(*record_json.FIELDS):
        return None
    if sample.shape is not Shape.PARQUET and not sample.rows[:1]:
        return None
    return Recognition(CERTAIN, "all columns of a record of this project", OwnReading())


RECOGNISERS = (Recogniser("athena", "Export of athena_tuning (JSON lines, CSV, Parquet)", _recognise),)
