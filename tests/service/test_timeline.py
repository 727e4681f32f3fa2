"""The lane under a chart has what happened within the period, of every kind, and nothing else."""

from __future__ import annotations

import numpy as np

from athena_tuning.model import Annotation, SourceBatch
from athena_tuning.profiling.questions.temporal import TimeSeries
from athena_tuning.service.timeline import MOST, Happening, Lane, happenings, neighbours, promise_missed


def test_runs_that_reach_into_a_period_are_in_it_and_other_batches_are_not() -> None:
    batches = [
        SourceBatch("load:a", 10, 50.0, 120.0),
        SourceBatch("load:b", 10, 10.0, 90.0),
        SourceBatch("sample:c", 10, 110.0, 120.0),
    ]
    found = happenings(100.0, 200.0, batches=batches)
    assert [(each.lane, each.start, each.end) for each in found] == [(Lane.RUN, 50.0, 120.0)]


def test_the_newest_are_kept_in_their_order() -> None:
    notes = [Annotation(float(at), f"note {at}", "ana") for at in range(100)]
    found = happenings(0.0, 100.0, notes=notes)
    assert len(found) == MOST
    assert [each.start for each in found] == sorted(float(at) for at in range(100))[-MOST:]


def test_neighbouring_buckets_over_the_promise_are_one_incident() -> None:
    p99 = np.array([10.0, 300.0, 400.0, 10.0, 500.0, np.nan])
    n = np.array([50, 50, 50, 50, 50, 0])
    zero = np.zeros(6, np.int64)
    series = TimeSeries(np.arange(6) * 60.0, n, zero, zero, zero, p99, p99, p99, p99)
    found = list(promise_missed(series, 60.0, 250.0))
    assert [(each.start, each.end) for each in found] == [(60.0, 180.0), (240.0, 300.0)]
    assert "up to 400 ms" in found[0].about
    assert list(promise_missed(series, 60.0, None)) == []


def test_neighbours_are_the_config_changes_around() -> None:
    marks = [Happening(float(at), Lane.CONFIG, f"v{at}", "") for at in (10, 20, 30)]
    marks.append(Happening(25.0, Lane.NOTE, "note", ""))
    assert neighbours(marks[1], marks) == (10.0, 30.0)
    assert neighbours(marks[3], marks) == (20.0, 30.0)
    assert neighbours(marks[0], marks) == (None, 20.0)
