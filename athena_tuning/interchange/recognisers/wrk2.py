"""Reports of wrk and wrk2, and histograms of HdrHistogram: known in order to be refused."""

from __future__ import annotations

import re

from athena_tuning.interchange.recognition import CERTAIN, Recogniser, Recognition, Refusal
from athena_tuning.interchange.shape import Sample

_RUNNING = re.compile(r"\s*Running .+ test @ ")
_SPECTRUM = re.compile(r"\s*Value\s+Percentile\s+TotalCount\s+1/\(1-Percentile\)")
_WORDS = (
    "a report of wrk2 is a summary: percentiles, not requests. vegeta, k6, JMeter, hey -o csv and "
    "oha --output-format csv write a row for each request"
)


def _recognise(sample: Sample) -> Recognition | None:
    if any(map(_RUNNING.match, sample.lines[:5])):
        return Recognition(CERTAIN, "the line “Running … test @”", Refusal(_WORDS))
    if any(map(_SPECTRUM.match, sample.lines)):
        return Recognition(CERTAIN, "the heading of a spectrum of percentiles", Refusal(_WORDS))
    return None


RECOGNISERS = (Recogniser("wrk2", "wrk and wrk2 reports (refused: summaries)", _recognise, refuses=True),)
