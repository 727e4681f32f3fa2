"""Forgetting what is older than the retention, in steps so short that nobody waits long for one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from athena_tuning.store.database import Database, Row, Transaction
from athena_tuning.store.retention import LASTING, Level, Retention

_HOUR, _DAY = 3600.0, 86400.0
_LASTING = ", ".join(f"'{topic}'" for topic in sorted(LASTING))
_ROWS_A_STEP = 500
_BYTES_A_STEP = 2_000_000


@contextmanager
def step(database: Database) -> Iterator[Transaction]:
    """Write as upkeep does: afterwards whoever waits for the lock gets it before the next step."""
    with database.write() as transaction:
        yield transaction
    time.sleep(database.pause_seconds)


def forget(database: Database, retention: Retention, now: float) -> None:
    """Forget what is older than the retention; raw records only once they are rolled up.

    What is old is looked for without a lock. It is removed in steps, each of which looks again.
    """
    while _forget_segments(database, now - retention.raw):
        pass
    for table, key, condition, seconds in (
        ("texts", "id", "last_used < ?", retention.raw + 2 * _HOUR),
        ("decisions", "decision_id", "time < ?", retention.decisions),
        ("events", "id", "time < ?", retention.decisions),
        ("decision_evidence", "decision_id", "time < ?", retention.decisions),
        ("workers", "worker_id", "last_seen < ?", retention.workers),
        ("messages", "topic, key", f"time < ? AND topic NOT IN ({_LASTING})", retention.workers),
        ("feedback", "query_id", "time < ?", retention.raw),
        ("batches", "source", "newest < ?", retention.days),
        (
            "writers",
            "worker_id",
            "newest < ? AND NOT EXISTS"
            " (SELECT 1 FROM main.segments WHERE segments.worker_id = writers.worker_id)",
            retention.raw + _DAY,
        ),
    ):
        _forget_rows(database, table, key, condition, now - seconds)
    for level in Level:
        _forget_rollups(database, level, int(now - retention.of(level)) - int(level))


def _forget_segments(database: Database, before: float) -> bool:
    """Remove some segments that are older; False if none are left among the oldest."""
    oldest = database.read(
        "SELECT s.id, s.newest < ? AND s.sequence <= w.rolled, length(s.data) FROM main.segments s"
        " JOIN main.writers w ON w.worker_id = s.worker_id ORDER BY s.id LIMIT ?",
        (before, _ROWS_A_STEP),
    )
    gone = [(number, size) for number, is_old, size in oldest if is_old]
    size, chosen = 0, []
    for number, more in gone:
        if size >= _BYTES_A_STEP:
            break
        size += more
        chosen.append((number,))
    if chosen:
        with step(database) as transaction:
            transaction.run_many("DELETE FROM main.segments WHERE id = ?", chosen)
    return len(chosen) == _ROWS_A_STEP or len(chosen) < len(gone)


def _forget_rows(database: Database, table: str, key: str, condition: str, before: float) -> None:
    keys = database.read(f"SELECT {key} FROM main.{table} WHERE {condition}", (before,))
    same = " AND ".join(f"{column} = ?" for column in key.split(", "))
    for some in _parts(keys):
        with step(database) as transaction:
            transaction.run_many(
                f"DELETE FROM main.{table} WHERE {same} AND {condition}", [(*row, before) for row in some]
            )


def _forget_rollups(database: Database, level: Level, before: int) -> None:
    counts = database.read(
        "SELECT start, count(*) FROM main.rollups WHERE seconds = ? AND start < ? GROUP BY start",
        (int(level), before),
    )
    units = [(start,) for start, rows in counts for _ in range(rows)]  # so that a step has so many rows
    for some in _parts(units):
        with step(database) as transaction:
            transaction.run_many(
                f"DELETE FROM main.rollups WHERE seconds = {int(level)} AND start = ?", sorted({*some})
            )


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for first in range(0, len(rows), _ROWS_A_STEP):
        yield rows[first : first + _ROWS_A_STEP]
