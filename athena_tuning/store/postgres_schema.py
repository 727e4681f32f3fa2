"""The schema of a PostgreSQL store: whose it is, which version, and how it becomes today's."""

from __future__ import annotations

import uuid
from typing import Any

from athena_tuning.extras import needs_extra
from athena_tuning.store.errors import StoreError
from athena_tuning.store.schema import CURRENT, MIGRATIONS, Step

with needs_extra("postgres", "PostgreSQL"):
    import psycopg
    from psycopg import errors

    from athena_tuning.store.postgres_connection import PostgresTransaction

LOWEST = 13
"""The oldest PostgreSQL that a store works on."""

_KINDS = {
    "blob": "BYTEA",
    "key": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "compact": "",
}
_DENSE = (("segments", "data"), ("rollups", "histogram"), ("decision_evidence", "data"))
"""Columns that PostgreSQL need not try to compress."""


def quoted(schema: str) -> str:
    """Return a schema's name as it stands before a table's."""
    return '"{}".'.format(schema.replace('"', '""'))


def prepare(connection: psycopg.Connection[Any], schema: str, name: str) -> None:
    """Check that server and schema are fit for this program, and bring the tables up to date.

    A schema that somebody has made for us is taken as it is: to make one needs a right on the whole
    database, which not every user of a store has.

    Args:
        connection: a new one; what is done is one transaction.
        schema: its name.
        name: what the store is called in errors.

    Raises:
        StoreError: if the server is too old, or the schema is not ours or newer than this program.
        psycopg.Error: if the server refuses.
    """
    version = connection.info.server_version // 10_000
    if version < LOWEST:
        raise StoreError(
            f"{name}: the server is PostgreSQL {version}; a store needs {LOWEST} or newer: update it, or name"
            " another one"
        )
    if _version(connection, schema, name) == CURRENT:
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (schema,))
        at = _version(connection, schema, name)
        if at == CURRENT:
            return
        try:
            _migrate(connection, at, schema)
        except errors.InsufficientPrivilege as exc:
            message = " ".join(str(exc).split())
            raise StoreError(
                f"{name}: its tables are of schema version {at} and become {CURRENT}, but this user may not"
                f" make or change them: open the store once as their owner, or let this user own the schema"
                f" {schema} (docs/stores.md; {message})"
            ) from exc


def _version(connection: psycopg.Connection[Any], schema: str, name: str) -> int:
    """Return the version of the tables in a schema; 0 if there are none, -1 if there is no schema."""
    rows = connection.execute(
        "SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = %s", (schema,)
    ).fetchall()
    if not rows:
        return -1
    tables = connection.execute(
        "SELECT relname FROM pg_catalog.pg_class WHERE relnamespace = %s AND relkind IN ('r', 'p', 'v', 'm')",
        rows[0],
    ).fetchall()
    if not tables:
        return 0
    if ("schema_version",) not in tables:
        raise StoreError(f"{name}: the schema {schema} belongs to something else")
    [(version,)] = connection.execute(
        f"SELECT version FROM {quoted(schema)}schema_version".encode()
    ).fetchall()
    if version > CURRENT:
        raise StoreError(
            f"{name}: a store of schema version {version}, made by a newer athena_tuning; this one"
            f" knows versions up to {CURRENT}: update it, or name another database"
        )
    return int(version)


def _migrate(connection: psycopg.Connection[Any], version: int, schema: str) -> None:
    at = quoted(schema)
    statements: list[Step] = []
    if version < 0:
        statements += [f"CREATE SCHEMA {at.removesuffix('.')}"]
    if version <= 0:
        statements += [
            f"CREATE TABLE {at}schema_version (version BIGINT NOT NULL)",
            f"INSERT INTO {at}schema_version VALUES (0)",
        ]
    for step in MIGRATIONS[max(version, 0) :]:
        statements += [
            statement if callable(statement) else statement.format(schema=at, **_KINDS) for statement in step
        ]
    statements += [
        f"ALTER TABLE {at}{table} ALTER COLUMN {column} SET STORAGE EXTERNAL" for table, column in _DENSE
    ]
    statements += [
        f"INSERT INTO {at}identity VALUES (1, '{uuid.uuid4().hex}', 0) ON CONFLICT DO NOTHING",
        f"UPDATE {at}schema_version SET version = {CURRENT}",
    ]
    for statement in statements:
        if callable(statement):
            statement(PostgresTransaction(connection, at))
        else:
            connection.execute(statement.encode())
