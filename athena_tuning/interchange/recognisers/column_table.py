"""Any other table: each row is a request, its columns are guessed by their names and values."""

from __future__ import annotations

from dataclasses import replace

from athena_tuning.interchange.guessing import guess
from athena_tuning.interchange.recognition import Recogniser, Recognition, TableReading
from athena_tuning.interchange.registry import BY_COLUMNS
from athena_tuning.interchange.shape import Sample, flat

_SURE = 0.1


def _recognise(sample: Sample) -> Recognition | None:
    if not sample.rows:
        return None
    guessed = guess(sample.columns, [flat(row) for row in sample.rows], sample.units)
    mapping = replace(guessed.mapping, trace_id=None, span_id=None, parent_id=None)
    reading = TableReading(mapping, questions=guessed.questions, doubts=guessed.doubts)
    return Recognition(_SURE, "by the names and values of its columns", reading, guessed.notes)


RECOGNISERS = (Recogniser(BY_COLUMNS, "Any table, by the names of its columns", _recognise),)
