"""The rows of a damaged SQLite file that can still be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import apsw

from athena_tuning.store.database import Row
from athena_tuning.store.sqlite_schema import SqliteTransaction

Progress = Callable[[int, int], None]
"""Told how much is done, of how much in all; 0 in all: that is not known."""

_ROWS_AT_ONCE = 200
_ROWS_A_PAGE = 200
_FAILURES = 20_000
"""After so many failures in a table what cannot be read is no longer narrowed down to single rows."""


def save_rows(source: apsw.Connection, target: apsw.Connection, progress: Progress) -> dict[str, int]:
    """Copy all rows that can be read into the same tables of another file.

    Returns:
        By table, how many rows, or stretches of rows, could not be read; tables of which all could be read
        are left out.
    """
    tables = SqliteTransaction(target).execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    lost = {table: _save(source, target, table, progress) for (table,) in tables}
    return {table: rows for table, rows in lost.items() if rows}


def _save(source: apsw.Connection, target: apsw.Connection, table: str, progress: Progress) -> int:
    columns = SqliteTransaction(target).execute(f"PRAGMA table_info({table})")
    names = ", ".join(name for _, name, *_ in columns)
    keys = [name for _, name, *_, place in sorted(columns, key=lambda column: column[-1]) if place]
    insert = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({','.join('?' * len(columns))})"
    lost = 0
    target.execute("BEGIN")
    target.execute(f"DELETE FROM {table}")
    for rows in _readable(source, table, names, keys):
        if rows is None:
            lost += 1
            continue
        before = target.total_changes()
        target.executemany(insert, rows)
        lost += len(rows) - (target.total_changes() - before)
        progress(0, 0)
    target.execute("COMMIT")
    return lost


def _readable(source: apsw.Connection, table: str, names: str, keys: list[str]) -> Iterator[list[Row] | None]:
    """Give the rows of a table in parts; None for each row, or stretch of rows, that cannot be read."""
    view = SqliteTransaction(source)
    try:
        [(newest,)] = view.execute(f"SELECT max(rowid) FROM {table}")
        last: int = newest or 0
    except apsw.SQLError:  # a table in the order of its key has no row numbers
        yield from _from_both_ends(source, table, names, keys)
        return
    except apsw.CorruptError:
        yield None
        [(pages,)] = view.execute("PRAGMA page_count")
        last = pages * _ROWS_A_PAGE
    failures = 0
    for start in range(1, last + 1, _ROWS_AT_ONCE):
        waiting = [(start, min(start + _ROWS_AT_ONCE - 1, last))]
        while waiting:
            first, end = waiting.pop()
            try:
                yield view.execute(f"SELECT {names} FROM {table} WHERE rowid BETWEEN ? AND ?", (first, end))
            except apsw.CorruptError:
                failures += 1
                if first == end or failures > _FAILURES:
                    yield None
                else:
                    middle = (first + end) // 2
                    waiting += [(middle + 1, end), (first, middle)]


def _from_both_ends(
    source: apsw.Connection, table: str, names: str, keys: list[str]
) -> Iterator[list[Row] | None]:
    """Read from the first row on, and where that breaks off, from the last row back."""
    for order in ("ASC", "DESC"):
        by = ", ".join(f"{key} {order}" for key in keys)
        rows: list[Row] = []
        try:
            for row in source.execute(f"SELECT {names} FROM {table} ORDER BY {by}"):
                rows.append(row)
                if len(rows) == _ROWS_AT_ONCE:
                    yield rows
                    rows = []
        except apsw.CorruptError:
            yield rows
            continue
        yield rows
        return
    yield None
