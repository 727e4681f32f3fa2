"""Answers of Prometheus: known in order to be refused."""

from __future__ import annotations

from collections.abc import Mapping

from athena_tuning.interchange.recognition import CERTAIN, Recogniser, Recognition, Refusal
from athena_tuning.interchange.shape import Row, Sample

_WORDS = "these are series of Prometheus: figures over time, not requests. Its traces or logs can be read"


def _recognise(sample: Sample) -> Recognition | None:
    if sample.share(_is_answer) < 0.5 and sample.share(_is_series) < 0.5:
        return None
    return Recognition(CERTAIN, "a metric with values over time", Refusal(_WORDS))


def _is_answer(row: Row) -> bool:
    data = row.get("data")
    return isinstance(data, Mapping) and {"resultType", "result"} <= data.keys()


def _is_series(row: Row) -> bool:
    return isinstance(row.get("metric"), Mapping) and ("values" in row or "value" in row) and len(row) <= 3


RECOGNISERS = (Recogniser("prometheus", "Prometheus series (refused: summaries)", _recognise, refuses=True),)
