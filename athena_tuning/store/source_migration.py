"""Tells in older roll-ups apart where their recalls come from, as far as the raw records are still there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from athena_tuning.model import Source
from athena_tuning.store import batches
from athena_tuning.store.database import Transaction
from athena_tuning.store.encoding import encode_columns
from athena_tuning.store.health import UnreadableRows
from athena_tuning.store.retention import Level
from athena_tuning.store.rollup import KEYS, Key, Rollups
from athena_tuning.store.rollup_fold import minutes_of
from athena_tuning.store.sql_rollups import Listed, add, columns_of, put, stored

_AT_ONCE = 200_000


def tell_sources_apart(transaction: Transaction) -> None:
    """Move what the raw records speak of from roll-up rows of unknown source to rows by source.

    All counts and histograms together stay what they were: what is put into the rows by source is taken out
    of the unknown ones. Rows that hold less than that (a clock or a disk has failed) stay as they are.
    """
    for listed, rolled in _segments(transaction):
        unreadable = UnreadableRows("the store before")
        columns = columns_of(transaction, listed, unreadable)
        for _, segment in columns:
            batches.add(transaction, encode_columns(segment, {}).batches)
        minutes = minutes_of(
            [(segment.worker_id, part) for segment, part in columns if segment.number in rolled]
        )
        for level in Level:
            _move(transaction, minutes.at_level(level), unreadable)


def _segments(transaction: Transaction) -> Iterator[tuple[list[Listed], set[int]]]:
    """Yield the segments, some at a time, and which of them were rolled up."""
    rows = transaction.execute(
        "SELECT s.id, s.worker_id, s.sequence, s.records, s.oldest, s.newest, s.sequence <= w.rolled"
        " FROM main.segments s JOIN main.writers w ON w.worker_id = s.worker_id ORDER BY s.id"
    )
    rolled = {row[0] for row in rows if row[-1]}
    some: list[Listed] = []
    for segment in (Listed(*row[:-1]) for row in rows):
        some.append(segment)
        if sum(one.records for one in some) >= _AT_ONCE:
            yield some, rolled
            some = []
    if some:
        yield some, rolled


def _move(transaction: Transaction, known: Rollups, unreadable: UnreadableRows) -> None:
    if not len(known):
        return
    taken = known.merged([_unknown(key) for key in known.keys])
    before = stored(transaction, taken, unreadable)
    left = Rollups.joined((before, taken.negated())).merged()
    here = set(before.keys)
    fits = np.array([key in here for key in left.keys]) & left.is_count()
    movable = {key for key, fit in zip(left.keys, fits.tolist(), strict=True) if fit}
    some_left = left.counts[:, 0] > 0
    put(transaction, left.where(fits & some_left))
    transaction.run_many(
        f"DELETE FROM main.rollups WHERE {' AND '.join(f'{name} = ?' for name in KEYS)}",
        list(left.where(fits & ~some_left).keys),
    )
    add(transaction, known.where(np.array([_unknown(key) in movable for key in known.keys])), unreadable)


def _unknown(key: Key) -> Key:
    return (*key[:-1], Source.UNKNOWN.value)
