"""The health of layers: who is left out, since when, why, at what price; told once."""

from __future__ import annotations

import logging

import pytest

from athena_tuning.control.breaker import Admission, BreakerSettings
from athena_tuning.control.layer_health import HealthMonitor
from athena_tuning.model import BreakerState, LayerHealth, TaskOutcome
from tests.support.clock import Clock


class Watched:
    """A monitor of one layer, on clocks that a test moves."""

    def __init__(self, **settings: float) -> None:
        self.clock, self.monotonic = Clock(), Clock(0.0)
        self.monitor = HealthMonitor(BreakerSettings(**settings), self.clock, self.monotonic)  # type: ignore[arg-type]
        self.monitor.add("tickets")

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.monotonic.now += seconds

    def call(self, outcome: TaskOutcome = TaskOutcome.OK, seconds: float = 0.02, **more: bool) -> Admission:
        admission, _, _ = self.monitor.admit("tickets", 10.0)
        if admission is not Admission.LEAVE_OUT:
            error = "" if outcome is TaskOutcome.OK else "no route"
            self.monitor.note("tickets", outcome, seconds, error, **more)
        return admission

    @property
    def health(self) -> LayerHealth:
        return self.monitor.health({"tickets": 2}, {"tickets": 1})["tickets"]


def test_layer_health_counts_calls_failures_and_what_they_cost() -> None:
    watched = Watched()
    for _ in range(20):
        watched.call()
    watched.call(TaskOutcome.ERROR, 0.5)
    watched.call(TaskOutcome.TIMEOUT, 10.0)
    health = watched.health
    assert (health.calls, health.failures, health.timeouts) == (22, 1, 1)
    assert health.lost_seconds == pytest.approx(10.5)
    assert health.typical_ms == pytest.approx(20.0)
    assert (health.state, health.last_error) == (BreakerState.CLOSED, "no route")
    assert (health.slots_held, health.slots_waiting) == (2, 1)


def test_layer_health_leaves_a_dead_layer_out_and_says_since_when_why_and_at_what_price(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watched = Watched(trials=2)
    with caplog.at_level(logging.INFO):
        admissions = [watched.call(TaskOutcome.ERROR) for _ in range(105)]
        assert admissions.count(Admission.LEAVE_OUT) == 100
        assert watched.health.since == watched.clock.now
        watched.wait(3.0)
        assert watched.call(TaskOutcome.ERROR) is Admission.TRIAL
        watched.wait(1.0)
        admission, _, why = watched.monitor.admit("tickets", 10.0)
        assert admission is Admission.LEAVE_OUT
        assert why == "left out for 4 s now: 5 calls in a row failed, the last: no route"
        health = watched.health
        assert (health.state, health.calls, health.left_out) == (BreakerState.OPEN, 6, 101)
        watched.wait(5.0)
        assert [watched.call() for _ in range(3)] == [Admission.TRIAL, Admission.TRIAL, Admission.CALL]
    assert watched.health.state is BreakerState.CLOSED
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert told == [
        "layer 'tickets' is left out from now on: 5 calls in a row failed, the last: no route",
        "layer 'tickets' is well again after 9 s; 101 recalls went without it",
    ]


def test_layer_health_gives_a_trial_little_more_than_the_layers_usual_time() -> None:
    watched = Watched()
    for _ in range(50):
        watched.call(seconds=0.1)
    for _ in range(5):
        watched.call(TaskOutcome.TIMEOUT, 10.0)
    watched.wait(1.0)
    admission, timeout, _ = watched.monitor.admit("tickets", 10.0)
    assert admission is Admission.TRIAL
    assert timeout == pytest.approx(4 * 0.1 + 1.0)


def test_layer_health_does_not_blame_a_layer_for_what_says_nothing_about_it() -> None:
    watched = Watched()
    for _ in range(30):
        watched.call(TaskOutcome.TIMEOUT, 0.0, of_layer=False)
    health = watched.health
    assert (health.state, health.calls, health.timeouts) == (BreakerState.CLOSED, 0, 0)


def test_layer_health_blames_a_layer_at_the_recalls_deadline_only_if_it_took_unusually_long() -> None:
    watched = Watched()
    watched.call(seconds=0.05)
    for _ in range(20):
        watched.call(TaskOutcome.TIMEOUT, 0.1, at_deadline=True)
    assert watched.health.state is BreakerState.CLOSED, "the deadline is short"
    for _ in range(5):
        watched.call(TaskOutcome.TIMEOUT, 0.5, at_deadline=True)
    assert watched.health.state is BreakerState.OPEN


def test_layer_health_with_trials_outside_of_recalls_asks_no_recall_to_try() -> None:
    watched = Watched(trials=1)
    watched.monitor.set_down("tickets", "it could not be opened: no route", tried_outside=True)
    watched.wait(60.0)
    assert watched.call() is Admission.LEAVE_OUT
    assert watched.monitor.may_try("tickets", 5.0)
    assert not watched.monitor.may_try("tickets", 5.0)
    assert watched.call() is Admission.LEAVE_OUT, "the trial is under way"
    watched.monitor.note_trial("tickets", TaskOutcome.ERROR, 0.1, "still no route")
    assert watched.health.last_error == "still no route"
    watched.wait(60.0)
    assert watched.monitor.may_try("tickets", 5.0)
    watched.monitor.note_trial("tickets", TaskOutcome.OK, 0.1)
    assert watched.call() is Admission.CALL


def test_layer_health_of_a_layer_that_was_replaced_begins_anew() -> None:
    watched = Watched()
    for _ in range(9):
        watched.call(TaskOutcome.ERROR)
    assert watched.health.state is BreakerState.OPEN
    watched.monitor.add("tickets")
    assert watched.call() is Admission.CALL
    assert watched.health.calls == 1


def test_layer_health_record_goes_through_plain_types() -> None:
    watched = Watched()
    watched.call(TaskOutcome.ERROR)
    watched.monitor.note_block("tickets", "search, line 3 of a.py", 1.5)
    health = watched.health
    assert health.blocks_loop == "for 1.5 s at search, line 3 of a.py"
    plain = health.to_dict()
    assert LayerHealth.from_dict({**plain, "of a newer program": 1}) == health
