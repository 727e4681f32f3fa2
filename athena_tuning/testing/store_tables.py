"""What every store does with decisions, workers, notes, feedback, messages, leases and events."""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from athena_tuning.model import (
    Action,
    Annotation,
    Candidate,
    Decision,
    Feedback,
    Forecast,
    Proposal,
    Reason,
    StrategyProposal,
    TuningConfig,
    TuningStrategy,
    WorkerStatus,
)
from athena_tuning.store import OBJECTIVES, WITH_EVIDENCE, Lease, LeaseLost, Store, StoreError, StoreEvent
from athena_tuning.testing.store_configs import A, B, OpenStore, apply, change


def decision(name: str, time: float, **more: Any) -> Decision:
    """Return a decision for all types."""
    return Decision(name, time, "rules", "all", Action.CHANGE, A, B, "more at once", 120, **more)


class TablesOfStore:
    """Decisions, workers, notes, feedback, messages, leases, events."""

    def test_a_decision_comes_back_with_its_reasons(self, store: Store) -> None:
        full = decision(
            "d1",
            10.0,
            reasons=(
                Reason("max_concurrent", 9, "p99 is low", {"p99_ms": 80.5, "n": 120}, 120, "at most 20"),
            ),
            candidates=(Candidate(B, -0.1, -0.2, 0.05),),
            predicted=-0.1,
        )
        store.append_decision(full)
        assert store.decisions() == [full]

    def test_proposals_are_told_in_place_of_earlier_ones_and_come_back_whole(
        self, open_it: OpenStore
    ) -> None:
        store = open_it()
        assert store.proposals() == {}
        forecast, unknown = Forecast(9.0, 80.0, 2.5, 0.99), Forecast(12.0, math.inf, 3.0, 1.0)
        strategies = {s: StrategyProposal(decision("d", 1.0), "a doubt", forecast) for s in TuningStrategy}
        whole = Proposal("all", 5.0, "w1", 3, TuningStrategy.COST, 900, 150, strategies, unknown, 11.5)
        of_type = replace(whole, scope="meta", in_force=None)
        store.publish([replace(whole, scope="temporal")])
        store.publish([whole, of_type])
        proposals = open_it().proposals()
        assert list(proposals) == ["all", "meta"]
        assert proposals["meta"] == of_type
        assert proposals["all"].by_strategy == strategies
        assert proposals["all"].in_force is not None
        assert math.isnan(proposals["all"].in_force.per_second), "no number: it is unknown"
        store.post("proposals", "leader", "{ damaged")
        assert store.proposals() == {}

    def test_what_a_decision_rests_on_is_kept_for_the_newest_of_them(self, store: Store) -> None:
        for at in range(WITH_EVIDENCE + 5):
            store.append_decision(decision(f"d{at:03}", float(at)), bytes([at]) * 100)
        store.append_decision(decision("none", 500.0))
        store.append_decision(decision("d010", 10.0, observed=0.1))  # a verdict: what it rests on stays
        assert store.decision_evidence("none") is store.decision_evidence("nobody") is None
        assert store.decision_evidence("d004") is None
        assert store.decision_evidence("d005") == bytes([5]) * 100
        assert store.decision_evidence("d010") == bytes([10]) * 100
        assert len(store.decisions(limit=1000)) == WITH_EVIDENCE + 6

    def test_decisions_are_newest_first_and_a_verdict_replaces(self, store: Store) -> None:
        for at in (2.0, 3.0, 1.0):
            store.append_decision(decision(f"d{at:g}", at))
        store.append_decision(decision("d2", 2.0, observed=-0.05))
        assert [d.decision_id for d in store.decisions()] == ["d3", "d2", "d1"]
        assert store.decisions()[1].observed == -0.05
        assert [d.decision_id for d in store.decisions(limit=1)] == ["d3"]

    def test_a_decision_may_hold_numpy_numbers_and_nan(self, store: Store) -> None:
        reason = Reason(
            "timeout_seconds", np.float64(5.0), "few", {"n": np.int64(3), "p99_ms": float("nan")}, 3
        )
        store.append_decision(decision("d", 1.0, reasons=(reason,)))
        inputs = store.decisions()[0].reasons[0].inputs
        assert inputs["n"] == 3
        assert np.isnan(inputs["p99_ms"])

    def test_a_worker_is_known_by_its_last_report_the_last_seen_first(self, store: Store) -> None:
        store.report_worker(WorkerStatus("a", "h1", 11, 1.0, 5.0))
        store.report_worker(WorkerStatus("b", "h2", 12, 2.0, 6.0, 3, 100, 1, 2))
        again = WorkerStatus("a", "h1", 11, 1.0, 7.0, 4, 50)
        store.report_worker(again)
        assert store.workers() == [again, WorkerStatus("b", "h2", 12, 2.0, 6.0, 3, 100, 1, 2)]

    def test_feedback_comes_back_oldest_first_and_the_last_score_of_a_recall_holds(
        self, store: Store
    ) -> None:
        store.append_feedback(
            [Feedback("a-2", 0.5, 2.0), Feedback("a-1", 0.0, 1.0), Feedback("a-1", 1.0, 3.0)]
        )
        store.append_feedback([Feedback("a-3", 0.25, 2.5), Feedback("a-2", 0.75, 4.0)])
        store.append_feedback([])
        assert store.feedback() == [
            Feedback("a-3", 0.25, 2.5),
            Feedback("a-1", 1.0, 3.0),
            Feedback("a-2", 0.75, 4.0),
        ]
        assert store.feedback(since=3.0) == store.feedback()[1:]

    def test_feedback_is_forgotten_with_the_raw_records(self, store: Store) -> None:
        now = time.time()
        store.append_feedback([Feedback("old", 1.0, now - 400 * 86400), Feedback("new", 1.0, now)])
        store.maintain()
        assert [given.query_id for given in store.feedback()] == ["new"]

    def test_annotations_come_back_oldest_first(self, store: Store) -> None:
        for at in (3.0, 1.0, 2.0):
            store.annotate(Annotation(at, f"at {at:g}", "ann"))
        assert [note.time for note in store.annotations()] == [1.0, 2.0, 3.0]
        assert store.annotations(since=2.0)[0] == Annotation(2.0, "at 2", "ann")

    def test_messages_are_kept_by_topic_and_key_and_the_last_one_holds(self, open_it: OpenStore) -> None:
        now = [1000.0]
        here, there = open_it(clock=lambda: now[0]), open_it(clock=lambda: now[0])
        here.post("load", "a", "first")
        now[0] = 1010.0
        here.post("load", "b", "it's é")
        here.post("other", "a", "elsewhere")
        assert there.posted("load") == {"a": "first", "b": "it's é"}
        now[0] = 1020.0
        there.post("load", "a", "second")
        assert list(here.posted("load").items()) == [("b", "it's é"), ("a", "second")]
        assert here.posted("load", within=5.0) == {"a": "second"}
        assert here.posted("nobody") == {}

    def test_messages_are_forgotten_with_the_workers_but_for_what_people_decided(
        self, open_it: OpenStore
    ) -> None:
        now = [1_700_000_000.0]
        store = open_it(clock=lambda: now[0])
        store.post(OBJECTIVES, "all", "within 250 ms")
        store.post("load", "old", "x")
        now[0] += 8 * 86400
        store.post("load", "new", "y")
        store.maintain()
        assert store.posted("load") == {"new": "y"}
        assert store.posted(OBJECTIVES) == {"all": "within 250 ms"}

    def test_a_lease_has_one_holder_until_it_has_stood_unrenewed_for_its_time(
        self, open_it: OpenStore
    ) -> None:
        now = [100.0]
        a, b = (open_it(monotonic=lambda: now[0]) for _ in range(2))
        first = a.acquire_lease("tuner", "a", 8.0)
        assert first == Lease("tuner", "a", 1)
        assert not b.acquire_lease("tuner", "b", 8.0)
        assert b.acquire_lease("other", "b", 8.0)
        now[0] = 105.0
        assert a.acquire_lease("tuner", "a", 8.0) == first
        assert not b.acquire_lease("tuner", "b", 8.0)
        now[0] = 112.9
        assert not b.acquire_lease("tuner", "b", 8.0)
        now[0] = 113.0
        assert b.acquire_lease("tuner", "b", 8.0) == Lease("tuner", "b", 2)
        assert not a.acquire_lease("tuner", "a", 8.0)

    def test_a_lease_lasts_as_long_as_its_holder_said_whoever_asks(self, open_it: OpenStore) -> None:
        now = [100.0]
        store = open_it(monotonic=lambda: now[0])
        assert store.acquire_lease("tuner", "a", 60.0)
        assert not store.acquire_lease("tuner", "b", 1.0)
        now[0] += 59.0
        assert not store.acquire_lease("tuner", "b", 1.0)
        now[0] += 1.0
        assert store.acquire_lease("tuner", "b", 1.0)

    @pytest.mark.parametrize("jump", [-3 * 86400.0, -3 * 3600.0, 3 * 3600.0, 400 * 86400.0])
    def test_a_clock_that_jumps_neither_ends_a_lease_nor_keeps_it(
        self, open_it: OpenStore, jump: float
    ) -> None:
        wall, monotonic = [1_750_000_000.0], [0.0]
        a, b = (open_it(clock=lambda: wall[0], monotonic=lambda: monotonic[0]) for _ in range(2))
        assert a.acquire_lease("tuner", "a", 5.0)
        assert not b.acquire_lease("tuner", "b", 5.0)
        wall[0] += jump
        monotonic[0] += 4.0
        assert not b.acquire_lease("tuner", "b", 5.0), "the holder may live"
        monotonic[0] += 1.0
        assert b.acquire_lease("tuner", "b", 5.0), "the holder is dead"

    def test_a_config_is_written_under_a_lease_that_the_writer_has_and_else_not_at_all(
        self, open_it: OpenStore
    ) -> None:
        now = [100.0]
        store = open_it(monotonic=lambda: now[0])
        old = store.acquire_lease("tuner", "a", 5.0)
        [one] = store.apply_configs([change(TuningConfig(6), 0)], under=old)
        assert one.version == 1
        assert not store.acquire_lease("tuner", "b", 5.0)
        now[0] += 5.0
        new = store.acquire_lease("tuner", "b", 5.0)
        assert new is not None
        with pytest.raises(LeaseLost, match="a had the lease 'tuner' as number 1, but b has it as number 2"):
            store.apply_configs([change(TuningConfig(7), 1)], under=old)
        store.release_lease("tuner", "b")
        with pytest.raises(LeaseLost, match="but nobody has it"):
            store.apply_configs([change(TuningConfig(7), 1)], under=new)
        again = store.acquire_lease("tuner", "a", 5.0)
        assert again == Lease("tuner", "a", 3)
        with pytest.raises(LeaseLost, match="as number 1, but a has it as number 3"):
            store.apply_configs([change(TuningConfig(7), 1)], under=old)
        assert [v.version for v in store.config_history()] == [1]
        store.apply_configs([change(TuningConfig(7), 1)], under=again)

    def test_a_lease_given_back_is_free_and_only_its_holder_can_give_it(self, store: Store) -> None:
        assert store.acquire_lease("tuner", "a", 60.0)
        store.release_lease("tuner", "b")
        assert not store.acquire_lease("tuner", "b", 60.0)
        store.release_lease("tuner", "a")
        assert store.acquire_lease("tuner", "b", 60.0)

    def test_of_many_who_want_a_lease_one_gets_it(self, open_it: OpenStore) -> None:
        stores = [open_it() for _ in range(4)]
        start = threading.Barrier(4)

        def want(place: int) -> bool:
            start.wait()
            return stores[place].acquire_lease("tuner", f"holder {place}", 60.0) is not None

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(want, range(4))) == 1

    def test_a_closed_store_says_so_and_closes_again(self, store: Store) -> None:
        store.close()
        store.close()
        for call in (store.config_set, store.workers, store.change_token, lambda: apply(store, A, 0)):
            with pytest.raises(StoreError, match="closed"):
                call()

    def test_what_was_stored_is_there_for_the_next_handle(self, open_it: OpenStore) -> None:
        first = open_it()
        apply(first, B, 0)
        first.append_decision(decision("d", 1.0))
        second = open_it()
        assert second.config_set().default.config == B
        assert second.decisions() == [decision("d", 1.0)]

    def test_odd_names_and_texts_pass_unharmed(self, store: Store) -> None:
        odd = 'it\'s 100% "odd"? \N{SNOWMAN} ; DROP TABLE workers; --'
        apply(store, A, 0, scope=odd, reason=odd, actor=odd)
        store.annotate(Annotation(1.0, odd, odd))
        assert store.config_set().by_type[odd].reason == odd
        assert store.annotations()[0].text == odd

    def test_a_store_that_is_sound_has_nothing_unreadable(self, store: Store) -> None:
        apply(store, A, 0)
        store.append_decision(decision("d", 1.0))
        assert (store.config_set().head, len(store.decisions())) == (1, 1)
        assert store.health().unreadable == ()

    def test_events_come_back_oldest_first(self, store: Store) -> None:
        for at in (3.0, 1.0, 2.0):
            store.append_event(StoreEvent(at, "clock", f"at {at:g}"))
        assert [event.time for event in store.events()] == [1.0, 2.0, 3.0]
        assert store.events(since=2.0)[0] == StoreEvent(2.0, "clock", "at 2")

    def test_an_event_that_several_processes_notice_is_kept_once(self, open_it: OpenStore) -> None:
        first, second = open_it(), open_it()
        first.append_event(StoreEvent(1.0, "clock", "seen by one"), key="clock 1")
        second.append_event(StoreEvent(1.1, "clock", "seen by another"), key="clock 1")
        second.append_event(StoreEvent(1.2, "clock", "another step"), key="clock 2")
        assert [event.text for event in first.events()] == ["seen by one", "another step"]

    def test_events_are_forgotten_with_the_decisions(self, open_it: OpenStore) -> None:
        now = [1_700_000_000.0]
        store = open_it(clock=lambda: now[0])
        store.append_event(StoreEvent(now[0], "clock", "old"))
        now[0] += 400 * 86400
        store.append_event(StoreEvent(now[0], "clock", "new"))
        store.maintain()
        assert [event.text for event in store.events()] == ["new"]

    def test_a_store_has_an_id_that_all_its_handles_know(self, open_it: OpenStore) -> None:
        first, second = open_it(), open_it()
        apply(first, A, 0)
        assert first.health().store_id == second.health().store_id != ""
        assert (first.health().epoch, second.config_set().epoch) == (0, 0)
        assert first.health().config_watch
