"""What every store does alike: configs, decisions, workers, annotations, leases."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from athena_tuning.model import (
    Action,
    Annotation,
    Candidate,
    ConfigSet,
    ConfigVersion,
    Decision,
    Feedback,
    Mode,
    Reason,
    TuningConfig,
    WorkerStatus,
)
from athena_tuning.store import ConfigChange, ConfigConflict, Lease, LeaseLost, Store, StoreError
from tests.support.waiting import until

Opened = Callable[..., Store]
A, B = TuningConfig(max_concurrent=8), TuningConfig(max_concurrent=9, layer_timeouts={"graph": 2.5})


def change(config: TuningConfig, expected: int, **how: Any) -> ConfigChange:
    return ConfigChange(config, **{"expected_version": expected, "actor": "ann", "reason": "a test", **how})


def apply(store: Store, config: TuningConfig, expected: int, **how: Any) -> ConfigVersion:
    return store.apply_config(change(config, expected, **how))


def test_a_new_store_has_no_configs_but_the_defaults(store: Store) -> None:
    assert store.config_set() == ConfigSet()
    assert store.config_history() == []


def test_an_applied_config_is_in_force_with_all_that_was_said(store: Store) -> None:
    version = apply(store, B, 0, reason="faster graph", mode=Mode.PINNED, time=12.5)
    assert (version.version, version.parent, version.scope, version.config) == (1, 0, "all", B)
    assert (version.mode, version.author, version.reason, version.time) == (
        Mode.PINNED,
        "ann",
        "faster graph",
        12.5,
    )
    assert store.config_set().default == version
    assert store.config_set().head == 1


def test_config_history_decisions_and_workers_make_tables_of_pandas(store: Store) -> None:
    for made in (store.config_history(), store.decisions(), store.workers()):
        assert len(made.to_pandas()) == 0
    apply(store, A, 0)
    apply(store, B, 1)
    store.append_decision(Decision("d", 1.0, "rules", "all", Action.KEEP, A, A, "nothing better", 150))
    store.report_worker(WorkerStatus("w1", "host", 7, 1.0, 2.0))
    history = store.config_history().to_pandas()
    assert history["version"].tolist() == [2, 1]
    assert history["config_max_concurrent"].tolist() == [9, 8]
    assert store.config_history(limit=1).to_pandas()["version"].tolist() == [2]
    assert store.decisions().to_pandas()["action"].tolist() == ["keep"]
    assert store.workers().to_pandas()["worker_id"].tolist() == ["w1"]


def test_a_scope_keeps_its_mode_unless_told(store: Store) -> None:
    assert apply(store, A, 0).mode is Mode.ADVISE
    assert apply(store, A, 1, mode=Mode.AUTO).mode is Mode.AUTO
    assert apply(store, B, 2).mode is Mode.AUTO


def test_a_type_has_its_own_line_of_versions_in_one_count(store: Store) -> None:
    apply(store, A, 0)
    special = apply(store, B, 0, scope="temporal")
    assert (special.version, special.parent) == (2, 0)
    apply(store, B, 1)
    configs = store.config_set()
    assert configs.head == 3
    assert configs.default.version == 3
    assert dict(configs.by_type) == {"temporal": special}
    assert [v.version for v in store.config_history()] == [3, 2, 1]
    assert [v.version for v in store.config_history(scope="all", limit=1)] == [3]


def test_a_stale_writer_is_refused_and_sees_both(store: Store) -> None:
    current = apply(store, A, 0)
    with pytest.raises(ConfigConflict) as refused:
        apply(store, B, 0)
    assert refused.value.expected == 0
    assert refused.value.current == current
    assert refused.value.proposed == B
    assert store.config_set().head == 1


def test_a_writer_ahead_of_the_store_is_refused(store: Store) -> None:
    with pytest.raises(ConfigConflict) as refused:
        apply(store, A, 7)
    assert refused.value.current is None


def test_the_same_idempotency_key_is_one_version(store: Store) -> None:
    first = apply(store, A, 0, idempotency_key="k1")
    apply(store, B, 1)
    assert apply(store, A, 0, idempotency_key="k1") == first
    assert store.config_set().head == 2


def test_a_rollback_is_a_new_version_that_names_the_old_one(store: Store) -> None:
    apply(store, A, 0)
    apply(store, B, 1)
    back = apply(store, A, 2, restores=1)
    assert (back.version, back.parent, back.restores) == (3, 2, 1)
    assert store.config_history()[0] == back


def test_an_ended_exception_leaves_the_type_to_the_config_for_all_until_it_gets_another(
    open_it: Opened,
) -> None:
    store, other = open_it(), open_it()
    apply(store, A, 0)
    apply(store, B, 0, scope="meta", mode=Mode.PINNED)
    ended = apply(store, A, 2, scope="meta", restores=0)
    assert (ended.version, ended.parent, ended.ends_exception) == (3, 2, True)
    for handle in (store, other):
        assert "meta" not in handle.config_set().by_type
        assert handle.config_set().for_type("meta") == A
        assert handle.config_set().head == 3
    with pytest.raises(ConfigConflict) as refused:
        apply(store, B, 2, scope="meta")
    assert refused.value.current is None
    again = apply(other, B, 0, scope="meta")
    assert (again.version, again.parent, again.mode) == (4, 0, Mode.ADVISE)
    assert store.config_set().for_type("meta") == B
    assert [v.version for v in store.config_history(scope="meta")] == [4, 3, 2]


@pytest.mark.parametrize("scope", ["all", "meta"])
def test_what_is_no_exception_cannot_be_ended(store: Store, scope: str) -> None:
    apply(store, A, 0)
    with pytest.raises(ValueError, match="no exception to end"):
        apply(store, A, 1 if scope == "all" else 0, scope=scope, restores=0)
    assert store.config_set().head == 1


def test_the_order_of_versions_is_the_stores_whatever_the_writers_clocks_say(store: Store) -> None:
    apply(store, A, 0, time=2000.0)
    apply(store, B, 1, time=1000.0)
    assert [(v.version, v.time) for v in store.config_history()] == [(2, 1000.0), (1, 2000.0)]
    assert store.config_set().default.config == B


def test_nothing_that_never_was_can_be_restored(store: Store) -> None:
    with pytest.raises(ValueError, match="no version 1"):
        apply(store, A, 0, restores=1)
    assert store.config_set().head == 0


@pytest.mark.parametrize("missing", ["actor", "reason", "scope"])
def test_a_change_by_nobody_or_for_nothing_is_refused(store: Store, missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        apply(store, A, 0, **{missing: ""})


def test_several_scopes_are_put_in_force_together_and_numbered_on(open_it: Opened) -> None:
    store, other = open_it(), open_it()
    apply(store, A, 0)
    apply(store, A, 0, scope="meta")
    versions = store.apply_configs(
        [
            change(B, 1, mode=Mode.PINNED),
            change(B, 0, scope="temporal"),
            change(A, 2, scope="meta", restores=0),
        ]
    )
    assert [(v.version, v.parent, v.scope) for v in versions] == [
        (3, 1, "all"),
        (4, 0, "temporal"),
        (5, 2, "meta"),
    ]
    for handle in (store, other):
        configs = handle.config_set()
        assert (configs.head, configs.default) == (5, versions[0])
        assert dict(configs.by_type) == {"temporal": versions[1]}
        assert handle.config_history(limit=3) == versions[::-1]


def test_no_change_at_all_writes_nothing(store: Store) -> None:
    before = store.change_token()
    assert store.apply_configs([]) == []
    assert store.change_token() == before


def test_a_conflict_half_way_leaves_nothing_written_and_names_the_scope(open_it: Opened) -> None:
    store, other = open_it(), open_it()
    apply(store, A, 0)
    current = apply(store, A, 0, scope="temporal")
    token = store.change_token()
    with pytest.raises(ConfigConflict, match="version 2 by ann is in force for temporal") as refused:
        store.apply_configs(
            [change(B, 1), change(B, 0, scope="temporal"), change(B, 0, scope="meta", idempotency_key="k")]
        )
    assert (refused.value.scope, refused.value.current) == ("temporal", current)
    for handle in (store, other):
        assert handle.config_set().head == 2
        assert handle.config_set().default.config == A
        assert len(handle.config_history()) == 2
    assert store.change_token() == token
    assert apply(store, B, 0, scope="meta", idempotency_key="k").version == 3, "its key was not used up"


def test_a_change_that_cannot_be_made_takes_the_others_with_it(store: Store) -> None:
    with pytest.raises(ValueError, match="no exception to end"):
        store.apply_configs([change(A, 0), change(A, 0, scope="meta", restores=0)])
    assert store.config_set().head == 0


@pytest.mark.parametrize(
    ("how", "words"),
    [({}, "scope 'all'"), ({"scope": "meta", "idempotency_key": "k"}, "idempotency key 'k'")],
    ids=["scope", "key"],
)
def test_two_changes_at_once_of_one_scope_or_key_are_refused(
    store: Store, how: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        store.apply_configs([change(A, 0, idempotency_key="k"), change(B, 0, **how)])
    assert store.config_set().head == 0


def test_changes_of_several_scopes_that_are_sent_again_are_made_once(store: Store) -> None:
    both = [change(A, 0, idempotency_key="k1"), change(B, 0, scope="meta", idempotency_key="k2")]
    first = store.apply_configs(both)
    apply(store, B, 1)
    assert store.apply_configs(both) == first
    assert [v.version for v in store.config_history()] == [3, 2, 1]


def test_writers_of_several_scopes_at_once_leave_no_gap_and_readers_see_no_half(open_it: Opened) -> None:
    stores = [open_it() for _ in range(4)]
    scopes = ("all", "meta", "temporal")
    start, done = threading.Barrier(4), threading.Event()

    def write(place: int) -> list[int]:
        mine: list[int] = []
        start.wait()
        while len(mine) < 8 * len(scopes):
            configs = stores[place].config_set()
            at = [configs.in_scope(scope) for scope in scopes]
            config = TuningConfig(max_concurrent=1 + configs.head % 20)
            try:
                versions = stores[place].apply_configs(
                    [
                        change(config, found.version if found else 0, scope=scope, actor=f"w{place}")
                        for scope, found in zip(scopes, at, strict=True)
                    ]
                )
            except ConfigConflict:
                continue
            mine += [version.version for version in versions]
        return mine

    def read() -> None:
        start.wait()
        while True:
            last = done.is_set()
            configs = stores[3].config_set()
            values = {found.config for scope in scopes if (found := configs.in_scope(scope))}
            assert len(values) == 1, "some of them without the others"
            assert configs.head % len(scopes) == 0
            if last:
                return

    with ThreadPoolExecutor(4) as pool:
        reading = pool.submit(read)
        written = list(pool.map(write, range(3)))
        done.set()
        reading.result()
    numbers = list(range(1, 3 * 8 * len(scopes) + 1))
    assert sorted(number for mine in written for number in mine) == numbers
    history = stores[0].config_history()
    assert [version.version for version in reversed(history)] == numbers
    for at in range(0, len(history), len(scopes)):
        assert len({version.author for version in history[at : at + len(scopes)]}) == 1, "interleaved"


def test_of_two_operators_at_once_exactly_one_wins(open_it: Opened) -> None:
    stores = [open_it(), open_it()]
    start = threading.Barrier(2)

    def write(store: Store) -> str:
        start.wait()
        try:
            apply(store, A, 0)
        except ConfigConflict as exc:
            return f"refused by version {exc.current.version if exc.current else 0}"
        return "won"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(write, stores)) == ["refused by version 1", "won"]


def test_the_change_token_differs_after_a_change_and_only_then(store: Store) -> None:
    before = store.change_token()
    store.report_worker(WorkerStatus("w", "host", 1, 1.0, 2.0))
    assert store.change_token() == before
    apply(store, A, 0)
    after = store.change_token()
    assert after != before
    assert store.change_token() == after


def test_a_change_of_several_scopes_changes_the_token_once(open_it: Opened) -> None:
    writer, reader = open_it(), open_it()
    tokens = [reader.change_token()]
    versions = writer.apply_configs([change(A, 0), change(B, 0, scope="meta"), change(B, 0, scope="code")])
    until(lambda: tokens.append(reader.change_token()) or reader.config_set().head == versions[-1].version)
    until(lambda: reader.change_token() == writer.change_token())
    tokens += [reader.change_token(), reader.change_token()]
    assert len(set(tokens)) == 2, "a token between none and all of them"


def test_the_change_token_of_another_handle_changes_soon(open_it: Opened) -> None:
    writer, reader = open_it(), open_it()
    before = reader.change_token()
    apply(writer, A, 0)
    until(lambda: reader.change_token() != before)
    assert reader.config_set().head == 1


def decision(name: str, time: float, **more: Any) -> Decision:
    return Decision(name, time, "rules", "all", Action.CHANGE, A, B, "more at once", 120, **more)


def test_a_decision_comes_back_with_its_reasons(store: Store) -> None:
    full = decision(
        "d1",
        10.0,
        reasons=(Reason("max_concurrent", 9, "p99 is low", {"p99_ms": 80.5, "n": 120}, 120, "at most 20"),),
        candidates=(Candidate(B, -0.1, -0.2, 0.05),),
        predicted=-0.1,
    )
    store.append_decision(full)
    assert store.decisions() == [full]


def test_decisions_are_newest_first_and_a_verdict_replaces(store: Store) -> None:
    for at in (2.0, 3.0, 1.0):
        store.append_decision(decision(f"d{at:g}", at))
    store.append_decision(decision("d2", 2.0, observed=-0.05))
    assert [d.decision_id for d in store.decisions()] == ["d3", "d2", "d1"]
    assert store.decisions()[1].observed == -0.05
    assert [d.decision_id for d in store.decisions(limit=1)] == ["d3"]


def test_a_decision_may_hold_numpy_numbers_and_nan(store: Store) -> None:
    reason = Reason("timeout_seconds", np.float64(5.0), "few", {"n": np.int64(3), "p99_ms": float("nan")}, 3)
    store.append_decision(decision("d", 1.0, reasons=(reason,)))
    inputs = store.decisions()[0].reasons[0].inputs
    assert inputs["n"] == 3
    assert np.isnan(inputs["p99_ms"])


def test_a_worker_is_known_by_its_last_report_the_last_seen_first(store: Store) -> None:
    store.report_worker(WorkerStatus("a", "h1", 11, 1.0, 5.0))
    store.report_worker(WorkerStatus("b", "h2", 12, 2.0, 6.0, 3, 100, 1, 2))
    again = WorkerStatus("a", "h1", 11, 1.0, 7.0, 4, 50)
    store.report_worker(again)
    assert store.workers() == [again, WorkerStatus("b", "h2", 12, 2.0, 6.0, 3, 100, 1, 2)]


def test_feedback_comes_back_oldest_first_and_the_last_score_of_a_recall_holds(store: Store) -> None:
    store.append_feedback([Feedback("a-2", 0.5, 2.0), Feedback("a-1", 0.0, 1.0), Feedback("a-1", 1.0, 3.0)])
    store.append_feedback([Feedback("a-3", 0.25, 2.5), Feedback("a-2", 0.75, 4.0)])
    store.append_feedback([])
    assert store.feedback() == [
        Feedback("a-3", 0.25, 2.5),
        Feedback("a-1", 1.0, 3.0),
        Feedback("a-2", 0.75, 4.0),
    ]
    assert store.feedback(since=3.0) == store.feedback()[1:]


def test_feedback_is_forgotten_with_the_raw_records(store: Store) -> None:
    now = time.time()
    store.append_feedback([Feedback("old", 1.0, now - 400 * 86400), Feedback("new", 1.0, now)])
    store.maintain()
    assert [given.query_id for given in store.feedback()] == ["new"]


def test_annotations_come_back_oldest_first(store: Store) -> None:
    for at in (3.0, 1.0, 2.0):
        store.annotate(Annotation(at, f"at {at:g}", "ann"))
    assert [note.time for note in store.annotations()] == [1.0, 2.0, 3.0]
    assert store.annotations(since=2.0)[0] == Annotation(2.0, "at 2", "ann")


def test_messages_are_kept_by_topic_and_key_and_the_last_one_holds(open_it: Opened) -> None:
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


def test_messages_are_forgotten_with_the_workers(open_it: Opened) -> None:
    now = [1_700_000_000.0]
    store = open_it(clock=lambda: now[0])
    store.post("load", "old", "x")
    now[0] += 8 * 86400
    store.post("load", "new", "y")
    store.maintain()
    assert store.posted("load") == {"new": "y"}


def test_a_lease_has_one_holder_until_it_has_stood_unrenewed_for_its_time(open_it: Opened) -> None:
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


def test_a_lease_lasts_as_long_as_its_holder_said_whoever_asks(open_it: Opened) -> None:
    now = [100.0]
    store = open_it(monotonic=lambda: now[0])
    assert store.acquire_lease("tuner", "a", 60.0)
    assert not store.acquire_lease("tuner", "b", 1.0)
    now[0] += 59.0
    assert not store.acquire_lease("tuner", "b", 1.0)
    now[0] += 1.0
    assert store.acquire_lease("tuner", "b", 1.0)


@pytest.mark.parametrize("jump", [-3 * 86400.0, -3 * 3600.0, 3 * 3600.0, 400 * 86400.0])
def test_a_clock_that_jumps_neither_ends_a_lease_nor_keeps_it(open_it: Opened, jump: float) -> None:
    wall, monotonic = [1_750_000_000.0], [0.0]
    a, b = (open_it(clock=lambda: wall[0], monotonic=lambda: monotonic[0]) for _ in range(2))
    assert a.acquire_lease("tuner", "a", 5.0)
    assert not b.acquire_lease("tuner", "b", 5.0)
    wall[0] += jump
    monotonic[0] += 4.0
    assert not b.acquire_lease("tuner", "b", 5.0), "the holder may live"
    monotonic[0] += 1.0
    assert b.acquire_lease("tuner", "b", 5.0), "the holder is dead"


def test_a_config_is_written_under_a_lease_that_the_writer_has_and_else_not_at_all(open_it: Opened) -> None:
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


def test_a_lease_given_back_is_free_and_only_its_holder_can_give_it(store: Store) -> None:
    assert store.acquire_lease("tuner", "a", 60.0)
    store.release_lease("tuner", "b")
    assert not store.acquire_lease("tuner", "b", 60.0)
    store.release_lease("tuner", "a")
    assert store.acquire_lease("tuner", "b", 60.0)


def test_of_many_who_want_a_lease_one_gets_it(open_it: Opened) -> None:
    stores = [open_it() for _ in range(4)]
    start = threading.Barrier(4)

    def want(place: int) -> bool:
        start.wait()
        return stores[place].acquire_lease("tuner", f"holder {place}", 60.0) is not None

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(want, range(4))) == 1


def test_a_closed_store_says_so_and_closes_again(store: Store) -> None:
    store.close()
    store.close()
    for call in (store.config_set, store.workers, store.change_token, lambda: apply(store, A, 0)):
        with pytest.raises(StoreError, match="closed"):
            call()


def test_what_was_stored_is_there_for_the_next_handle(open_it: Opened) -> None:
    first = open_it()
    apply(first, B, 0)
    first.append_decision(decision("d", 1.0))
    second = open_it()
    assert second.config_set().default.config == B
    assert second.decisions() == [decision("d", 1.0)]


def test_odd_names_and_texts_pass_unharmed(store: Store) -> None:
    odd = 'it\'s 100% "odd"? \N{SNOWMAN} ; DROP TABLE workers; --'
    apply(store, A, 0, scope=odd, reason=odd, actor=odd)
    store.annotate(Annotation(1.0, odd, odd))
    assert store.config_set().by_type[odd].reason == odd
    assert store.annotations()[0].text == odd


def test_a_store_that_is_sound_has_nothing_unreadable(store: Store) -> None:
    apply(store, A, 0)
    store.append_decision(decision("d", 1.0))
    assert (store.config_set().head, len(store.decisions())) == (1, 1)
    assert store.health().unreadable == ()
