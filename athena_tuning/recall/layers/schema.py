"""Makes the tables of a memory file, or brings those of an older one up to date."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any

import apsw

from athena_tuning.recall.items import unix_seconds
from athena_tuning.recall.layers.memory_file import MemoryFile
from athena_tuning.recall.layers.rows import SCHEMA, SCOPE_BITS
from athena_tuning.recall.layers.text import TextLayer

VERSION = 2
"""1: ids unique in the memory, words split by SQLite. 2: ids unique in a scope, words of ``analysis``."""

WAIT_SECONDS = 900.0
"""Longest wait for another process that brings the same file up to date."""

_BATCH = 500


def prepare(file: MemoryFile, layers: Collection[TextLayer]) -> None:
    """Make the tables, or bring them up to date, in one transaction.

    Raises:
        ValueError: if a newer program made the file.
        TimeoutError: if another process writes for longer than 15 minutes.
    """
    if _version(file.read("PRAGMA user_version"), file) == VERSION:
        return
    with file.write(WAIT_SECONDS) as db:
        version = _version(db.execute("PRAGMA user_version").fetchall(), file)
        if version == VERSION:
            return
        if version == 1:
            _set_aside(db, layers)
        db.execute(SCHEMA)
        for layer in layers:
            layer.create(db)
        if version == 1:
            _take_over(db, layers)
        db.pragma("user_version", VERSION)


def note_writes(db: apsw.Connection, layers: Iterable[str]) -> None:
    """Count a transaction for each layer that it changed."""
    db.executemany(
        "INSERT INTO layer_writes VALUES (?, 1) ON CONFLICT(layer) DO UPDATE SET writes = writes + 1",
        [(layer,) for layer in layers],
    )


def _version(rows: list[Any], file: MemoryFile) -> int:
    version: int = rows[0][0]
    if version > VERSION:
        raise ValueError(
            f"{file.path} is a memory of version {version}, made by a newer athena_tuning; this one knows "
            f"versions up to {VERSION}: update it, or name another file"
        )
    return version


def _set_aside(db: apsw.Connection, layers: Iterable[TextLayer]) -> None:
    """Keep the items of version 1 under another name; their indexes are made anew."""
    db.execute("ALTER TABLE item RENAME TO older_item")
    db.execute("DROP INDEX item_place")
    for table in (
        *(f"{layer.name}_text" for layer in layers),
        "entity_text",
        "entity",
        "mention",
        "relation",
    ):
        db.execute(f"DROP TABLE {table}")


def _take_over(db: apsw.Connection, layers: Iterable[TextLayer]) -> None:
    db.execute(
        f"""
        INSERT INTO scope(name)
            SELECT scope FROM older_item WHERE scope IS NOT NULL GROUP BY scope ORDER BY min(row);
        INSERT INTO item
            SELECT (ifnull(number, 0) << {SCOPE_BITS}) + row_number() OVER (PARTITION BY scope ORDER BY row),
                id, layer, scope, text, timestamp, kind, speaker, names, detail
            FROM older_item LEFT JOIN scope ON name = scope;
        DROP TABLE older_item;
        """
    )
    _correct_times(db)
    for layer in layers:
        rows: Iterator[Any] = iter(
            db.execute("SELECT row FROM item WHERE layer = ? ORDER BY row", (layer.name,)).fetchall()
        )
        while batch := list(islice(rows, _BATCH)):
            layer.add(db, [row for (row,) in batch])
        step = layer.joining_steps()
        while step(db):
            pass
    note_writes(db, [layer.name for layer in layers])


def _correct_times(db: apsw.Connection) -> None:
    """Read times that version 1 took for seconds, whatever their size, by today's rules."""
    read: list[Any] = db.execute("SELECT row, timestamp FROM item WHERE abs(timestamp) >= 1e11").fetchall()
    db.executemany("UPDATE item SET timestamp = ? WHERE row = ?", [(_time(t), row) for row, t in read])


def _time(timestamp: float) -> float | None:
    try:
        return unix_seconds(timestamp)
    except ValueError:
        return None  # a year that no calendar has
