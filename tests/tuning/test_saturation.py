from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.model import LayerTask, TuningBounds, TuningStrategy
from athena_tuning.tuning.estimation.contention import ContentionLaw
from athena_tuning.tuning.estimation.telemetry import MeasuredRecall
from athena_tuning.tuning.policies.saturation import LimitStep, Waiting, better_limit, waiting
from athena_tuning.tuning.settings import SATURATION

BOUNDS = TuningBounds()
LATENCY, COST = TuningStrategy.LATENCY, TuningStrategy.COST
WORK = {"semantic": 0.01}


def measured_recall(queue_ms: float, service_ms: float, began: float = 0.0) -> MeasuredRecall:
    task = LayerTask("semantic", 0.0, queue_ms, service_ms, 5)
    ended = began + (queue_ms + service_ms) / 1000
    return MeasuredRecall(began, ended, "meta", "?", False, True, False, queue_ms + service_ms, (task,))


def law(factor: Mapping[int, float] | None = None, **more: float) -> dict[str, ContentionLaw]:
    known = tuple(factor or (1, 2, 3, 4, 5))
    return {"semantic": ContentionLaw(known=known, **more)}  # type: ignore[arg-type]


def test_waiting_needs_tasks_and_a_queue_longer_than_its_share_of_service() -> None:
    assert waiting([measured_recall(6, 10)] * 14, 0.0, 15) is None
    little, much = (waiting([measured_recall(ms, 10)] * 15, 0.0, 15) for ms in (5.9, 6))
    assert little is not None
    assert much == Waiting(6, 10, 15, pytest.approx(15 * 10 / 16))
    assert not little.is_waited_for(LATENCY)
    assert much.is_waited_for(LATENCY)
    assert not much.is_waited_for(COST)
    assert Waiting(20, 10, 15).is_waited_for(COST)


def test_tasks_that_started_under_another_limit_say_nothing() -> None:
    assert waiting([measured_recall(50, 10, began=1.0)] * 15, 1.06, 15) is None
    assert waiting([measured_recall(50, 10, began=1.0)] * 15, 1.04, 15) is not None


@pytest.mark.parametrize(("queue_ms", "expected"), [(10, 8), (19, 8), (20, 13), (500, 13)])
def test_with_one_level_known_the_step_is_the_experiment(queue_ms: float, expected: int) -> None:
    one = {"semantic": ContentionLaw(known=(5,))}
    assert better_limit(5, Waiting(queue_ms, 10, 30), WORK, one, BOUNDS).value == expected


def test_without_contention_it_goes_up_and_the_bound_is_named() -> None:
    assert better_limit(5, Waiting(50, 10, 30), WORK, law(), BOUNDS).value == 13
    reason = better_limit(13, Waiting(50, 10, 30), WORK, law(), BOUNDS)
    assert (reason.value, reason.bound) == (20, "at most 20")


def test_where_more_slots_only_slow_each_other_it_takes_the_fewest_that_do_as_much() -> None:
    assert better_limit(5, Waiting(50, 10, 30), WORK, law(sigma=1.0), BOUNDS).value == 3


def test_it_gives_up_no_slots_to_see_what_is_known_while_the_wait_is_that_of_a_burst() -> None:
    flat, burst = law(sigma=1.0), Waiting(15, 10, 30)
    assert better_limit(5, burst, WORK, flat, BOUNDS).value == 5
    gap = {"semantic": ContentionLaw(sigma=1.0, known=(5, 20))}
    assert better_limit(5, burst, WORK, gap, BOUNDS).value == 3


def test_a_limit_that_thrashes_goes_down() -> None:
    assert better_limit(5, Waiting(50, 10, 30), WORK, law(sigma=0.2, kappa=0.5), BOUNDS).value == 2


def test_below_what_was_seen_it_goes_down_one_step_only() -> None:
    two = {"semantic": ContentionLaw(sigma=0.2, kappa=0.5, known=(10, 20))}
    assert better_limit(10, Waiting(50, 10, 30), WORK, two, BOUNDS).value >= 6


def test_a_gap_in_what_is_known_is_tried_once_if_it_might_have_more() -> None:
    gap = {"semantic": ContentionLaw(sigma=0.0, knees=((6, 0.25),), known=(6, 13))}
    wait = Waiting(15, 10, 30)
    assert better_limit(6, wait, WORK, gap, BOUNDS).value == 6
    assert better_limit(6, wait, WORK, gap, BOUNDS, explored=()).value == 9
    assert better_limit(6, wait, WORK, gap, BOUNDS, explored=(7, 8, 9)).value == 6


@given(
    st.integers(2, 20),
    st.floats(0, 2),
    st.floats(0, 0.2),
    st.floats(6, 1000),
    st.sets(st.integers(1, 20), min_size=1),
)
def test_limits_stay_within_bounds_and_a_step(
    limit: int, sigma: float, kappa: float, queue_ms: float, known: set[int]
) -> None:
    laws = {"semantic": ContentionLaw(sigma=sigma, kappa=kappa, known=tuple(sorted(known)))}
    value = better_limit(limit, Waiting(queue_ms, 10, 30), WORK, laws, BOUNDS, explored=()).value
    assert 2 <= value <= 20
    assert value <= limit * SATURATION.long_step + 1


@pytest.mark.parametrize(
    ("service_ms", "expected"),
    [
        (10, None),  # twice the slots got twice as much done: go on
        (12, None),
        (15, 10),  # a third more: keep, and wait for more to be known
        (19.5, 5),  # hardly more: back
        (40, 5),
    ],
)
def test_a_step_is_judged_by_what_its_slots_got_done(service_ms: float, expected: int | None) -> None:
    tried = LimitStep(5, Waiting(20, 10, 30).capacity(5))
    assert tried.next(10, Waiting(20, service_ms, 30)) == expected


def test_a_step_down_that_gets_less_done_is_taken_back() -> None:
    tried = LimitStep(5, Waiting(20, 10, 30).capacity(5))
    assert tried.next(3, Waiting(20, 10, 30)) == 5
    assert tried.next(3, Waiting(20, 6.5, 30)) is None


@pytest.mark.parametrize(
    ("in_flight", "service_ms", "lost"),
    [
        (12.0, 40.0, True),  # 300 a second by twelve, where five did 500
        (12.0, 24.0, False),  # as much as before
        (5.2, 20.0, False),  # load has fallen: it would have been as slow under the limit before
    ],
)
def test_a_step_that_empties_its_own_queue_is_judged_all_the_same(
    in_flight: float, service_ms: float, lost: bool
) -> None:
    tried = LimitStep(5, Waiting(20, 10, 30).capacity(5))
    assert tried.has_lost(Waiting(0.0, service_ms, 30, in_flight)) is lost
