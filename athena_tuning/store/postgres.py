"""A store in PostgreSQL, shared by many machines."""

from __future__ import annotations

import threading
import time as time_module
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from athena_tuning import fork
from athena_tuning.extras import needs_extra
from athena_tuning.store.database import Database, Row, Transaction
from athena_tuning.store.errors import StoreError
from athena_tuning.store.findings import Finding, good
from athena_tuning.store.identity import POSITION
from athena_tuning.store.postgres_listener import PositionListener
from athena_tuning.store.retention import DEFAULT, Retention
from athena_tuning.store.sql_metrics import SqlStore
from athena_tuning.store.text_policy import TextPolicy

with needs_extra("postgres", "PostgreSQL"):
    import psycopg
    import psycopg_pool
    from psycopg import errors

    from athena_tuning.store import postgres_connection, postgres_findings
    from athena_tuning.store.postgres_connection import (
        PostgresTransaction,
        TimedConnection,
        connect,
        in_our_words,
        is_pooled,
        open_pool,
        translated,
    )
    from athena_tuning.store.postgres_schema import prepare, quoted

SCHEMA = "athena_tuning"
_POSITION = f"SELECT {POSITION} FROM main.identity"


class PostgresStore(SqlStore):
    """A store in a schema of a PostgreSQL database; schema and tables are made if they are missing.

    Every table is named with its schema, and nothing is left in a session: so a pooler such as PgBouncer in
    transaction mode may stand before the server. New configs are then asked for, twenty times a second,
    because a message of the server would not come through.

    Args:
        url: as libpq understands it, TLS settings included (``?sslmode=verify-full``).
        schema: holds the tables.
        text: what to keep of query texts.
        retention: how long what is kept.
        clock: Unix seconds; None: the process's clock, and the server's where all must agree (messages).
        monotonic: seconds that never jump, for leases.

    Raises:
        StoreError: if the server cannot be reached or is too old, or the schema is not ours or newer than
            this program.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str = SCHEMA,
        text: TextPolicy | str = TextPolicy.KEEP,
        retention: Retention = DEFAULT,
        clock: Callable[[], float] | None = None,
        monotonic: Callable[[], float] = time_module.monotonic,
    ) -> None:
        database = PostgresDatabase(url, schema, clock)
        super().__init__(
            database, text=text, retention=retention, clock=clock or time_module.time, monotonic=monotonic
        )
        if schema == SCHEMA and self.texts is TextPolicy.KEEP:
            self.url = url


class PostgresDatabase(Database):
    """A pool of connections, and one that listens for new configs. Every call has a deadline of our own."""

    def __init__(self, url: str, schema: str, clock: Callable[[], float] | None) -> None:
        self._schema = schema
        self._prefix = quoted(schema)
        self._clock = clock
        self._closed = False
        self._conninfo, self.name = postgres_connection.address(url)
        with in_our_words(self.name), connect(self._conninfo) as connection:
            prepare(connection, schema, self.name)
            self._pooled = is_pooled(connection)
        self._begin()
        fork.register(self)

    def _begin(self) -> None:
        self._opening = threading.Lock()
        self._opened: psycopg_pool.ConnectionPool[TimedConnection] | None = None
        self._listener = PositionListener(
            self._conninfo, f"{self._schema}_config", self._sql(_POSITION), pooled=self._pooled
        )

    def renew_after_fork(self) -> None:
        """Connect anew in a forked child, when it needs to: the connections are the parent's."""
        fork.leave_behind(self._opened, self._listener)
        self._begin()

    @property
    def _pool(self) -> psycopg_pool.ConnectionPool[TimedConnection]:
        with self._opening:
            if self._opened is None:
                self._opened = open_pool(self._conninfo, self.name, pooled=self._pooled)
            return self._opened

    @property
    def config_watch(self) -> str:
        """See ``Database``."""
        return self._listener.way

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """See ``Database``."""
        with self._connection() as connection:
            return connection.execute(self._sql(sql), values, binary=True).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """See ``Database``."""
        with self._connection() as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            try:
                yield PostgresTransaction(connection, self._prefix)
            finally:
                if not connection.broken:
                    connection.execute("ROLLBACK")

    @contextmanager
    def write(self, lock: str | None = None) -> Iterator[Transaction]:
        """See ``Database``. Statements whose rows nobody wants travel together with the commit."""
        with self._connection() as connection, connection.pipeline(), connection.transaction():
            for limit in _server_limits():
                connection.execute(limit)
            if lock is not None:
                connection.execute(
                    b"SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{self._schema}.{lock}",)
                )
            yield PostgresTransaction(connection, self._prefix)

    def now(self) -> float:
        """See ``Database``: the server's clock."""
        if self._clock is not None:
            return self._clock()
        [(now,)] = self.read("SELECT CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)")
        return float(now)

    def announce(self, transaction: Transaction, head: int) -> None:
        """See ``Database``."""
        transaction.run("SELECT pg_notify(?, ?)", (self._listener.channel, str(head)))

    def announced(self, head: int) -> None:
        """See ``Database``."""
        self._listener.wrote(head)

    def position(self) -> Row:
        """See ``Database``: from memory while the listener lives, else asked for."""
        if self._closed:
            raise StoreError(f"{self.name}: the store is closed")
        position = self._listener.position()
        if position is None:
            [position] = self.read(_POSITION)
        return position

    def examine(self) -> list[Finding]:
        """See ``Database``."""
        [(version,)] = self.read("SELECT current_setting('server_version')")
        before = time_module.time()
        [(there,)] = self.read("SELECT CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)")
        here = (before + time_module.time()) / 2
        tables = self.read(
            "SELECT c.relname, has_table_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'INSERT')"
            " AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = ? AND c.relkind = 'r' ORDER BY c.relname",
            (self._schema,),
        )
        return [
            good("server", f"PostgreSQL {version}"),
            postgres_findings.pooler(self._pooled, self.config_watch),
            postgres_findings.privileges(self._schema, tables),
            postgres_findings.clock(there - here),
        ]

    def close(self) -> None:
        """See ``Database``."""
        if not self._closed:
            self._closed = True
            self._listener.close()
            if self._opened is not None:
                self._opened.close()

    @contextmanager
    def _connection(self) -> Iterator[TimedConnection]:
        if self._closed:
            raise StoreError(f"{self.name}: the store is closed")
        with in_our_words(self.name):
            try:
                with self._pool.connection() as connection:
                    connection.ends = time_module.monotonic() + postgres_connection.CALL_SECONDS
                    try:
                        yield connection
                    finally:
                        connection.ends = None
            except (errors.UndefinedTable, errors.InvalidSchemaName):
                self._make_again()
                raise
            except psycopg.OperationalError:
                # A server that restarted leaves dead connections in the pool; the next call gets a new one.
                threading.Thread(target=self._pool.check, name="postgres-check", daemon=True).start()
                raise

    def _make_again(self) -> None:
        """Make tables that somebody has dropped; what is measured from now on goes there."""
        with connect(self._conninfo) as connection:
            prepare(connection, self._schema, self.name)
        self.openings += 1

    def _sql(self, sql: str) -> bytes:
        return translated(sql, self._prefix)


def _server_limits() -> tuple[bytes, ...]:
    """Return statements that let the server give up, too, for the length of a transaction."""
    limits = {
        "statement_timeout": postgres_connection.STATEMENT_SECONDS,
        "lock_timeout": postgres_connection.LOCK_SECONDS,
    }
    return tuple(f"SET LOCAL {name} = {int(seconds * 1000)}".encode() for name, seconds in limits.items())
