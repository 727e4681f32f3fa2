"""A breaker: closed, open, half-open; never stuck, and never closed on what fails."""

from __future__ import annotations

import sys
import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from athena_tuning.control.breaker import Admission, Breaker, BreakerSettings
from athena_tuning.model import BreakerState
from athena_tuning.testing.clock import Clock
from tests.support.examples import examples


def opened(clock: Clock, **settings: float) -> Breaker:
    breaker = Breaker(BreakerSettings(**settings), clock)  # type: ignore[arg-type]
    for _ in range(5):
        breaker.failed("no route")
    assert breaker.state is BreakerState.OPEN
    return breaker


def test_breaker_opens_after_failures_in_a_row_and_says_why() -> None:
    breaker = Breaker(BreakerSettings(in_a_row=3), Clock())
    for _ in range(50):
        breaker.succeeded()
    for _ in range(2):
        breaker.failed("no route")
    breaker.succeeded()
    for _ in range(2):
        breaker.failed("no route")
    assert breaker.state is BreakerState.CLOSED
    breaker.failed("timed out")
    assert (breaker.state, breaker.reason) == (
        BreakerState.OPEN,
        "3 calls in a row failed, the last: timed out",
    )


def test_breaker_opens_at_a_share_of_the_window_only_with_enough_calls_in_it() -> None:
    breaker = Breaker(BreakerSettings(least_calls=10, share=0.5), Clock())
    for _ in range(4):
        breaker.succeeded()
        breaker.failed("busy")
    assert breaker.state is BreakerState.CLOSED, "8 calls are too few"
    breaker.succeeded()
    breaker.failed("busy")
    assert breaker.state is BreakerState.OPEN
    assert breaker.reason == "5 of the last 10 calls failed, the last: busy"


def test_breaker_forgets_calls_that_are_older_than_its_window() -> None:
    clock = Clock(0.0)
    breaker = Breaker(BreakerSettings(window_seconds=30, least_calls=6, share=0.5), clock)
    for _ in range(3):
        breaker.failed("busy")
        breaker.succeeded()
        clock.now += 40
    assert breaker.state is BreakerState.CLOSED


def test_breaker_lets_one_trial_through_after_its_wait_and_doubles_the_wait_when_it_fails() -> None:
    clock = Clock(0.0)
    breaker = opened(clock, first_wait_seconds=1.0, longest_wait_seconds=5.0)
    waits = []
    for _ in range(5):
        began = clock.now
        while breaker.admit() is Admission.LEAVE_OUT:
            clock.now += 0.25
        assert breaker.state is BreakerState.HALF_OPEN
        assert breaker.admit() is Admission.LEAVE_OUT, "one at a time"
        waits.append(clock.now - began)
        breaker.failed("still no route")
    assert waits == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_breaker_closes_after_trials_that_succeed_one_after_another() -> None:
    clock = Clock(0.0)
    breaker = opened(clock, trials=2)
    clock.now += 1
    assert breaker.admit() is Admission.TRIAL
    breaker.succeeded()
    assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.admit() is Admission.TRIAL, "the next one does not wait"
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    for _ in range(4):
        breaker.failed("once more")
    assert breaker.state is BreakerState.CLOSED, "it has forgotten what was before"


def test_breaker_does_not_wait_for_ever_for_a_trial_that_nobody_reports_on() -> None:
    clock = Clock(0.0)
    breaker = opened(clock)
    clock.now += 1
    assert breaker.admit(trial_seconds=20) is Admission.TRIAL
    clock.now += 19.9
    assert breaker.admit() is Admission.LEAVE_OUT
    clock.now += 0.1
    assert breaker.admit() is Admission.TRIAL


def test_breaker_tries_again_at_once_after_a_trial_that_said_nothing() -> None:
    clock = Clock(0.0)
    breaker = opened(clock)
    clock.now += 1
    assert breaker.admit() is Admission.TRIAL
    breaker.undecided()
    assert breaker.admit() is Admission.TRIAL


@pytest.mark.parametrize(
    "wrong",
    [{"share": 0}, {"share": 1.5}, {"in_a_row": 0}, {"first_wait_seconds": 9.0}, {"first_wait_seconds": 0}],
)
def test_breaker_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"share|at least one|wait_seconds"):
        BreakerSettings(**wrong)  # type: ignore[arg-type]


def test_breaker_admits_one_trial_of_32_threads() -> None:
    clock = Clock(0.0)
    breaker = opened(clock)
    clock.now += 1
    admitted: list[Admission] = []
    gate = threading.Barrier(32)

    def ask() -> None:
        gate.wait(30)
        admitted.append(breaker.admit())

    threads = [threading.Thread(target=ask) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(a.name for a in admitted) == ["LEAVE_OUT"] * 31 + ["TRIAL"]


class BreakerMachine(RuleBasedStateMachine):
    """Whatever comes, an open breaker asks little, and a call is always admitted again before long."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock(0.0)
        self.breaker = Breaker(clock=self.clock)

    @rule(seconds=st.floats(0, 8))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def succeed(self) -> None:
        self.breaker.succeeded()

    @rule()
    def fail(self) -> None:
        self.breaker.failed("busy")

    @rule()
    def say_nothing(self) -> None:
        self.breaker.undecided()

    @rule(trial=st.floats(0.1, 60))
    def ask(self, trial: float) -> None:
        closed = self.breaker.is_closed
        assert (self.breaker.admit(trial) is Admission.CALL) is closed

    @invariant()
    def is_never_stuck(self) -> None:
        later = Clock(self.clock.now + 66.0)  # the longest wait, and the longest trial
        clock, self.breaker._clock = self.breaker._clock, later
        state, ends = self.breaker.state, self.breaker._trial_ends
        assert self.breaker.admit() is not Admission.LEAVE_OUT
        self.breaker._clock, self.breaker.state, self.breaker._trial_ends = clock, state, ends


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=examples(60), stateful_step_count=40, deadline=None)


def test_breaker_counts_failures_while_other_threads_note_successes() -> None:
    breaker = Breaker(BreakerSettings(in_a_row=10**9, least_calls=10**6), Clock())
    end = threading.Event()

    def be_well() -> None:
        while not end.is_set():
            breaker.succeeded()

    threads = [threading.Thread(target=be_well) for _ in range(2)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for _ in range(5000):
            breaker.failed("busy")
    finally:
        sys.setswitchinterval(interval)
        end.set()
        for thread in threads:
            thread.join()
    assert breaker.is_closed
