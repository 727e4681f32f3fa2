"""Managers under load on a store to which things happen: no recall fails, nothing acknowledged is lost."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from athena_tuning.model import TuningConfig
from athena_tuning.store import ConfigChange, ConfigConflict, Store
from athena_tuning.testing.waiting import until
from tests.soak.databases import Databases, PostgresDatabases, SqliteFiles, filled, opened
from tests.soak.fleet import TAKEOVER_SECONDS, Row, fleet

pytestmark = pytest.mark.soak

Rows = Callable[[str, str], Row]
DAY = 86_400.0


def holds(row: Row) -> None:
    """What holds whatever is done."""
    assert row.failed == 0, row.why
    assert row.recalls > 100
    assert row.acknowledged > 100
    assert (row.lost, row.exceeded, row.slots_lost) == (0, 0, 0)
    assert (row.takeover_seconds or 0.0) <= TAKEOVER_SECONDS


def apply(store: Store, limit: int) -> None:
    """Put a limit in force, whoever writes at the same time."""
    while True:
        change = ConfigChange(
            TuningConfig(limit, enable_cache=limit % 2 > 0),
            expected_version=store.config_set().default.version,
            actor="soak",
            reason="another limit",
        )
        try:
            store.apply_config(change)
        except ConfigConflict:
            continue
        return


def apply_hundred(store: Store, seed: int) -> None:
    """Put a hundred limits in force, one after another."""
    for turn in range(100):
        apply(store, 2 + (seed + turn) % 7)


def test_managers_that_are_killed(databases: Databases, tmp_path: Path, new_row: Rows) -> None:
    url, rng = databases.new_url(), random.Random(1)
    with fleet(url, tmp_path, new_row("kill -9", databases.kind)) as running:
        for turn in range(6):
            running.go_on()
            leader = running.someone_leads()
            victim = leader if turn % 3 == 0 else rng.choice(sorted(running.processes))
            running.kill(victim)
            if victim == leader:
                running.someone_leads(other_than=victim)
            running.start(1)
        with opened(url) as store:
            holds(running.end_all(store))


def test_a_leader_that_is_suspended(databases: Databases, tmp_path: Path, new_row: Rows) -> None:
    url = databases.new_url()
    with fleet(url, tmp_path, new_row("SIGSTOP of the leader", databases.kind)) as running:
        with running.suspended_leader(databases.can_be_written) as leader:
            second = running.someone_leads(other_than=leader)
        running.go_on()
        assert running.someone_leads() == second, "who was deposed does not lead again"
        with opened(url) as store:
            holds(running.end_all(store))


def test_a_store_that_stands_still(databases: Databases, tmp_path: Path, new_row: Rows) -> None:
    url = databases.new_url()
    with fleet(url, tmp_path, new_row("the store stands still for 8 s", databases.kind)) as running:
        running.someone_leads()
        with databases.standing_still():
            began = time.monotonic()
            running.go_on(200)
            known = running.acknowledged()
            took = running.end(min(running.processes))
            assert took < 6.0, "closing keeps to its 5 s, whatever the store does"
            time.sleep(max(0.0, began + 8.0 - time.monotonic()))
            assert running.acknowledged() == known, "nothing can have been stored"
        running.go_on()
        running.someone_leads()
        with opened(url) as store:
            holds(running.end_all(store))


def test_a_disk_that_is_full(databases: Databases, tmp_path: Path, new_row: Rows) -> None:
    url = databases.new_url()
    with fleet(url, tmp_path, new_row("the disk is full for 5 s", databases.kind)) as running:
        with filled(databases.disk):
            running.go_on(200)
            time.sleep(5.0)
            assert all(running.report(name).troubles for name in running.processes)
        if isinstance(databases, PostgresDatabases):
            databases.start()  # it may have given up
        running.go_on()
        known = len(running.acknowledged())
        until(lambda: len(running.acknowledged()) > known, 60.0)
        with opened(url) as store:
            holds(running.end_all(store))


def test_clocks_that_step(databases: Databases, tmp_path: Path, new_row: Rows) -> None:
    url = databases.new_url()
    with fleet(url, tmp_path, new_row("clocks step by days", databases.kind)) as running:
        running.someone_leads()
        for wrong in (2 * DAY, 0.0, -2 * DAY, 0.0):
            leader = running.someone_leads()
            running.set_clock(leader, wrong)
            running.go_on()
            running.kill(leader)
            running.someone_leads(other_than=leader)
            running.start(1)
        for name in list(running.processes):
            running.set_clock(name, -DAY / 8)
        running.go_on(200)
        with opened(url) as store:
            holds(running.end_all(store))
    assert running.row.refused < 0.2 * running.row.recalls


def test_processes_that_fork(databases: Databases, tmp_path: Path, new_row: Rows) -> None:
    url = databases.new_url()
    with fleet(url, tmp_path, new_row("forks under load", databases.kind)) as running:
        for _ in range(4):
            goal = {name: running.report(name).forks + 1 for name in running.processes}
            for name in running.processes:
                running.tell(name, signal.SIGUSR2)
            until(lambda goal=goal: all(running.report(name).forks >= n for name, n in goal.items()), 60.0)
        running.go_on()
        with opened(url) as store:
            holds(running.end_all(store))


def test_signals_that_raise_in_recalls(databases: Databases, tmp_path: Path, new_row: Rows) -> None:
    url, rng = databases.new_url(), random.Random(2)
    with fleet(url, tmp_path, new_row("signals raise in recalls", databases.kind)) as running:
        for _ in range(600):
            running.tell(rng.choice(sorted(running.processes)), signal.SIGUSR1)
            time.sleep(0.01)
        running.go_on()
        assert sum(running.report(name).raised for name in running.processes) > 50
        with opened(url) as store:
            holds(running.end_all(store))


def test_configs_of_many_writers(databases: Databases, tmp_path: Path, new_row: Rows) -> None:
    url = databases.new_url()
    with (
        fleet(url, tmp_path, new_row("8 writers of 100 configs each", databases.kind)) as running,
        opened(url) as store,
    ):
        threads = [Thread(target=apply_hundred, args=(store, seed)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        head = store.config_set().head
        assert head >= 800
        versions = [version.version for version in store.config_history(limit=10_000)]
        assert versions == list(range(head, 0, -1)), "without a gap"
        limit = store.config_set().default.config.max_concurrent
        running.obey(limit)
        holds(running.end_all(store))


def test_a_store_that_is_deleted(databases: Databases, tmp_path: Path, new_row: Rows) -> None:
    url = databases.new_url()
    with fleet(url, tmp_path, new_row("the store is deleted", databases.kind)) as running:
        with opened(url) as store:
            apply(store, 7)
        running.obey(7)
        running.go_on()
        databases.delete()
        running.take_away()
        running.go_on(200)
        known = len(running.acknowledged())
        until(lambda: len(running.acknowledged()) > known + 50)
        with opened(url) as store:
            until(lambda: store.config_set().default.config.max_concurrent == 7)  # it is carried over
            assert {event.kind for event in store.events()} <= {"deleted", "restored"}
            assert store.events()
            apply(store, 4)
            running.obey(4)
            holds(running.end_all(store))


def test_a_file_that_is_replaced_by_a_backup(
    sqlite_files: SqliteFiles, tmp_path: Path, new_row: Rows
) -> None:
    url = sqlite_files.new_url()
    with fleet(url, tmp_path, new_row("the file is replaced by a backup", "SQLite")) as running:
        with opened(url) as store:
            apply(store, 3)
            running.obey(3)
            running.go_on()
            kept = running.acknowledged()
            backup = sqlite_files.back_up()
            apply(store, 11)
            running.obey(11)
            running.go_on()
        backup.replace(sqlite_files.path)
        running.take_away(kept)
        running.obey(3)
        running.go_on(200)
        with opened(url) as store:
            assert "replaced" in [event.kind for event in store.events()]
            holds(running.end_all(store))


def test_a_file_that_is_damaged(sqlite_files: SqliteFiles, tmp_path: Path, new_row: Rows) -> None:
    url = sqlite_files.new_url()
    with fleet(url, tmp_path, new_row("the file is damaged, then deleted", "SQLite")) as running:
        running.go_on()
        sqlite_files.damage()
        running.go_on(200)
        time.sleep(3.0)
        sqlite_files.delete()
        running.take_away()
        running.go_on()
        known = len(running.acknowledged())
        until(lambda: len(running.acknowledged()) > known + 50)
        with opened(url) as store:
            holds(running.end_all(store))


def test_a_server_that_is_killed_and_one_without_connections(
    postgres_databases: PostgresDatabases, tmp_path: Path, new_row: Rows
) -> None:
    url = postgres_databases.new_url()
    with fleet(
        url,
        tmp_path,
        new_row("the server is killed twice, then has no connection left", postgres_databases.kind),
    ) as running:
        for _ in range(2):
            postgres_databases.kill()
            running.go_on(100)
            postgres_databases.start()
            running.go_on()
        with postgres_databases.no_connections_left() as taken:
            assert taken > 10
            running.go_on(100)
            time.sleep(3.0)
        running.go_on()
        with opened(url) as store:
            known = len(running.acknowledged())
            until(lambda: len(running.acknowledged()) > known, 60.0)
            holds(running.end_all(store))
