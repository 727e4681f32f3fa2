"""The law of a queue: bursts are let be, overloads are not, and they are over when the queue is empty."""

from __future__ import annotations

import math

import pytest

from athena_tuning.admission import LONGEST_RETRY_SECONDS, Place, QueueLaw


def served(after: float | None = 1.0, wait: float = 0.1, seconds: float = 0.02) -> QueueLaw:
    """Return a law that knows what a recall takes, over a queue that stands since 0."""
    law = QueueLaw(after, wait)
    law.served("factual", seconds)
    law.queued(0.0, waiting=1, freed=0)
    return law


def test_twice_as_many_as_are_served_is_an_overload_after_the_interval() -> None:
    law = served()
    law.left(0.9, waited=0.45, waiting=50)
    assert law.patience() == math.inf
    law.left(1.0, waited=0.5, waiting=50)
    assert (law.patience(), law.overloaded_since) == (0.1, 1.0)


@pytest.mark.parametrize(("ratio", "intervals"), [(0.45, 1), (0.225, 16), (0.15, 81)])
def test_a_weaker_surge_may_last_longer(ratio: float, intervals: int) -> None:
    law = served()
    law.left(0.99 * intervals, waited=0.99 * intervals * ratio, waiting=9)
    assert law.overloaded_since is None
    law.left(1.01 * intervals, waited=1.01 * intervals * ratio, waiting=9)
    assert law.overloaded_since is not None


def test_an_empty_queue_ends_it() -> None:
    law = served()
    law.left(1.0, waited=0.9, waiting=5)
    law.left(1.2, waited=0.1, waiting=0)
    assert (law.overloaded_since, law.patience(background=True)) == (None, math.inf)
    law.queued(1.3, waiting=1, freed=99)
    law.left(1.4, waited=0.1, waiting=3)
    assert law.overloaded_since is None  # its time begins anew


def test_background_goes_after_half_the_time() -> None:
    law = served()
    law.left(0.5, waited=0.4, waiting=5)
    assert (law.patience(background=True), law.patience()) == (0.0, math.inf)


def test_slow_recalls_have_a_longer_interval_and_a_longer_wait() -> None:
    law = served(seconds=2.0)
    law.left(19.9, waited=19.0, waiting=5)
    assert law.overloaded_since is None
    law.left(20.0, waited=19.0, waiting=5)
    assert law.patience() == 4.0


def test_nobody_is_refused_before_it_is_known_what_a_recall_takes_or_where_it_is_off() -> None:
    unknown, off = QueueLaw(1.0, 0.1), served(after=None)
    for law in (unknown, off):
        law.queued(0.0, waiting=1, freed=0)
        law.left(60.0, waited=60.0, waiting=500)
        law.shed(60.0)
        place = Place(law, "factual", 0.0)
        assert place.may_queue(60.0, 500, 10, True)
        assert place.may_wait(60.0)
        assert place.may_start(60.0, 400)


def test_who_would_wait_too_long_is_refused_as_it_comes() -> None:
    law = served()
    law.left(1.0, waited=0.6, waiting=50)
    place = Place(law, "factual", 1.0)
    assert not place.may_queue(1.0, waiting=50, freed=100, full=True)
    assert place.refused == "overloaded for 0.0 s: it would wait 0.5 s for a slot"
    assert place.retry_after == 1.0
    assert Place(law, "factual", 1.0).may_queue(1.0, waiting=5, freed=100, full=True)


def test_who_need_not_wait_is_never_refused() -> None:
    law = served()
    law.left(1.0, waited=0.6, waiting=50)
    place = Place(law, "factual", 1.0, background=True)
    assert place.may_queue(1.0, waiting=50, freed=100, full=False)
    assert place.may_start(1.0001, waiting=50)
    assert place.may_wait(9.0)  # it has begun


def test_who_has_begun_may_start_the_rest_of_its_tasks() -> None:
    law = served()
    place = Place(law, "factual", 0.5)
    assert place.may_start(0.6, waiting=50)
    law.left(1.0, waited=0.6, waiting=50)
    assert place.may_start(9.0, waiting=50)


def test_a_deadline_that_cannot_be_made_is_not_started() -> None:
    law = served(seconds=0.2)
    place = Place(law, "factual", came=0.0, deadline=1.0)
    assert not place.may_start(0.85, waiting=0)
    assert place.refused == "its deadline cannot be met: it would begin after 0.8 s"
    assert Place(law, "factual", came=0.0, deadline=1.0).may_start(0.75, waiting=0)
    assert Place(law, "factual", came=0.8, deadline=0.9).may_start(0.8, waiting=0)  # it has not waited


def test_a_layer_slower_than_the_deadline_is_no_reason_to_refuse() -> None:
    law = served(seconds=30.0)
    assert Place(law, "factual", came=0.0, deadline=1.0).may_start(0.4, waiting=3)


def test_missed_deadlines_are_an_overload_though_nobody_waits_long() -> None:
    law = served()
    for at in (0.5, 1.0):
        assert not Place(law, "factual", came=at - 0.1, deadline=at + 0.01).may_start(at, waiting=9)
    assert law.overloaded_since == 1.0


def test_a_backlog_can_be_shed() -> None:
    law = served()
    law.shed(0.2)
    assert not Place(law, "factual", came=0.0).may_wait(0.2)
    assert Place(law, "factual", came=0.15).may_wait(0.2)


def test_retrying_is_worth_it_after_as_long_as_it_has_lasted_within_bounds() -> None:
    law = served()
    law.left(8.0, waited=7.0, waiting=9)
    assert [law.retry_after(at) for at in (0.2, 8.0, 500.0)] == [1.0, 8.0, LONGEST_RETRY_SECONDS]


def test_an_overload_that_comes_back_soon_is_found_sooner() -> None:
    law = served()
    law.left(1.0, waited=0.9, waiting=5)
    law.left(2.0, waited=0.1, waiting=0)
    law.queued(2.5, waiting=1, freed=9)
    law.left(2.6, waited=0.1, waiting=5)
    assert law.overloaded_since == 2.6
    law.left(3.0, waited=0.1, waiting=0)
    law.queued(4.1, waiting=1, freed=99)
    law.left(4.3, waited=0.2, waiting=5)
    assert law.overloaded_since is None
