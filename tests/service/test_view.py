from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.service.view import RANGES, View, view_of


@given(st.sampled_from(sorted(RANGES)), st.floats(1e9, 4e9))
def test_a_named_range_ends_now_and_has_its_length(name: str, now: float) -> None:
    view = view_of(name, now)
    assert view.seconds == pytest.approx(RANGES[name])
    assert now <= view.end <= now + max(2.0, RANGES[name] / 19_999)


def test_pages_that_look_within_two_seconds_share_a_view() -> None:
    assert view_of("1h", 1000.1) == view_of("1h", 1001.9)


def test_a_custom_period_the_wrong_way_round_is_turned() -> None:
    assert view_of("custom", 0.0, custom=(20.0, 10.0)).start == 10.0


@pytest.mark.parametrize("name", ["custom", "", "yesterday", "../../etc"])
def test_a_range_that_a_link_made_up_is_the_default_one(name: str) -> None:
    assert view_of(name, 1e9).seconds == RANGES["1h"]


def test_the_period_before_touches_and_is_as_long() -> None:
    view = View(100.0, 160.0, query_type="meta")
    assert (view.before.start, view.before.end, view.before.query_type) == (40.0, 100.0, "meta")


@given(st.floats(1, 1e7), st.integers(10, 500))
def test_buckets_never_make_more_points_than_asked_for_up_to_a_day_each(seconds: float, points: int) -> None:
    bucket = View(0.0, seconds).bucket_seconds(points)
    assert seconds / bucket <= points or bucket == 86_400


def test_a_view_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValueError, match="must end after it starts"):
        View(2.0, 1.0)
