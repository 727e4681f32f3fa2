"""Batches of one source within a store: listed, and taken out again, from whatever they are mixed with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from athena_tuning.model import SourceBatch
from athena_tuning.store.database import Database, Transaction
from athena_tuning.store.encoding import Encoded, encode_columns
from athena_tuning.store.errors import StoreError
from athena_tuning.store.health import UnreadableRows
from athena_tuning.store.segment import Segment
from athena_tuning.store.sql_rollups import Listed, columns_of, roll_up

_ATTEMPTS = 10
_AT_ONCE = 100

_UPSERT = (
    "INSERT INTO main.batches (source, records, oldest, newest) VALUES (?,?,?,?)"
    " ON CONFLICT (source) DO UPDATE SET records = batches.records + excluded.records,"
    " oldest = CASE WHEN excluded.oldest < batches.oldest THEN excluded.oldest ELSE batches.oldest END,"
    " newest = CASE WHEN excluded.newest > batches.newest THEN excluded.newest ELSE batches.newest END"
)


def newest_first(batches: Iterable[SourceBatch]) -> list[SourceBatch]:
    """Return batches in the order in which they are listed."""
    return sorted(batches, key=lambda batch: (-batch.newest, batch.source))


def known_batch(batch: SourceBatch | None, source: str) -> SourceBatch:
    """Return a batch that there is.

    Raises:
        ValueError: if there is none.
    """
    if batch is None:
        raise ValueError(
            f"there is no batch {source!r:.80}: `athena-tuning sources` lists those that are there"
        )
    return batch


def without_source(batch: Encoded, source: str) -> Encoded | None:
    """Return what is left of some records without those of a source; None if nothing is."""
    if all(part.source != source for part in batch.batches):
        return batch
    left = Segment(batch.data).of_sources(lambda name: name != source)
    return replace(encode_columns(left, {}), texts=batch.texts) if left.n else None


def read(database: Database) -> list[SourceBatch]:
    """Return what a database holds."""
    rows = database.read("SELECT source, records, oldest, newest FROM main.batches")
    return newest_first(SourceBatch(*row) for row in rows)


def add(transaction: Transaction, batches: Iterable[SourceBatch]) -> None:
    """Note what has just been stored."""
    transaction.run_many(_UPSERT, [(b.source, b.records, b.oldest, b.newest) for b in batches])


def take_out(database: Database, unreadable: UnreadableRows, source: str) -> SourceBatch:
    """Take a batch out of a database.

    All of it has to be rolled up by then: so nobody else, who has read it before, rolls it up afterwards.

    Raises:
        ValueError: if there is none.
        StoreError: if records of it keep coming.
    """
    for _ in range(_ATTEMPTS):
        roll_up(database, unreadable)
        try:
            with database.write() as transaction:
                return _taken_out(transaction, unreadable, source)
        except _StillComing:
            continue
    raise StoreError(f"{database.name}: records of {source} keep coming: end the run before it is taken out")


class _StillComing(Exception):
    """A part of the batch is not rolled up yet."""


def _taken_out(transaction: Transaction, unreadable: UnreadableRows, source: str) -> SourceBatch:
    rows = transaction.execute(
        "SELECT source, records, oldest, newest FROM main.batches WHERE source = ?", (source,)
    )
    batch = known_batch(SourceBatch(*rows[0]) if rows else None, source)
    around = transaction.execute(
        "SELECT s.id, s.worker_id, s.sequence, s.records, s.oldest, s.newest, s.sequence <= w.rolled"
        " FROM main.segments s JOIN main.writers w ON w.worker_id = s.worker_id"
        " WHERE s.newest >= ? AND s.oldest <= ? ORDER BY s.id",
        (batch.oldest, batch.newest),
    )
    rolled = {row[0]: bool(row[-1]) for row in around}
    listed = [Listed(*row[:-1]) for row in around]
    emptied = set()
    for first in range(0, len(listed), _AT_ONCE):
        for segment, columns in columns_of(transaction, listed[first : first + _AT_ONCE], unreadable):
            left = columns.of_sources(lambda name: name != source)
            if left.n == columns.n:
                continue
            if not rolled[segment.number]:
                raise _StillComing
            if not left.n:
                emptied.add(segment.worker_id)
            _replace(transaction, segment.number, left)
    for worker in sorted(emptied):  # so that the same file may be imported again under its name
        transaction.run(
            "DELETE FROM main.writers WHERE worker_id = ? AND NOT EXISTS"
            " (SELECT 1 FROM main.segments WHERE segments.worker_id = writers.worker_id)",
            (worker,),
        )
    transaction.run("DELETE FROM main.rollups WHERE source = ?", (source,))
    transaction.run("DELETE FROM main.batches WHERE source = ?", (source,))
    return batch


def _replace(transaction: Transaction, number: int, left: Segment) -> None:
    if not left.n:
        transaction.run("DELETE FROM main.segments WHERE id = ?", (number,))
        return
    batch = encode_columns(left, {})
    transaction.run(
        "UPDATE main.segments SET records = ?, oldest = ?, newest = ?, data = ? WHERE id = ?",
        (batch.records, batch.oldest, batch.newest, batch.data, number),
    )
