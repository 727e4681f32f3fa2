from __future__ import annotations

import pytest

from athena_tuning.tuning.policies.baselines import GradientPolicy, LimitPolicy, Sample, Track, VegasPolicy


class Limit:
    """A limit policy and what it remembers of samples."""

    def __init__(self, policy: LimitPolicy) -> None:
        self.policy, self.track = policy, Track()

    def updated(self, limit: float, sample: Sample) -> float:
        wanted, self.track = self.policy.updated(limit, sample, self.track)
        return wanted


def vegas(least_ms: float = 50) -> Limit:
    policy = Limit(VegasPolicy())
    policy.updated(10, Sample(least_ms, 10))
    return policy


@pytest.mark.parametrize(
    ("rtt_ms", "expected"),
    [
        (50, 16),  # queue 0: up by 6
        (55, 16),  # queue 1
        (60, 11),  # queue 2: up by 1
        (65, 10),  # queue 4: stays
        (100, 10),  # queue 5: stays
        (150, 9),  # queue 7: down by 1
    ],
)
def test_vegas_moves_by_the_queue_that_it_sees(rtt_ms: float, expected: float) -> None:
    assert vegas().updated(10, Sample(rtt_ms, 10)) == expected


def test_vegas_only_notes_a_new_least_service_time() -> None:
    policy = vegas()
    assert policy.updated(10, Sample(40, 10)) == 10
    assert policy.updated(10, Sample(50, 10)) == 11  # queue 2 against 40 ms


def test_vegas_goes_down_after_a_drop_and_stays_while_idle() -> None:
    assert vegas().updated(10, Sample(60, 10, dropped=True)) == 9
    assert vegas().updated(10, Sample(150, 4)) == 10


def test_vegas_takes_a_slower_backend_for_normal_after_a_while() -> None:
    policy = vegas(10)
    limits = [policy.updated(10, Sample(200, 10)) for _ in range(301)]
    assert limits[0] == 9
    assert 10 in limits  # the probe
    assert limits[-1] == 16  # 200 ms is the least now


@pytest.mark.parametrize(
    ("rtt_ms", "expected"),
    [
        (100, 10.8),  # steady: 0.2 × 4 up
        (75, 10.8),  # faster is no more than steady
        (150, 10.79451),  # half slower is just tolerated: 1.5 × long / 150 a little below 1
        (300, 9.80266),  # gradient about a half
        (10_000, 9.8),  # never below a half: 0.8 × 10 + 0.2 × (5 + 4)
    ],
)
def test_gradient_moves_by_the_ratio_of_long_to_short(rtt_ms: float, expected: float) -> None:
    policy = Limit(GradientPolicy())
    for _ in range(10):
        policy.updated(10, Sample(100, 2))
    found = policy.updated(10, Sample(rtt_ms, 10))
    assert found == pytest.approx(expected, abs=0.02)


def test_gradient_lets_a_spell_of_load_go() -> None:
    policy = Limit(GradientPolicy())
    for _ in range(10):
        policy.updated(10, Sample(400, 10))
    before = policy.track.rtt_ms
    policy.updated(10, Sample(100, 10))
    assert policy.track.rtt_ms < 0.96 * before


def test_gradient_stays_while_idle() -> None:
    assert Limit(GradientPolicy()).updated(10, Sample(100, 4)) == 10
