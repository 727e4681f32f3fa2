"""Spans as a table: the columns are guessed as those of any table, rows belong together by their ids."""

from __future__ import annotations

from athena_tuning.interchange.guessing import guess
from athena_tuning.interchange.recognition import Recogniser, Recognition, TableReading
from athena_tuning.interchange.shape import Sample, flat

_SURE = 0.6


def _recognise(sample: Sample) -> Recognition | None:
    if not sample.rows:
        return None
    guessed = guess(sample.columns, [flat(row) for row in sample.rows], sample.units)
    mapping = guessed.mapping
    if not mapping.is_spans:
        return None
    reason = f"ids of spans in {mapping.trace_id!r}, {mapping.span_id!r} and {mapping.parent_id!r}"
    return Recognition(
        _SURE,
        reason,
        TableReading(mapping, questions=guessed.questions, doubts=guessed.doubts),
        guessed.notes,
    )


RECOGNISERS = (Recogniser("span-table", "Spans as a table, by the names of its columns", _recognise),)
