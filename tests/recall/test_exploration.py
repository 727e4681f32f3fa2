"""A share of the recalls explores: as many as were asked for, spread, and none of the first."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.recall.routing.exploration import Exploration


def explored(share: float, recalls: int, seed: int = 0) -> list[int]:
    exploration = Exploration(random.Random(seed).random)
    return [n for n in range(recalls) if exploration.explores(share)]


@pytest.mark.parametrize("share", [0.01, 0.03, 0.1, 0.5])
def test_as_many_explore_as_the_share_says(share: float) -> None:
    recalls = int(2000 / share)
    assert len(explored(share, recalls)) == pytest.approx(2000, rel=0.05)


@given(st.sampled_from([0.01, 0.03, 0.1, 0.5]), st.integers(0, 1000))
def test_none_of_the_first_explores_and_later_ones_lie_apart(share: float, seed: int) -> None:
    at = explored(share, int(20 / share), seed)
    assert at[0] >= int(1 / share)
    gaps = [later - earlier for earlier, later in pairwise(at)]
    assert all(0.5 / share - 1 <= gap <= 1.5 / share + 1 for gap in gaps)


def test_traffic_that_repeats_itself_is_looked_at_everywhere() -> None:
    assert {n % 33 for n in explored(0.03, 40_000)} == set(range(33))


def test_a_share_that_changes_holds_from_then_on_and_none_stops() -> None:
    exploration = Exploration(random.Random(1).random)
    assert not any(exploration.explores(0.0) for _ in range(1000))
    many = sum(exploration.explores(0.5) for _ in range(1000))
    few = sum(exploration.explores(0.01) for _ in range(10_000))
    assert many == pytest.approx(500, rel=0.1)
    assert few == pytest.approx(100, rel=0.2)
