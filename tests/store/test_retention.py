"""Which roll-ups cover a span of time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.store.retention import DAY, DEFAULT, Level, Retention, covering, finest_level, spans_of


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.sampled_from(Level))
def test_spans_cover_without_gap_or_overlap(start: int, length: int, finest: Level) -> None:
    spans = covering(start, start + length, finest)
    if length == 0 and start % finest == 0:
        assert spans == []
        return
    assert spans[0].first == start // finest * finest
    assert spans[-1].end == -(-(start + length) // finest) * finest
    for before, after in pairwise(spans):
        assert before.end == after.first
    for span in spans:
        assert span.first % span.level == span.end % span.level == 0
        assert span.level >= finest


@given(st.integers(0, 10**7), st.integers(1, 10**7))
def test_the_inside_is_as_coarse_as_can_be(start: int, length: int) -> None:
    spans = covering(start, start + length, Level.MINUTE)
    minutes = sum((span.end - span.first) // 60 for span in spans if span.level is Level.MINUTE)
    hours = sum((span.end - span.first) // 3600 for span in spans if span.level is Level.HOUR)
    assert minutes <= 2 * 60
    assert hours <= 2 * 24


def test_edges_are_as_fine_as_the_span_needs_and_the_retention_allows() -> None:
    now = 1e9
    assert finest_level(now - DAY, now, now, DEFAULT) is Level.MINUTE
    assert finest_level(now - 30 * DAY, now, now, DEFAULT) is Level.HOUR
    assert finest_level(now - 90 * DAY, now, now, DEFAULT) is Level.DAY
    assert finest_level(now - 10 * DAY, now - 9 * DAY, now, DEFAULT) is Level.HOUR
    assert finest_level(now - 300 * DAY, now - 299 * DAY, now, DEFAULT) is Level.DAY


def test_one_level_is_one_span() -> None:
    assert [(s.level, s.first, s.end) for s in spans_of(90, 7300, Level.HOUR, 0, DEFAULT)] == [
        (Level.HOUR, 0, 10800)
    ]
    assert spans_of(7200, 7200, Level.HOUR, 0, DEFAULT) == []


@pytest.mark.parametrize("odd", [{"raw": 0}, {"minutes": 9e9}, {"hours": 60}, {"workers": -1}])
def test_a_retention_that_makes_no_sense_is_refused(odd: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"keep minutes|above 0"):
        Retention(**odd)
