"""Upkeep forgets what is old in short steps, lets others write between them, and gives the disk back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from athena_tuning.model import Annotation, Feedback, QueryMetrics, TuningConfig
from athena_tuning.store import ConfigChange, Level, StoreEvent
from athena_tuning.store.retention import DAY
from athena_tuning.store.sqlite import SqliteDatabase, SqliteStore
from athena_tuning.testing.clock import Clock
from athena_tuning.testing.waiting import until

Recalls = Callable[..., list[QueryMetrics]]
START = 1_700_000_000.0


class Filled:
    """A store with much that will be old, and its clock."""

    def __init__(self, path: Path, recalls: Recalls) -> None:
        self.path = path
        self.clock = Clock(START)
        self.store = SqliteStore(path, clock=self.clock)
        everything = recalls(24_000, start=START - 2 * DAY, step=7.0)
        for number in range(24):
            part = everything[number * 1000 : (number + 1) * 1000]
            texts = [record._replace(query_text=f"what about {record.query_id}?") for record in part]
            self.store.append_metrics("w", number, texts)
        self.store.append_feedback([Feedback(record.query_id, 1, START) for record in everything[:3000]])
        for number in range(1200):
            self.store.post("topic", f"key {number}", "text")
        self.store.append_event(StoreEvent(START, "clock", "a step"))
        self.store.annotate(Annotation(START, "kept", "ann"))


@pytest.fixture
def filled(tmp_path: Path, recalls: Recalls) -> Iterator[Filled]:
    filled = Filled(tmp_path / "store.db", recalls)
    yield filled
    filled.store.close()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each write transaction of this process has changed."""
    changed: list[int] = []
    plain = SqliteDatabase.write

    @contextmanager
    def counted(self: SqliteDatabase, lock: str | None = None) -> Iterator[object]:
        with plain(self, lock) as transaction:
            before = transaction.execute("SELECT total_changes()")[0][0]
            yield transaction
            changed.append(transaction.execute("SELECT total_changes()")[0][0] - before)

    monkeypatch.setattr(SqliteDatabase, "write", counted)
    return changed


def rows(store: SqliteStore, table: str) -> int:
    [(count,)] = store._database.read(f"SELECT count(*) FROM main.{table}")
    return int(count)


@pytest.mark.slow
def test_what_is_old_goes_in_steps_of_bounded_size(filled: Filled, steps: list[int]) -> None:
    filled.store.maintain()
    assert rows(filled.store, "rollups") > 10_000
    filled.clock.now += 500 * DAY
    filled.store.maintain()
    for table in ("segments", "texts", "feedback", "messages", "events", "writers"):
        assert rows(filled.store, table) == 0, table
    assert rows(filled.store, "annotations") == 1
    assert len(filled.store.rollups(START - 3 * DAY, START, level=Level.DAY)) > 0
    assert len(filled.store.rollups(START - 3 * DAY, START, level=Level.HOUR)) == 0
    assert len(steps) > 50
    assert max(steps) < 12_000


@pytest.mark.slow
def test_the_file_shrinks_when_much_was_forgotten(filled: Filled) -> None:
    filled.store.maintain()
    before = filled.path.stat().st_size
    filled.clock.now += 500 * DAY
    filled.store.maintain()
    assert filled.path.stat().st_size < before / 3
    assert filled.store._database.read("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.slow
def test_a_file_whose_pages_an_older_program_laid_out_is_used_as_it_is(
    tmp_path: Path, recalls: Recalls
) -> None:
    path = tmp_path / "store.db"
    SqliteStore(path).close()
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "delete")
    connection.pragma("auto_vacuum", 0)
    connection.execute("VACUUM")
    connection.close()
    older = Filled(path, recalls)
    older.store.maintain()
    older.clock.now += 500 * DAY
    older.store.maintain()
    assert rows(older.store, "segments") == 0
    assert older.store._database.read("PRAGMA auto_vacuum") == [(0,)]
    older.store.close()


@pytest.mark.slow
def test_config_writes_get_their_turn_between_the_steps(filled: Filled, steps: list[int]) -> None:
    filled.store.maintain()
    filled.clock.now += 500 * DAY
    with SqliteStore(filled.path, clock=filled.clock) as other:
        thread = threading.Thread(target=filled.store.maintain)
        before, passed = len(steps), []
        thread.start()
        until(lambda: len(steps) > before + 2)
        while thread.is_alive():
            seen = len(steps)
            config = TuningConfig(max_concurrent=3 + len(passed) % 2)
            other.apply_config(
                ConfigChange(config, expected_version=len(passed), actor="ann", reason="meanwhile")
            )
            passed.append(len(steps) - seen)
        thread.join()
    assert len(passed) > 3
    assert max(passed) <= 10
