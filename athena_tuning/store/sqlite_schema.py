"""The tables of a SQLite store: whose the file is, which version, and how it becomes today's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw

from athena_tuning.sqlite_library import write_beside_readers
from athena_tuning.store.database import Row
from athena_tuning.store.errors import StoreError
from athena_tuning.store.identity import identify
from athena_tuning.store.schema import CURRENT, MIGRATIONS
from athena_tuning.store.sqlite_connection import BUSY_SECONDS

APPLICATION_ID = 0x41545354

_DIALECT = {
    "schema": "",
    "blob": "BLOB",
    "key": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "compact": " WITHOUT ROWID",
}


class SqliteTransaction:
    """A ``Transaction`` on a connection that is in one."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """See ``Transaction``."""
        return self._connection.execute(sql, values).fetchall()

    def run(self, sql: str, values: Sequence[Any] = ()) -> None:
        """See ``Transaction``."""
        self._connection.execute(sql, values)

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """See ``Transaction``."""
        self._connection.executemany(sql, rows)


def prepare(connection: apsw.Connection, name: str) -> None:
    """Check that the file is ours and bring its tables up to date.

    Args:
        connection: to the file.
        name: what the store is called in errors.

    Raises:
        StoreError: if it belongs to something else, or is newer than this program.
        apsw.Error: if SQLite refuses.
    """
    if _check_mark(connection, name):
        connection.pragma("auto_vacuum", "incremental")
    write_beside_readers(connection, BUSY_SECONDS)
    if connection.pragma("user_version") == CURRENT:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        _check_mark(connection, name)
        version = connection.pragma("user_version")
        for step in MIGRATIONS[version:]:
            for statement in step:
                if callable(statement):
                    statement(SqliteTransaction(connection))
                else:
                    connection.execute(statement.format_map(_DIALECT))
        identify(SqliteTransaction(connection))
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", CURRENT)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _check_mark(connection: apsw.Connection, name: str) -> bool:
    """Return whether nothing is in the file yet; refuse what is not ours."""
    mark, version = connection.pragma("application_id"), connection.pragma("user_version")
    empty = bool(mark == 0 and connection.pragma("schema_version") == 0)
    if mark != APPLICATION_ID and not empty:
        raise StoreError(f"{name}: this database belongs to something else; name another file")
    if version > CURRENT:
        raise StoreError(
            f"{name}: a store of schema version {version}, made by a newer athena_tuning; this one"
            f" knows versions up to {CURRENT}: update it, or name another file"
        )
    return empty
