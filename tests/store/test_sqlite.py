"""What a SQLite store says when its file is not as it should be."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import apsw
import pytest

from athena_tuning.model import Annotation, QueryMetrics, TuningConfig
from athena_tuning.store import ConfigChange, StoreError, open_store
from athena_tuning.store.schema import CURRENT, MIGRATIONS
from athena_tuning.store.sqlite import APPLICATION_ID, SqliteStore

Recalls = Callable[..., list[QueryMetrics]]


def test_sqlite_is_one_without_the_wal_reset_bug() -> None:
    assert tuple(map(int, apsw.sqlite_lib_version().split("."))) >= (3, 51, 3)


def test_a_text_file_is_no_store(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("shopping list: " + "milk " * 500)
    with pytest.raises(StoreError, match=r"notes\.db: this is no database"):
        SqliteStore(path)
    assert path.read_text().startswith("shopping list")


def test_a_database_of_somebody_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    theirs = sqlite3.connect(path)
    theirs.execute("CREATE TABLE accounts (id)")
    theirs.commit()
    theirs.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"theirs\.db: this database belongs to something else"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused_with_both_versions(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    SqliteStore(path).close()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", CURRENT + 1)
    connection.close()
    with pytest.raises(StoreError, match=rf"version {CURRENT + 1}.*up to {CURRENT}: update it"):
        SqliteStore(path)


def next_schema(monkeypatch: pytest.MonkeyPatch, *statements: str) -> None:
    monkeypatch.setattr("athena_tuning.store.sqlite.MIGRATIONS", (*MIGRATIONS, statements))
    monkeypatch.setattr("athena_tuning.store.sqlite.CURRENT", CURRENT + 1)


def test_an_older_store_becomes_todays_with_all_it_holds(
    tmp_path: Path, recalls: Recalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    old = SqliteStore(path)
    old.append_metrics("w", 1, recalls(20))
    old.close()
    next_schema(
        monkeypatch, "ALTER TABLE annotations ADD COLUMN colour TEXT", "CREATE TABLE more (id BIGINT)"
    )
    new = SqliteStore(path)
    assert list(new.tail_metrics().records) == recalls(20)
    assert new._database.read("SELECT colour FROM annotations") == []
    assert new._database.read("PRAGMA user_version") == [(CURRENT + 1,)]
    new.close()


def test_a_step_that_fails_leaves_the_older_store_as_it_was(
    tmp_path: Path, recalls: Recalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    old = SqliteStore(path)
    old.append_metrics("w", 1, recalls(20))
    old.close()
    with monkeypatch.context() as patched:
        next_schema(patched, "CREATE TABLE more (id BIGINT)", "INSERT INTO nowhere VALUES (1)")
        with pytest.raises(StoreError, match=r"store\.db: .*nowhere"):
            SqliteStore(path)
    again = SqliteStore(path)
    assert list(again.tail_metrics().records) == recalls(20)
    assert again._database.read("SELECT name FROM sqlite_schema WHERE name = 'more'") == []
    again.close()


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no/store\.db: the folder .*no does not exist"):
        SqliteStore(tmp_path / "no" / "store.db")


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        SqliteStore(tmp_path)


def use_as_nobody(path: Path, answer: Connection) -> None:
    if os.geteuid() == 0:
        os.setuid(65534)
    try:
        SqliteStore(path).annotate(Annotation(1.0, "x", "y"))
        answer.send("it worked")
    except Exception as exc:  # noqa: BLE001  (whatever it is, the parent judges it)
        answer.send(f"{type(exc).__name__}: {exc}")


@pytest.mark.parametrize(
    ("file_mode", "folder_mode", "words"),
    [
        (0o444, 0o755, "the file cannot be written; give this user the right"),
        (0o000, 0o755, "the file cannot be opened; check path and rights"),
    ],
    ids=["read-only", "forbidden"],
)
def test_a_file_without_rights_says_what_to_do(file_mode: int, folder_mode: int, words: str) -> None:
    """Root may do everything: then a forked process of another user tries."""
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        SqliteStore(path).close()
        path.chmod(file_mode)
        Path(folder).chmod(folder_mode)
        here, there = fork.Pipe()
        process = fork.Process(target=use_as_nobody, args=(path, there))
        process.start()
        said = here.recv()
        process.join()
    assert said.startswith(f"StoreError: {path}: {words}")


def test_a_connection_that_may_only_read_says_what_to_do(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    change = ConfigChange(TuningConfig(), expected_version=0, actor="a", reason="r")
    store._database._writer.pragma("query_only", True)  # type: ignore[attr-defined]
    with pytest.raises(StoreError, match=r"store\.db: the file cannot be written; give this user the right"):
        store.apply_config(change)
    store._database._writer.pragma("query_only", False)  # type: ignore[attr-defined]
    assert store.apply_config(change).version == 1
    store.close()


@pytest.mark.slow
def test_a_full_disk_says_so_loses_nothing_stored_and_heals(tmp_path: Path, recalls: Recalls) -> None:
    store = SqliteStore(tmp_path / "store.db")
    store.append_metrics("w", 1, recalls(100))
    writer = store._database._writer  # type: ignore[attr-defined]
    room = writer.pragma("max_page_count", writer.pragma("page_count"))
    with pytest.raises(StoreError, match=r"store\.db: the disk is full; make room"):
        store.append_metrics("w", 2, recalls(5000, seed=2))
    assert len(store.tail_metrics().records) == 100
    writer.pragma("max_page_count", room * 1000)
    store.append_metrics("w", 2, recalls(5000, seed=2))
    assert len(store.tail_metrics().records) == 5100
    store.close()


def test_a_damaged_file_is_named_with_a_way_out(tmp_path: Path, recalls: Recalls) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    for sequence in range(20):
        store.append_metrics("w", sequence, recalls(100, seed=sequence))
    store.close()
    data = bytearray(path.read_bytes())
    for at in range(4096, len(data), 4096):
        data[at : at + 200] = b"\xff" * 200
    path.write_bytes(bytes(data))
    with pytest.raises(StoreError, match=r"store\.db: the file is damaged; put it aside"):
        SqliteStore(path).tail_metrics()


def test_a_lock_held_too_long_is_an_error_not_a_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("athena_tuning.store.sqlite.BUSY_SECONDS", 0.05)
    store = SqliteStore(tmp_path / "store.db")
    other = apsw.Connection(str(tmp_path / "store.db"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="another process has kept it locked"):
        store.acquire_lease("tuner", "a", 1.0)
    other.execute("ROLLBACK")
    assert store.acquire_lease("tuner", "a", 1.0)
    other.close()
    store.close()


def test_a_file_bears_our_mark_and_version(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    SqliteStore(path).close()
    connection = apsw.Connection(str(path))
    assert connection.pragma("application_id") == APPLICATION_ID
    assert connection.pragma("user_version") == CURRENT
    assert connection.pragma("journal_mode") == "wal"
    connection.close()


def test_rollups_can_be_read_with_plain_sql(tmp_path: Path, recalls: Recalls) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path, clock=lambda: 1_700_000_500.0)
    batch = recalls(500)
    store.append_metrics("w", 1, batch)
    store.maintain()
    total = store.rollups(1_699_900_000, 1_700_100_000, layer="").total()
    rows = sqlite3.connect(path).execute(
        "SELECT sum(count), sum(hits), sum(errors), sum(sum_ms), max(p99_ms)"
        " FROM rollups WHERE seconds = 3600 AND layer = ''"
    )
    count, hits, errors, sum_ms, p99 = rows.fetchone()
    assert (count, hits, errors) == (total.count, total.hits, total.errors)
    assert sum_ms == pytest.approx(total.sum_ms)
    assert p99 >= total.p99_ms
    store.close()


def test_a_url_names_a_relative_or_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_store("sqlite:///here.db").close()
    open_store(f"sqlite:///{tmp_path}/there.db").close()
    monkeypatch.setenv("ATHENA_TUNING_STORE", "sqlite:///named.db")
    open_store().close()
    assert {path.name for path in tmp_path.glob("*.db")} == {"here.db", "there.db", "named.db"}


def test_its_url_opens_the_same_store_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_store("sqlite:///here.db") as store:
        store.annotate(Annotation(5.0, "mark", "ana"))
        monkeypatch.chdir("/")
        with open_store(store.url) as again:
            assert [note.text for note in again.annotations()] == ["mark"]
    for other in ({"url": "memory://"}, {"url": f"sqlite:///{tmp_path / 'h.db'}", "text": "hash"}):
        with open_store(**other) as store:  # nobody else can open it, or not with its settings
            assert store.url == ""


@pytest.mark.parametrize("around", ["{}\n", "  {}", "{} \r\n", "\t{}\t"])
def test_white_space_around_a_url_does_not_make_a_second_store(tmp_path: Path, around: str) -> None:
    url = f"sqlite:///{tmp_path}/here.db"
    open_store(around.format(url)).close()
    assert [path.name for path in tmp_path.iterdir()] == ["here.db"]


@pytest.mark.parametrize(
    "url",
    [
        *("store.db", "sqlite://", "sqlite:///", "mysql://me:secret@host/db", "postgres//me:secret@host/db"),
        *("me:secret@host/db", "mysql://host/db?password=secret", "postgresql:me:secret@host"),
    ],
)
def test_a_url_that_names_no_store_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(StoreError, match="no store is known by this name") as refused:
        open_store(url)
    assert "secret" not in str(refused.value)
