"""What every store does with configs: versions, conflicts, several scopes at once, the change token."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from athena_tuning.model import (
    EXPERIMENT,
    Action,
    ConfigSet,
    ConfigVersion,
    Decision,
    Experiment,
    Mode,
    TuningConfig,
    WorkerStatus,
)
from athena_tuning.store import ConfigChange, ConfigConflict, Store
from athena_tuning.testing.waiting import until

OpenStore = Callable[..., Store]
"""Opens a handle to the store under test; takes ``clock``, ``monotonic``, ``text`` and ``retention``."""


A, B = TuningConfig(max_concurrent=8), TuningConfig(max_concurrent=9, layer_timeouts={"graph": 2.5})


def change(config: TuningConfig, expected: int, **how: Any) -> ConfigChange:
    """Return a change by somebody, for a test."""
    return ConfigChange(config, **{"expected_version": expected, "actor": "ann", "reason": "a test", **how})


def apply(store: Store, config: TuningConfig, expected: int, **how: Any) -> ConfigVersion:
    """Put a config in force."""
    return store.apply_config(change(config, expected, **how))


class ConfigsOfStore:
    """Configs: versions, conflicts, several scopes at once, the change token."""

    def test_a_new_store_has_no_configs_but_the_defaults(self, store: Store) -> None:
        assert store.config_set() == ConfigSet()
        assert store.config_history() == []

    def test_an_applied_config_is_in_force_with_all_that_was_said(self, store: Store) -> None:
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

    def test_a_config_that_is_only_tried_is_kept_with_its_plan_and_is_not_in_force(
        self, store: Store
    ) -> None:
        base = apply(store, A, 0)
        plan = Experiment("all", base.version, 100.0, seed=9)
        tried = apply(store, B, 0, scope=EXPERIMENT, experiment=plan)
        configs = store.config_set()
        assert configs.default == base
        assert dict(configs.by_type) == {}
        assert configs.on_trial == tried
        assert configs.in_turn().default.config == B
        assert store.config_history()[0].experiment == plan
        with pytest.raises(ConfigConflict):
            apply(store, B, 0, scope=EXPERIMENT, experiment=plan)
        apply(store, B, tried.version, scope=EXPERIMENT, restores=0)
        assert store.config_set().on_trial is None
        apply(store, B, 0, scope=EXPERIMENT, experiment=plan)
        apply(store, B, base.version)
        assert store.config_set().on_trial is None

    def test_config_history_decisions_and_workers_make_tables_of_pandas(self, store: Store) -> None:
        pytest.importorskip("pandas")
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

    def test_a_scope_keeps_its_mode_unless_told(self, store: Store) -> None:
        assert apply(store, A, 0).mode is Mode.ADVISE
        assert apply(store, A, 1, mode=Mode.AUTO).mode is Mode.AUTO
        assert apply(store, B, 2).mode is Mode.AUTO

    def test_a_type_has_its_own_line_of_versions_in_one_count(self, store: Store) -> None:
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

    def test_a_stale_writer_is_refused_and_sees_both(self, store: Store) -> None:
        current = apply(store, A, 0)
        with pytest.raises(ConfigConflict) as refused:
            apply(store, B, 0)
        assert refused.value.expected == 0
        assert refused.value.current == current
        assert refused.value.proposed == B
        assert store.config_set().head == 1

    def test_a_writer_ahead_of_the_store_is_refused(self, store: Store) -> None:
        with pytest.raises(ConfigConflict) as refused:
            apply(store, A, 7)
        assert refused.value.current is None

    def test_the_same_idempotency_key_is_one_version(self, store: Store) -> None:
        first = apply(store, A, 0, idempotency_key="k1")
        apply(store, B, 1)
        assert apply(store, A, 0, idempotency_key="k1") == first
        assert store.config_set().head == 2

    def test_a_rollback_is_a_new_version_that_names_the_old_one(self, store: Store) -> None:
        apply(store, A, 0)
        apply(store, B, 1)
        back = apply(store, A, 2, restores=1)
        assert (back.version, back.parent, back.restores) == (3, 2, 1)
        assert store.config_history()[0] == back

    def test_an_ended_exception_leaves_the_type_to_the_config_for_all_until_it_gets_another(
        self,
        open_it: OpenStore,
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
    def test_what_is_no_exception_cannot_be_ended(self, store: Store, scope: str) -> None:
        apply(store, A, 0)
        with pytest.raises(ValueError, match="no exception to end"):
            apply(store, A, 1 if scope == "all" else 0, scope=scope, restores=0)
        assert store.config_set().head == 1

    def test_the_order_of_versions_is_the_stores_whatever_the_writers_clocks_say(self, store: Store) -> None:
        apply(store, A, 0, time=2000.0)
        apply(store, B, 1, time=1000.0)
        assert [(v.version, v.time) for v in store.config_history()] == [(2, 1000.0), (1, 2000.0)]
        assert store.config_set().default.config == B

    def test_nothing_that_never_was_can_be_restored(self, store: Store) -> None:
        with pytest.raises(ValueError, match="no version 1"):
            apply(store, A, 0, restores=1)
        assert store.config_set().head == 0

    @pytest.mark.parametrize("missing", ["actor", "reason", "scope"])
    def test_a_change_by_nobody_or_for_nothing_is_refused(self, store: Store, missing: str) -> None:
        with pytest.raises(ValueError, match=missing):
            apply(store, A, 0, **{missing: ""})

    def test_several_scopes_are_put_in_force_together_and_numbered_on(self, open_it: OpenStore) -> None:
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

    def test_no_change_at_all_writes_nothing(self, store: Store) -> None:
        before = store.change_token()
        assert store.apply_configs([]) == []
        assert store.change_token() == before

    def test_a_conflict_half_way_leaves_nothing_written_and_names_the_scope(self, open_it: OpenStore) -> None:
        store, other = open_it(), open_it()
        apply(store, A, 0)
        current = apply(store, A, 0, scope="temporal")
        token = store.change_token()
        with pytest.raises(ConfigConflict, match="version 2 by ann is in force for temporal") as refused:
            store.apply_configs(
                [
                    change(B, 1),
                    change(B, 0, scope="temporal"),
                    change(B, 0, scope="meta", idempotency_key="k"),
                ]
            )
        assert (refused.value.scope, refused.value.current) == ("temporal", current)
        for handle in (store, other):
            assert handle.config_set().head == 2
            assert handle.config_set().default.config == A
            assert len(handle.config_history()) == 2
        assert store.change_token() == token
        assert apply(store, B, 0, scope="meta", idempotency_key="k").version == 3, "its key was not used up"

    def test_a_change_that_cannot_be_made_takes_the_others_with_it(self, store: Store) -> None:
        with pytest.raises(ValueError, match="no exception to end"):
            store.apply_configs([change(A, 0), change(A, 0, scope="meta", restores=0)])
        assert store.config_set().head == 0

    @pytest.mark.parametrize(
        ("how", "words"),
        [({}, "scope 'all'"), ({"scope": "meta", "idempotency_key": "k"}, "idempotency key 'k'")],
        ids=["scope", "key"],
    )
    def test_two_changes_at_once_of_one_scope_or_key_are_refused(
        self, store: Store, how: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(ValueError, match=words):
            store.apply_configs([change(A, 0, idempotency_key="k"), change(B, 0, **how)])
        assert store.config_set().head == 0

    def test_changes_of_several_scopes_that_are_sent_again_are_made_once(self, store: Store) -> None:
        both = [change(A, 0, idempotency_key="k1"), change(B, 0, scope="meta", idempotency_key="k2")]
        first = store.apply_configs(both)
        apply(store, B, 1)
        assert store.apply_configs(both) == first
        assert [v.version for v in store.config_history()] == [3, 2, 1]

    def test_writers_of_several_scopes_at_once_leave_no_gap_and_readers_see_no_half(
        self, open_it: OpenStore
    ) -> None:
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

    def test_of_two_operators_at_once_exactly_one_wins(self, open_it: OpenStore) -> None:
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

    def test_the_change_token_differs_after_a_change_and_only_then(self, store: Store) -> None:
        before = store.change_token()
        store.report_worker(WorkerStatus("w", "host", 1, 1.0, 2.0))
        assert store.change_token() == before
        apply(store, A, 0)
        after = store.change_token()
        assert after != before
        assert store.change_token() == after

    def test_a_change_of_several_scopes_changes_the_token_once(self, open_it: OpenStore) -> None:
        writer, reader = open_it(), open_it()
        tokens = [reader.change_token()]
        versions = writer.apply_configs(
            [change(A, 0), change(B, 0, scope="meta"), change(B, 0, scope="code")]
        )

        def sees_all() -> bool:
            tokens.append(reader.change_token())
            return reader.config_set().head == versions[-1].version

        until(sees_all)
        until(lambda: reader.change_token() == writer.change_token())
        tokens += [reader.change_token(), reader.change_token()]
        assert len(set(tokens)) == 2, "a token between none and all of them"

    def test_the_change_token_of_another_handle_changes_soon(self, open_it: OpenStore) -> None:
        writer, reader = open_it(), open_it()
        before = reader.change_token()
        apply(writer, A, 0)
        until(lambda: reader.change_token() != before)
        assert reader.config_set().head == 1
