from __future__ import annotations

import random

from athena_tuning.hedging import SHARE, HedgingBudget, HedgingDelays, has_room


def test_no_more_than_a_twentieth_is_spent_whatever_was_earned_before() -> None:
    budget, rng, taken = HedgingBudget(left=0.0), random.Random(1), 0
    for earned in range(1, 5001):
        budget.earn()
        taken += rng.random() < 0.5 and budget.take()
        assert taken <= SHARE * earned + 1e-6
    assert taken > 0.9 * SHARE * 5000


def test_what_was_not_spent_makes_a_bounded_burst() -> None:
    budget = HedgingBudget(burst=30.0)
    for _ in range(10_000):
        budget.earn()
    assert sum(budget.take() for _ in range(100)) == 30


def test_a_delay_follows_what_calls_take_of_late_and_is_not_known_before_a_hundred() -> None:
    delays, rng = HedgingDelays(0.95), random.Random(2)
    for _ in range(99):
        delays.learn("graph", 1.0)
    assert delays.of("graph") == float("inf")
    for _ in range(2000):
        delays.learn("graph", rng.random())
    assert 0.92 < delays.of("graph") < 0.98
    for _ in range(2000):
        delays.learn("graph", 10 * rng.random())
    assert 9.2 < delays.of("graph") < 9.8
    assert delays.of("semantic") == float("inf")


def test_delays_stay_within_their_bounds() -> None:
    delays = HedgingDelays(0.99, first=1.0, least=0.05, most=5.0)
    for kind, seconds in (("quick", 0.001), ("slow", 60.0)):
        for _ in range(100):
            delays.learn(kind, seconds)
    assert (delays.of("quick"), delays.of("slow")) == (0.05, 5.0)


def test_there_is_no_room_where_something_waits_or_most_slots_are_taken() -> None:
    assert [n for n in range(21) if has_room(n, 0, 20)] == list(range(12))
    assert not any(has_room(n, 1, 20) for n in range(21))
    assert not has_room(1, 0, 2)
