"""A clock that steps is noticed, logged, told to the store and survived."""

from __future__ import annotations

import pytest

from athena_tuning.control import membership
from athena_tuning.control.clock_watch import STEP_SECONDS, ClockWatch, clock_steps
from athena_tuning.recall import MemoryManager
from athena_tuning.store import MemoryStore
from tests.support.clock import Clock
from tests.support.waiting import until

DAY = 86_400.0


def watched() -> tuple[ClockWatch, Clock, Clock, MemoryStore]:
    wall, monotonic, store = Clock(), Clock(50.0), MemoryStore()
    return ClockWatch(store, wall, monotonic), wall, monotonic, store


@pytest.mark.parametrize("seconds", [-3 * DAY, -STEP_SECONDS - 1, STEP_SECONDS + 1, 400 * DAY])
def test_a_step_is_noticed_once_logged_and_told(seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    watch, wall, monotonic, store = watched()
    for clock in (wall, monotonic):
        clock.now += 1.0
    watch.look()
    wall.now += seconds + 1.0
    monotonic.now += 1.0
    watch.look()
    watch.look()
    assert [step.seconds for step in watch.steps] == [pytest.approx(seconds)]
    assert clock_steps(store) == watch.steps
    assert f"stepped by {seconds:+.0f} s" in caplog.text


def test_drift_and_a_look_that_comes_late_are_no_step() -> None:
    watch, wall, monotonic, store = watched()
    for late in (1.0, 3600.0, 2 * DAY):
        wall.now += late + 0.9 * STEP_SECONDS
        monotonic.now += late
        watch.look()
    assert clock_steps(store) == []


def test_one_step_that_many_workers_of_a_host_notice_is_told_once() -> None:
    wall, monotonic, store = Clock(6_000_000.0), Clock(50.0), MemoryStore()
    watches = [ClockWatch(store, wall, monotonic) for _ in range(4)]
    wall.now += DAY
    for watch in watches:
        watch.look()
    assert len(clock_steps(store)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("days", [3, -3])
def test_a_manager_survives_a_clock_that_was_wrong_for_a_moment(days: int) -> None:
    clock, store = Clock(), MemoryStore()
    with MemoryManager(":memory:", store=store, clock=clock) as manager:

        def recalls(n: int) -> set[str]:
            ids = {manager.recall(f"billing {i}", use_cache=False)["_query_id"] for i in range(n)}
            until(lambda: ids <= {m.query_id for m in store.tail_metrics().records})
            return ids

        right = recalls(20)
        clock.now += days * DAY
        recalls(1)
        until(lambda: len(manager._membership.clock_watch.steps) == 1)
        clock.now -= days * DAY
        right |= recalls(20)
        until(lambda: len(manager._membership.clock_watch.steps) == 2)
        assert manager._membership.lease.held is not None
        assert manager.status().rejected_metrics == manager.status().dropped_metrics == 0
        window = {m.query_id for m in manager.profiler.metrics}
        assert len(right & window) == (40 if days < 0 else 20), (
            "what was too old for a moment is only in the store"
        )
    assert sorted(round(step.seconds / DAY) for step in clock_steps(store)) == [-3, 3]


@pytest.mark.slow
def test_takeover_does_not_wait_for_a_clock_that_went_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "RENEW_SECONDS", 0.02)
    wall, monotonic = Clock(), Clock(50.0)
    store = MemoryStore(clock=wall, monotonic=monotonic)
    assert store.acquire_lease("tuner", "dead", 5.0)
    with MemoryManager(":memory:", store=store, clock=wall) as manager:
        wall.now -= 3 * 3600.0
        monotonic.now += 4.9
        until(lambda: manager._membership.clock_watch.steps)
        assert manager._membership.lease.held is None
        monotonic.now += 0.2
        until(lambda: manager._membership.lease.held is not None)
