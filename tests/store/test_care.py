"""Check, backup, restore, repair and compact of a store, while others use it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from athena_tuning.model import Annotation, QueryMetrics, TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.store import ConfigChange, StoreError, care
from athena_tuning.store.retention import DAY
from athena_tuning.store.sqlite import SqliteStore
from athena_tuning.testing.waiting import until

Recalls = Callable[..., list[QueryMetrics]]
NOW = 1_700_000_000.0


def silent(done: int, total: int) -> None:
    """Tell nobody."""


def change(limit: int, expected: int) -> ConfigChange:
    config = TuningConfig(max_concurrent=limit, enable_cache=False)
    return ConfigChange(config, expected_version=expected, actor="ann", reason="r")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def store(path: Path, recalls: Recalls) -> Iterator[SqliteStore]:
    with SqliteStore(path, clock=lambda: NOW) as opened:
        for number in range(20):
            opened.append_metrics("w", number, recalls(200, seed=number, start=NOW - DAY))
        opened.apply_config(change(3, 0))
        opened.maintain()
        yield opened


def spoil(path: Path, table: str) -> None:
    """Overwrite a page in the middle of a table, as a bad disk does."""
    connection = apsw.Connection(str(path))
    rows = connection.execute(
        "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path", (table,)
    )
    pages = [page for (page,) in rows]
    connection.pragma("journal_mode", "delete")
    connection.close()
    assert len(pages) > 2
    with path.open("r+b") as file:
        file.seek((pages[len(pages) // 2] - 1) * 4096)
        file.write(b"\xa5" * 4096)


def test_check_counts_what_can_be_read_and_names_what_cannot(url: str, store: SqliteStore) -> None:
    report = care.check(url, silent)
    assert (report.records, report.config_versions, report.damage, report.unreadable) == (4000, 1, (), ())
    assert report.store_id == store.health().store_id
    assert report.rollups > 100
    assert report.bytes is not None
    assert report.bytes > 100_000
    with store._database.write() as transaction:
        transaction.run("UPDATE main.segments SET data = ? WHERE sequence = 3", (b"cut",))
    report = care.check(url, silent)
    assert (report.records, [row.key for row in report.unreadable]) == (3800, ["3 of w"])


def test_a_backup_is_one_moment_of_a_store_that_is_written_meanwhile(
    url: str, store: SqliteStore, recalls: Recalls, tmp_path: Path
) -> None:
    ends = threading.Event()

    def write() -> None:
        number = 0
        while not ends.is_set():
            store.append_metrics("busy", number, recalls(20, seed=number))
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    shares: list[tuple[int, int]] = []
    try:
        for number in range(5):
            care.backup(url, tmp_path / f"{number}.db", lambda done, total: shares.append((done, total)))
    finally:
        ends.set()
        writer.join()
    for number in range(5):
        assert care.check(f"sqlite:///{tmp_path / f'{number}.db'}", silent).damage == ()
        with SqliteStore(tmp_path / f"{number}.db") as copy:
            assert copy.config_set().default.config.max_concurrent == 3
    assert shares[-1][0] == shares[-1][1] > 50
    assert oct((tmp_path / "0.db").stat().st_mode & 0o777) == "0o600"
    assert not list(tmp_path.glob("*.part*"))


def test_a_backup_never_takes_the_place_of_a_file(url: str, store: SqliteStore, tmp_path: Path) -> None:
    there = tmp_path / "there.db"
    there.write_text("precious")
    with pytest.raises(StoreError, match="there already"):
        care.backup(url, there, silent)
    assert there.read_text() == "precious"


def test_managers_obey_a_restored_backup_and_store_into_it(
    url: str, store: SqliteStore, tmp_path: Path
) -> None:
    with MemoryManager(":memory:", store=store, worker_id="m") as manager:
        manager.remember({"id": "s1", "layer": "semantic", "text": "Billing runs on two nodes"})
        until(lambda: manager.limit == 3)
        care.backup(url, tmp_path / "backup.db", silent)
        store.apply_config(change(11, 1))
        store.annotate(Annotation(1.0, "after the backup", "ann"))
        until(lambda: manager.limit == 11)
        care.restore(url, tmp_path / "backup.db", "ann", silent)
        assert until(lambda: manager.limit == 3) < 2.0
        asked = {manager.recall("billing")["_query_id"] for _ in range(3)}
        until(lambda: asked <= {record.query_id for record in store.tail_metrics(limit=10**6).records})
    assert store.annotations() == []
    assert store.health().epoch > 0
    assert "ann restored it from backup.db" in [event.text for event in store.events()]
    assert care.check(url, silent).damage == ()


def test_a_text_that_a_restore_took_away_is_stored_again(
    url: str, store: SqliteStore, recalls: Recalls, tmp_path: Path
) -> None:
    care.backup(url, tmp_path / "backup.db", silent)
    [late] = recalls(1, seed=99, start=NOW)
    late = late._replace(query_text="a question of after the backup")
    store.append_metrics("w", 100, [late])
    care.restore(url, tmp_path / "backup.db", "ann", silent)
    store.change_token()
    store.append_metrics("w", 101, [late])
    [record] = [r for r in store.tail_metrics(limit=10**6).records if r.query_id == late.query_id]
    assert record.query_text == late.query_text


@pytest.mark.parametrize("table", ["segments", "rollups", "config_versions"])
def test_repair_saves_all_but_what_is_damaged_and_keeps_the_damaged_file(
    path: Path, url: str, store: SqliteStore, table: str
) -> None:
    for number in range(1, 60):
        store.apply_config(change(3 + number % 40, number))
    store.close()
    before = care.check(url, silent)
    spoil(path, table)
    report = care.check(url, silent)
    assert report.damage
    assert None in (report.records, report.rollups, report.config_versions)
    lost = care.repair(url, "ann", silent)
    assert set(lost) == {table}
    after = care.check(url, silent)
    assert (after.damage, after.unreadable, after.store_id) == ((), (), before.store_id)
    assert after.epoch == before.epoch + 1
    shares = {
        "segments": (after.records or 0) / (before.records or 1),
        "rollups": (after.rollups or 0) / (before.rollups or 1),
        "config_versions": (after.config_versions or 0) / (before.config_versions or 1),
    }
    assert 0.5 < shares[table] < 1, shares
    assert [share for name, share in shares.items() if name != table] == [1, 1]
    assert len(list(path.parent.glob("store.db.damaged-*[0-9]"))) == 1
    with SqliteStore(path) as again:
        again.annotate(Annotation(1.0, "it goes on", "ann"))


def test_a_restore_takes_the_place_of_a_file_that_cannot_be_opened_and_keeps_it(
    path: Path, url: str, store: SqliteStore, tmp_path: Path
) -> None:
    care.backup(url, tmp_path / "backup.db", silent)
    store.close()
    path.write_bytes(b"no database " * 1000)
    with pytest.raises(StoreError, match="this is no database"):
        care.check(url, silent)
    care.restore(url, tmp_path / "backup.db", "ann", silent)
    assert care.check(url, silent).records == 4000
    assert next(path.parent.glob("store.db.damaged-*")).read_bytes().startswith(b"no database")


def test_what_is_no_sound_backup_is_not_restored(url: str, store: SqliteStore, tmp_path: Path) -> None:
    other, damaged = tmp_path / "other.db", tmp_path / "damaged.db"
    connection = apsw.Connection(str(other))
    connection.execute("CREATE TABLE theirs (id)")
    connection.close()
    care.backup(url, damaged, silent)
    spoil(damaged, "rollups")
    for file, words in (
        (other, "this is no store"),
        (damaged, "the copy is damaged"),
        (tmp_path / "none.db", "no such file"),
    ):
        with pytest.raises(StoreError, match=words):
            care.restore(url, file, "ann", silent)
    assert care.check(url, silent).records == 4000
    assert store.health().epoch == 0
    assert not list(tmp_path.glob("*.restoring*"))


def test_compact_lets_an_older_file_shrink(path: Path, url: str, store: SqliteStore) -> None:
    store.close()
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "delete")
    connection.pragma("auto_vacuum", 0)
    connection.execute("VACUUM")
    connection.close()
    done = care.compact(url, silent)  # by the clock of today all of it is old
    assert done.after is not None
    assert done.before is not None
    assert done.after < done.before
    again = apsw.Connection(str(path))
    assert (again.pragma("auto_vacuum"), again.pragma("integrity_check")) == (2, "ok")
    assert again.pragma("freelist_count") == 0
    again.close()


def test_on_postgresql_the_databases_own_tools_are_named(postgres_url: str) -> None:
    with pytest.raises(StoreError, match="pg_dump"):
        care.backup(postgres_url, Path("file"), silent)
    with pytest.raises(StoreError, match="pg_restore"):
        care.restore(postgres_url, Path("file"), "ann", silent)
    with pytest.raises(StoreError, match="pg_amcheck"):
        care.repair(postgres_url, "ann", silent)
    with pytest.raises(StoreError, match="nothing is kept"):
        care.backup("memory://", Path("file"), silent)
    assert care.check(postgres_url, silent).bytes is None
    assert "VACUUM FULL" in care.compact(postgres_url, silent).note


def goes_on(store: SqliteStore) -> bool:
    try:
        store.change_token()
    except StoreError:
        return False
    return True


@pytest.mark.parametrize("what", ["restore", "repair"])
def test_managers_that_write_all_the_time_go_on_through(
    path: Path, url: str, store: SqliteStore, recalls: Recalls, tmp_path: Path, what: str
) -> None:
    care.backup(url, tmp_path / "backup.db", silent)
    ends, refused = threading.Event(), []

    def write(writer: SqliteStore, name: str) -> None:
        number = 0
        while not ends.is_set():
            try:
                writer.append_metrics(name, number, recalls(50, seed=number))
            except StoreError as exc:
                refused.append(str(exc))
                continue
            number += 1

    with SqliteStore(path) as second:
        threads = [
            threading.Thread(target=write, args=(writer, name))
            for writer, name in ((store, "one"), (second, "two"))
        ]
        for thread in threads:
            thread.start()
        try:
            if what == "restore":
                care.restore(url, tmp_path / "backup.db", "ann", silent)
            else:
                assert care.repair(url, "ann", silent) == {}
            until(lambda: goes_on(second))
            before = {name: second.next_sequence(name) for name in ("one", "two")}
            until(lambda: all(second.next_sequence(name) > n + 5 for name, n in before.items()))
        finally:
            ends.set()
            for thread in threads:
                thread.join()
        assert second.health().epoch > 0
        everything = second.tail_metrics(limit=10**6).records
        for name, count in ((name, second.next_sequence(name)) for name in ("one", "two")):
            stored = second._database.read("SELECT count(*) FROM segments WHERE worker_id = ?", (name,))
            assert what == "restore" or stored == [(count,)], "what was acknowledged is there"
        assert len(everything) > 4000
    assert all("while in use" in words or "while this was written" in words for words in refused), refused
    assert care.check(url, silent).damage == ()
