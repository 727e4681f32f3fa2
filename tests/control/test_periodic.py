"""Threads that run tasks again and again: when they are due, past failures, and a last time at the end."""

from __future__ import annotations

import logging
import threading

import pytest

from athena_tuning.control.periodic import PeriodicTask, PeriodicThread
from tests.support.clock import Clock


def test_each_task_runs_when_it_is_due() -> None:
    done: list[str] = []
    thread = PeriodicThread(
        "two",
        [
            PeriodicTask("often", 1.0, lambda: done.append("often")),
            PeriodicTask("seldom", 3.0, lambda: done.append("seldom")),
        ],
        clock=Clock(100.0),
    )
    waits = [thread.tick(100.0 + second) for second in range(4)]
    assert done == ["often", "seldom", "often", "often", "often", "seldom"]
    assert waits == [1.0] * 4


def test_a_task_that_fails_is_counted_logged_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    broken = [True]

    def work() -> None:
        if broken[0]:
            raise OSError("disk full")

    others: list[int] = []
    thread = PeriodicThread(
        "two",
        [PeriodicTask("work", 1.0, work), PeriodicTask("other", 1.0, lambda: others.append(1))],
        clock=Clock(100.0),
    )
    with caplog.at_level(logging.INFO):
        for second in range(3):
            thread.tick(100.0 + second)
        broken[0] = False
        thread.tick(110.0)
    assert (thread.failures["work"], len(others)) == (3, 4)
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]
    assert "disk full" in caplog.text


def test_the_last_tasks_run_in_the_thread_itself_when_it_is_closed() -> None:
    turned = threading.Event()
    last: list[str] = []
    thread = PeriodicThread(
        "own",
        [
            PeriodicTask("turn", 0.001, turned.set),
            PeriodicTask("last", 3600.0, list, at_close=lambda: last.append(threading.current_thread().name)),
        ],
    )
    thread.start()
    assert turned.wait(30)
    assert last == []
    assert thread.close(30)
    assert last == ["own"]
    assert not any(alive.name == "own" for alive in threading.enumerate())


def test_a_close_waits_no_longer_than_it_is_told_for_a_task_that_hangs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, released = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        released.wait(60)

    thread = PeriodicThread("hanging", [PeriodicTask("hang", 0.001, hang)])
    thread.start()
    assert begun.wait(30)
    assert not thread.close(0.01)
    assert "'hanging' did not end within 0.01 s" in caplog.text
    released.set()
    assert thread.join(30)


def test_a_task_may_close_its_own_thread() -> None:
    closed: list[bool] = []
    thread = PeriodicThread("own", [PeriodicTask("end", 0.001, lambda: closed.append(thread.close(30)))])
    thread.start()
    assert thread.join(30)
    assert closed == [True]
