"""Roll-ups in a database: made of segments now and then, complete at every read, gone with the retention."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from athena_tuning.store.database import Database, Row, Transaction
from athena_tuning.store.health import UnreadableRows
from athena_tuning.store.retention import Level, Retention, Span
from athena_tuning.store.rollup import COUNTS, HISTOGRAM_ENTRY, KEYS, SUMS, Rollups, from_blobs, selected
from athena_tuning.store.rollup_fold import minutes_of
from athena_tuning.store.segment import HEAD, Segment

_QUANTILES = ("p50_ms", "p95_ms", "p99_ms")
_COLUMNS = (*KEYS, *COUNTS, *SUMS, *_QUANTILES, "histogram")
_READ = ", ".join((*KEYS, *COUNTS, *SUMS, "histogram"))
_UPSERT = (
    f"INSERT INTO main.rollups ({', '.join(_COLUMNS)}) VALUES ({','.join('?' * len(_COLUMNS))})"
    f" ON CONFLICT ({', '.join(KEYS)})"
    f" DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[len(KEYS) :])}"
)
_AT_ONCE = 200_000
_PRUNED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Listed:
    """A stored segment, without its data."""

    number: int
    worker_id: str
    sequence: int
    records: int
    oldest: float
    newest: float


def listed_after(view: Transaction, behind: Mapping[str, int]) -> list[Listed]:
    """Return the segments after each worker's sequence, in the order in which they were stored."""
    if not behind:
        return []
    seen = ", ".join("(CAST(? AS TEXT), CAST(? AS BIGINT))" for _ in behind)
    rows = view.execute(
        f"WITH seen (worker_id, sequence) AS (VALUES {seen})"
        " SELECT s.id, s.worker_id, s.sequence, s.records, s.oldest, s.newest FROM seen JOIN main.segments s"
        " ON s.worker_id = seen.worker_id AND s.sequence > seen.sequence ORDER BY s.id",
        [value for pair in behind.items() for value in pair],
    )
    return [Listed(*row) for row in rows]


def columns_of(
    view: Transaction, wanted: Sequence[Listed], unreadable: UnreadableRows
) -> list[tuple[Listed, Segment]]:
    """Return some segments with their columns, without those that cannot be read."""
    if not wanted:
        return []
    numbers = {segment.number for segment in wanted}
    rows = view.execute(
        "SELECT id, data FROM main.segments WHERE id BETWEEN ? AND ?", (min(numbers), max(numbers))
    )
    blobs = {number: data for number, data in rows if number in numbers}
    found = []
    for segment in wanted:
        try:
            found.append((segment, _decoded(segment, blobs[segment.number])))
        except (ValueError, IndexError, struct.error) as exc:
            unreadable.add("batch", f"{segment.sequence} of {segment.worker_id}", exc)
    return found


def roll_up(database: Database, unreadable: UnreadableRows, worker_id: str | None = None) -> None:
    """Roll up what is not rolled up yet.

    What was read is committed only if nobody else rolled the same up in the meantime: so each record counts
    once, and no lock is held while the columns are summed.

    Args:
        database: where the segments are.
        unreadable: told what could not be read; it is passed over for good.
        worker_id: whose; None: everybody's. Writers that keep to their own never sum the same in vain.
    """
    while _roll_up_some(database, unreadable, worker_id):
        pass


def read(
    database: Database,
    unreadable: UnreadableRows,
    spans: Sequence[Span],
    chosen: Mapping[str, str | int],
) -> tuple[Rollups, int]:
    """Return the roll-ups of some spans, and how many records had to be rolled up on the way.

    Args:
        database: where they are.
        unreadable: told what could not be read.
        spans: from ``retention.covering``; they do not overlap.
        chosen: wanted values of ``KEYS``.
    """
    if not spans:
        return Rollups.empty(), 0
    where = "".join(f" AND {name} = ?" for name in chosen)
    with database.snapshot() as view:
        rows: list[Row] = []
        for span in spans:
            rows += view.execute(
                f"SELECT {_READ} FROM main.rollups WHERE seconds = ? AND start >= ? AND start < ?{where}",
                (int(span.level), span.first, span.end, *chosen.values()),
            )
        waiting = listed_after(view, _unrolled(view))
        inside = [s for s in waiting if s.newest >= spans[0].first and s.oldest < spans[-1].end]
        columns = columns_of(view, inside, unreadable)
    found = _table(rows, unreadable)
    if columns:
        fresh = minutes_of([(listed.worker_id, segment) for listed, segment in columns])
        found = Rollups.joined((found, selected(fresh, spans, chosen))).merged()
    return found, sum(segment.records for segment in waiting)


def prune(database: Database, retention: Retention, now: float) -> None:
    """Forget what is older than the retention; raw records only once they are rolled up."""
    while _prune_segments(database, now - retention.raw):
        pass
    with database.write() as transaction:
        transaction.run("DELETE FROM main.texts WHERE last_used < ?", (now - retention.raw - 2 * 3600,))
        transaction.run("DELETE FROM main.decisions WHERE time < ?", (now - retention.decisions,))
        transaction.run("DELETE FROM main.workers WHERE last_seen < ?", (now - retention.workers,))
        transaction.run("DELETE FROM main.messages WHERE time < ?", (now - retention.workers,))
        transaction.run("DELETE FROM main.feedback WHERE time < ?", (now - retention.raw,))
        for level in Level:
            transaction.run(
                "DELETE FROM main.rollups WHERE seconds = ? AND start < ?",
                (int(level), int(now - retention.of(level)) - int(level)),
            )
        transaction.run(
            "DELETE FROM main.writers WHERE newest < ? AND NOT EXISTS"
            " (SELECT 1 FROM main.segments WHERE segments.worker_id = writers.worker_id)",
            (now - retention.raw - 86400,),
        )


