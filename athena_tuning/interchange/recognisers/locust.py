"""Statistics of Locust: known in order to be refused."""

from __future__ import annotations

from athena_tuning.interchange.recognition import CERTAIN, Recogniser, Recognition, Refusal
from athena_tuning.interchange.shape import Sample, Shape

_WORDS = (
    "Locust's files sum up requests by name and time: a row stands for many, and percentiles cannot be "
    "taken apart again. A listener on events.request that writes start_time and response_time gives a table "
    "of requests"
)
_JSON = ("num_requests", "num_failures", "total_response_time")
_MARKS = (
    ("User Count", "Total Request Count"),
    ("Request Count", "Failure Count", "Median Response Time"),
    ("Method", "Name", "Error", "Occurrences"),
    ("Count", "Message", "Traceback", "Nodes"),
)


def _recognise(sample: Sample) -> Recognition | None:
    if sample.has(*_JSON):
        return Recognition(CERTAIN, f"keys {', '.join(_JSON)}", Refusal(_WORDS))
    if sample.shape is not Shape.CSV:
        return None
    marks = next((names for names in _MARKS if sample.has(*names)), None)
    if marks is None:
        return None
    return Recognition(CERTAIN, f"columns {', '.join(marks)}", Refusal(_WORDS))


RECOGNISERS = (Recogniser("locust", "Locust statistics (refused: summaries)", _recognise, refuses=True),)
