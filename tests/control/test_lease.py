"""Who leads: by lease, on a clock that never jumps, and told apart from who led before."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from athena_tuning.control import membership
from athena_tuning.control.lease import LEASE, LEASE_SECONDS, TuningLease
from athena_tuning.model import Action, Decision, Mode, TuningConfig
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import MemoryManager
from athena_tuning.store import MemoryStore, StoreError
from athena_tuning.tuning import AutoTuner
from tests.support.clock import Clock
from tests.support.waiting import until


def test_a_lease_is_held_from_the_answer_on_and_at_most_as_long_as_nobody_else_can_have_it() -> None:
    here, store = Clock(100.0), MemoryStore()
    lease = TuningLease(store, "one", monotonic=here)
    assert lease.held is None
    lease.renew()
    assert lease.held is not None
    here.now += LEASE_SECONDS - 0.01
    assert lease.held is not None
    here.now += 0.01
    assert lease.held is None


def test_a_lease_ends_in_time_while_the_store_is_down() -> None:
    here, store = Clock(100.0), MemoryStore()
    lease = TuningLease(store, "one", monotonic=here)
    lease.renew()
    store.close()
    here.now += LEASE_SECONDS / 2
    with pytest.raises(StoreError):
        lease.renew()
    assert lease.held is not None
    here.now += LEASE_SECONDS / 2
    assert lease.held is None


def test_a_lease_that_moves_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock(100.0)
    store = MemoryStore(monotonic=clock)
    one, two = (TuningLease(store, name, monotonic=clock) for name in ("one", "two"))
    with caplog.at_level(logging.INFO):
        one.renew()
        one.renew()
        two.renew()
        clock.now += LEASE_SECONDS
        two.renew()
        one.renew()
        two.release()
    assert [record.message for record in caplog.records] == [
        "one leads tuning (lease number 1)",
        "two leads tuning (lease number 2)",
        "one no longer leads tuning",
        "two no longer leads tuning",
    ]


class Suspended(AutoTuner):
    """A tuner whose machine stands still between the evidence and the decision."""

    def __init__(self) -> None:
        super().__init__(PerformanceProfiler())
        self.thinks, self.goes_on = threading.Event(), threading.Event()
        self.told: list[Decision] = []

    def step(self, in_force: Any, now: float) -> tuple[Decision, ...]:
        if self.thinks.is_set():
            return ()
        self.thinks.set()
        assert self.goes_on.wait(60)
        before = in_force.default.config
        return (Decision("d1", now, "t", "all", Action.CHANGE, before, TuningConfig(11), "because", 9),)

    def applied(self, decision: Decision, version: Any) -> None:
        self.told.append(decision)


def test_what_a_deposed_leader_decides_is_not_written(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(membership, "RENEW_SECONDS", 3600.0)
    others = Clock(100.0)
    store, tuner = MemoryStore(monotonic=others), Suspended()
    with MemoryManager(":memory:", store=store, mode=Mode.AUTO, tuner=tuner, worker_id="old") as manager:
        assert tuner.thinks.wait(30)
        assert store.acquire_lease(LEASE, "new", LEASE_SECONDS) is None
        others.now += LEASE_SECONDS
        assert store.acquire_lease(LEASE, "new", LEASE_SECONDS) is not None
        tuner.goes_on.set()
        until(lambda: "was not applied" in caplog.text)
        assert manager.limit == 5
        assert manager._membership.lease.held is None
    assert tuner.told == []
    assert [v.author for v in store.config_history()] == ["manager"]
    assert "old had the lease 'tuner' as number 1, but new has it as number 2" in caplog.text
