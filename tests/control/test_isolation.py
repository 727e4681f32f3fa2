"""What breakers do is in the decision log: once for all workers, with its reason, and taken back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from athena_tuning.control.isolation import WELL_SECONDS, IsolationLog
from athena_tuning.control.layer_health import HealthPost
from athena_tuning.control.lease import TuningLease
from athena_tuning.model import Action, BreakerState, Decision, LayerHealth, TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.store import MemoryStore, Store, StoreError
from athena_tuning.testing.clock import Clock
from athena_tuning.testing.waiting import until
from tests.support.memory_layers import StubLayer, failing, items

CONFIG = TuningConfig(max_concurrent=7)


class Fleet:
    """Workers that post how their layers are, and the log of the one that leads."""

    def __init__(self) -> None:
        self.clock = Clock(5000.0)
        self.store: Store = MemoryStore()
        self.lease = TuningLease(self.store, "w1")
        self.lease.renew()
        self.log = self.leader()

    def leader(self) -> IsolationLog:
        return IsolationLog(self.store, self.lease, lambda: CONFIG, self.clock)

    def post(self, worker: str, state: BreakerState, layer: str = "graph", **more: int) -> None:
        reason = "" if state is BreakerState.CLOSED else "5 calls in a row failed, the last: no route"
        health = LayerHealth(layer, state, self.clock.now, reason)
        HealthPost(self.store, worker).post([replace(health, **more)])

    def look(self) -> list[Decision]:
        self.log.look()
        return list(reversed(self.store.decisions()))


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def test_isolation_of_a_layer_is_a_decision_that_says_why_where_and_at_what_price(fleet: Fleet) -> None:
    fleet.post("w1", BreakerState.OPEN, calls=40, failures=5, left_out=12)
    fleet.post("w2", BreakerState.CLOSED, calls=60)
    (made,) = fleet.look()
    assert (made.action, made.policy, made.scope) == (Action.ISOLATE, "breaker", "all")
    assert made.summary == "Leave out graph, on 1 of 2 managers: 5 calls in a row failed, the last: no route."
    assert made.before == made.after == CONFIG
    [reason] = made.reasons
    assert reason.rule == "5 calls in a row failed, the last: no route"
    assert (reason.inputs["layer"], reason.inputs["left_out"], reason.samples) == ("graph", 12, 40)


def test_isolation_is_noted_once_for_all_workers_and_also_by_the_next_leader(fleet: Fleet) -> None:
    fleet.post("w1", BreakerState.OPEN)
    fleet.look()
    fleet.post("w2", BreakerState.HALF_OPEN)
    fleet.look()
    fleet.log = fleet.leader()
    assert len(fleet.look()) == 1


def test_isolation_is_taken_back_once_the_layer_has_been_well_everywhere_for_a_while(fleet: Fleet) -> None:
    fleet.post("w1", BreakerState.OPEN)
    fleet.post("w2", BreakerState.OPEN)
    [isolated] = fleet.look()
    fleet.clock.now += 30.0
    fleet.post("w1", BreakerState.CLOSED)
    fleet.clock.now += WELL_SECONDS
    assert len(fleet.look()) == 1, "not on w2"
    fleet.post("w2", BreakerState.CLOSED)
    assert len(fleet.look()) == 1, "not for long"
    fleet.log = fleet.leader()
    fleet.clock.now += WELL_SECONDS
    _, back = fleet.look()
    assert (back.action, back.verdict_on) == (Action.ROLLBACK, isolated.decision_id)
    assert back.summary == "Ask graph again: it is well after 50 s."
    assert len(fleet.look()) == 2


def test_isolation_of_a_layer_that_nobody_alive_has_stays(fleet: Fleet) -> None:
    fleet.post("w1", BreakerState.OPEN)
    fleet.look()
    fleet.clock.now += 100.0
    fleet.post("w1", BreakerState.CLOSED, layer="another")
    fleet.clock.now += 100.0
    assert len(fleet.look()) == 1


def test_isolation_is_noted_by_nobody_who_does_not_lead(fleet: Fleet) -> None:
    fleet.post("w1", BreakerState.OPEN)
    fleet.lease.release()
    assert fleet.look() == []


def test_isolation_that_the_store_did_not_take_is_noted_at_the_next_look(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.post("w1", BreakerState.OPEN)

    def refuse(decision: Decision) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(fleet.store, "append_decision", refuse)
        with pytest.raises(StoreError):
            fleet.log.look()
    assert len(fleet.look()) == 1


@pytest.mark.slow
def test_isolation_by_a_manager_is_in_the_decisions_of_its_store() -> None:
    store = MemoryStore()
    layers = [StubLayer("good", items("a")), StubLayer("dead", failing)]
    with MemoryManager(":memory:", layers=layers, store=store) as manager:
        for turn in range(20):
            manager.recall(f"q {turn}", use_cache=False)
        until(lambda: any(made.action is Action.ISOLATE for made in store.decisions()))
        (made,) = (made for made in store.decisions() if made.action is Action.ISOLATE)
        assert "ConnectionError: no route" in made.summary