def _unrolled(view: Transaction, worker_id: str | None = None) -> dict[str, int]:
    where, values = ("", ()) if worker_id is None else (" AND worker_id = ?", (worker_id,))
    return dict(
        view.execute(f"SELECT worker_id, rolled FROM main.writers WHERE sequence > rolled{where}", values)
    )


def _roll_up_some(database: Database, unreadable: UnreadableRows, worker_id: str | None) -> bool:
    """Roll up about ``_AT_ONCE`` records; False if nothing is left or somebody else was quicker."""
    with database.snapshot() as view:
        before = _unrolled(view, worker_id)
        chosen, total = [], 0
        for segment in listed_after(view, before):
            if total >= _AT_ONCE:
                break
            chosen.append(segment)
            total += segment.records
        columns = columns_of(view, chosen, unreadable)
    if not chosen:
        return False
    minutes = minutes_of([(listed.worker_id, segment) for listed, segment in columns])
    tables = [minutes, *(minutes.at_level(level) for level in (Level.HOUR, Level.DAY))]
    after = {segment.worker_id: segment.sequence for segment in chosen}
    try:
        with database.write() as transaction:
            for worker in sorted(after):
                _claim(transaction, worker, before[worker], after[worker])
            for table in tables:
                _add(transaction, table, unreadable)
    except _Overtaken:
        return False
    return total >= _AT_ONCE


class _Overtaken(Exception):
    """Somebody else rolled the same segments up."""


def _claim(transaction: Transaction, worker: str, before: int, after: int) -> None:
    claimed = transaction.execute(
        "UPDATE main.writers SET rolled = ? WHERE worker_id = ? AND rolled = ? RETURNING rolled",
        (after, worker, before),
    )
    if not claimed:
        raise _Overtaken


def _add(transaction: Transaction, table: Rollups, unreadable: UnreadableRows) -> None:
    """Add a table of one level to what is stored."""
    if not len(table):
        return
    starts = sorted({key[1] for key in table.keys})
    workers = sorted({key[5] for key in table.keys})
    marks = [",".join("?" * len(values)) for values in (starts, workers)]
    rows = transaction.execute(
        f"SELECT {_READ} FROM main.rollups"
        f" WHERE seconds = ? AND start IN ({marks[0]}) AND worker_id IN ({marks[1]})",
        (table.keys[0][0], *starts, *workers),
    )
    wanted = set(table.keys)
    kept = [row for row in rows if row[: len(KEYS)] in wanted]
    merged = Rollups.joined((_table(kept, unreadable), table)).merged()
    quantiles = [
        [None if math.isnan(value) else value for value in row]
        for row in merged.quantiles((0.5, 0.95, 0.99)).tolist()
    ]
    columns = (merged.keys, merged.counts.tolist(), merged.sums.tolist(), quantiles, merged.blobs())
    transaction.run_many(
        _UPSERT,
        [(*key, *counts, *sums, *qs, blob) for key, counts, sums, qs, blob in zip(*columns, strict=True)],
    )


def _table(rows: Sequence[Row], unreadable: UnreadableRows) -> Rollups:
    """Return roll-up rows as a table, without those that cannot be read."""
    whole = [row for row in rows if len(row[-1]) % HISTOGRAM_ENTRY == 0]
    if len(whole) < len(rows):
        for row in rows:
            if len(row[-1]) % HISTOGRAM_ENTRY:
                unreadable.add("roll-up", row[: len(KEYS)], f"a histogram of {len(row[-1])} bytes")
    if not whole:
        return Rollups.empty()
    columns = list(zip(*whole, strict=True))
    keys = list(zip(*columns[: len(KEYS)], strict=True))
    counts = np.array(columns[len(KEYS) : len(KEYS) + len(COUNTS)], np.int64).T
    sums = np.array(columns[-len(SUMS) - 1 : -1], np.float64).T
    return from_blobs(keys, counts, sums, columns[-1])


def _decoded(listed: Listed, data: bytes) -> Segment:
    _, n = HEAD.unpack_from(data)
    if n != listed.records:
        raise ValueError(f"damaged: {n} records, {listed.records} were stored")
    return Segment(data)


def _prune_segments(database: Database, before: float) -> bool:
    """Remove some segments that are older; False if none are left among the oldest."""
    with database.write() as transaction:
        oldest = transaction.execute(
            "SELECT s.id, s.newest, s.sequence <= w.rolled FROM main.segments s"
            " JOIN main.writers w ON w.worker_id = s.worker_id ORDER BY s.id LIMIT ?",
            (_PRUNED_AT_ONCE,),
        )
        gone = [number for number, newest, rolled in oldest if newest < before and rolled]
        if gone:
            transaction.run(f"DELETE FROM main.segments WHERE id IN ({','.join('?' * len(gone))})", gone)
    return len(gone) == _PRUNED_AT_ONCE
