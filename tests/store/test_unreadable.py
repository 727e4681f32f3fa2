"""Rows that are damaged or of a newer program: passed over and shown, on every database; nothing stops."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from athena_tuning.model import Action, Decision, Mode, QueryMetrics, TuningConfig, TuningStrategy
from athena_tuning.store import ConfigChange, Store
from athena_tuning.store.sql_metrics import SqlStore

Opened = Callable[..., SqlStore]
Recalls = Callable[..., list[QueryMetrics]]
A, B = TuningConfig(max_concurrent=8), TuningConfig(max_concurrent=9)
START = 1_700_000_000.0


@pytest.fixture(params=["sqlite", "postgres"])
def open_it(request: pytest.FixtureRequest) -> Opened:
    """Opens handles to one and the same store on a database."""
    opened: Opened = request.getfixturevalue(request.param)
    return opened


def apply(store: Store, config: TuningConfig, expected: int, **how: Any) -> Any:
    return store.apply_config(
        ConfigChange(config, expected_version=expected, actor="ann", reason="a test", **how)
    )


def write(store: SqlStore, sql: str, *values: object) -> None:
    with store._database.write() as transaction:
        transaction.run(sql, values)


def rewrite_config(store: SqlStore, version: int, text: str) -> None:
    write(store, "UPDATE main.config_versions SET config = ? WHERE version = ?", text, version)


def kinds(store: Store) -> list[tuple[str, str]]:
    return [(row.kind, row.key) for row in store.health().unreadable]


@pytest.mark.parametrize("text", ['{"max_concurrent": 8, "time', "[]", "null", '"8"'])
def test_half_a_config_is_passed_over_and_the_one_before_it_is_in_force(open_it: Opened, text: str) -> None:
    writer = open_it()
    apply(writer, A, 0)
    apply(writer, B, 0, scope="meta")
    apply(writer, B, 1)
    apply(writer, B, 3)
    for version in (3, 4):
        rewrite_config(writer, version, text)
    store = open_it()
    configs = store.config_set()
    assert (configs.head, configs.default.version, configs.default.config) == (4, 1, A)
    assert configs.for_type("meta") == B
    assert [v.version for v in store.config_history()] == [2, 1]
    assert kinds(store) == [("config version", "4"), ("config version", "3")]
    again = apply(store, B, 1)
    assert (again.version, again.parent) == (5, 1)
    assert apply(store, A, 5, restores=1).version == 6
    assert [v.version for v in open_it().config_history()] == [6, 5, 2, 1]


def test_a_scope_of_which_nothing_can_be_read_has_no_config_of_its_own(open_it: Opened) -> None:
    store = open_it()
    apply(store, A, 0)
    apply(store, B, 0, scope="meta")
    rewrite_config(store, 2, "{")
    assert store.config_set().for_type("meta") == A
    assert store.config_set().head == 2
    assert apply(store, B, 0, scope="meta").version == 3
    assert store.config_set().for_type("meta") == B


def test_an_unreadable_row_is_logged_once(open_it: Opened, caplog: pytest.LogCaptureFixture) -> None:
    store = open_it()
    apply(store, A, 0)
    rewrite_config(store, 1, "{")
    with caplog.at_level(logging.WARNING, "athena_tuning.store"):
        for _ in range(3):
            store.config_set()
            store.config_history()
    [said] = [record.getMessage() for record in caplog.records]
    assert "config version 1 cannot be read and is passed over" in said


def test_fields_of_a_newer_program_are_shown_and_the_rest_is_obeyed(
    open_it: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_it()
    apply(store, A, 0, mode=Mode.PINNED)
    newer = {**B.to_dict(), "hedge_after_ms": 40, "strategy": "carbon", "max_concurrent": 5000}
    rewrite_config(store, 1, json.dumps(newer))
    with caplog.at_level(logging.WARNING, "athena_tuning.store"):
        version = store.config_set().default
        store.config_set()
    left = {"hedge_after_ms": 40, "strategy": "carbon", "max_concurrent": 5000}
    assert version.unknown_fields == left
    assert version.to_dict()["unknown_fields"] == left
    assert version.config == TuningConfig()
    assert version.mode is Mode.PINNED
    assert store.config_history() == [version]
    assert store.health().unreadable == ()
    assert len(caplog.records) == 1
    assert "hedge_after_ms" in caplog.records[0].getMessage()


def test_a_mode_of_a_newer_program_leaves_it_to_people(open_it: Opened) -> None:
    store = open_it()
    apply(store, A, 0)
    write(store, "UPDATE main.config_versions SET mode = 'shadow'")
    version = store.config_set().default
    assert (version.mode, version.unknown_fields) == (Mode.ADVISE, {"mode": "shadow"})


def test_an_older_program_keeps_a_newer_ones_fields_and_sets_what_it_knows(open_it: Opened) -> None:
    store = open_it()
    apply(store, A, 0)
    rewrite_config(store, 1, json.dumps({**A.to_dict(), "hedge_after_ms": 40, "strategy": "carbon"}))
    changed = apply(store, TuningConfig(max_concurrent=11, strategy=TuningStrategy.COST), 1)
    assert changed.unknown_fields == {"hedge_after_ms": 40}
    rewrite_config(store, 2, json.dumps({**B.to_dict(), "hedge_after_ms": 90}))
    back = apply(store, A, 2, restores=1)
    assert back.unknown_fields == {"hedge_after_ms": 40}, "a rollback brings back all of a version"
    [(text,)] = store._database.read("SELECT config FROM main.config_versions WHERE version = 3")
    assert json.loads(text) == {**A.to_dict(), "hedge_after_ms": 40}


def test_a_decision_that_cannot_be_read_is_passed_over(open_it: Opened) -> None:
    store = open_it()
    for name, at in (("d1", 1.0), ("d2", 2.0), ("d3", 3.0), ("d4", 4.0)):
        store.append_decision(Decision(name, at, "rules", "all", Action.CHANGE, A, B, "more", 120))
    write(store, "UPDATE main.decisions SET record = substr(record, 1, 40) WHERE decision_id = 'd2'")
    [(whole,)] = store._database.read("SELECT record FROM main.decisions WHERE decision_id = 'd3'")
    newer = {**json.loads(whole), "carbon": 1.5, "after": {**B.to_dict(), "hedge_after_ms": 40}}
    write(store, "UPDATE main.decisions SET record = ? WHERE decision_id = 'd3'", json.dumps(newer))
    write(
        store,
        "UPDATE main.decisions SET record = ? WHERE decision_id = 'd4'",
        json.dumps({**json.loads(whole), "action": "isolate"}),
    )
    assert [(d.decision_id, d.after) for d in store.decisions()] == [("d3", B), ("d1", B)]
    assert kinds(store) == [("decision", "d4"), ("decision", "d2")]


@pytest.mark.parametrize("rolled_up", [False, True], ids=["fresh", "maintained"])
@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE main.segments SET data = substr(data, 1, 40) WHERE sequence = 2",
        "UPDATE main.segments SET records = 11 WHERE sequence = 2",
    ],
    ids=["cut", "another length"],
)
def test_a_damaged_batch_is_passed_over_and_everything_after_it_is_read(
    open_it: Opened, recalls: Recalls, damage: str, rolled_up: bool
) -> None:
    store = open_it(clock=lambda: START)
    for sequence in (1, 2, 3):
        store.append_metrics("w", sequence, recalls(10, seed=sequence))
    write(store, damage)
    if rolled_up:
        store.maintain()
    tail = store.tail_metrics()
    assert [m.query_id for m in tail.records] == [
        m.query_id for seed in (1, 3) for m in recalls(10, seed=seed)
    ]
    assert len(store.tail_metrics(tail.cursor).records) == 0
    assert store.rollups(START - 60, START + 60, layer="").total().count == 20
    assert kinds(store) == [("batch", "2 of w")]
    store.append_metrics("w", 4, recalls(10, seed=4))
    assert len(store.tail_metrics(tail.cursor).records) == 10


def test_when_every_batch_is_damaged_the_rollups_are_empty(open_it: Opened, recalls: Recalls) -> None:
    store = open_it(clock=lambda: START)
    store.append_metrics("w", 1, recalls(10))
    write(store, "UPDATE main.segments SET data = substr(data, 1, 40)")
    assert store.rollups(START - 60, START + 60, layer="").total().count == 0
    store.maintain()
    assert store.rollups(START - 60, START + 60, layer="").total().count == 0


def test_a_damaged_rollup_is_passed_over_and_new_ones_are_added(open_it: Opened, recalls: Recalls) -> None:
    store = open_it(clock=lambda: START)
    store.append_metrics("w", 1, recalls(10))
    store.maintain()
    whole = store.rollups(START - 60, START + 60, layer="").total()
    write(
        store,
        "UPDATE main.rollups SET histogram = substr(histogram, 1, 3) WHERE seconds = 60 AND layer = ''"
        " AND query_type = (SELECT min(query_type) FROM main.rollups WHERE layer = '' AND known > 0)",
    )
    left = store.rollups(START - 60, START + 60, layer="").total()
    assert 0 < left.count < whole.count
    assert {kind for kind, _ in kinds(store)} == {"roll-up"}
    store.append_metrics("w", 2, recalls(10, seed=2))
    store.maintain()
    assert store.rollups(START - 60, START + 60, layer="").total().count > left.count
