"""A store in PostgreSQL, shared by many machines."""

from __future__ import annotations

import threading
import time as time_module
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from athena_tuning.extras import needs_extra
from athena_tuning.store.database import Database, Row, Transaction
from athena_tuning.store.errors import StoreError
from athena_tuning.store.postgres_listener import HeadListener
from athena_tuning.store.retention import DEFAULT, Retention
from athena_tuning.store.schema import CURRENT, MIGRATIONS
from athena_tuning.store.sql_metrics import SqlStore
from athena_tuning.store.text_policy import TextPolicy

with needs_extra("postgres", "PostgreSQL"):
    import psycopg
    import psycopg_pool
    from psycopg import errors
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

SCHEMA = "athena_tuning"
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 10


class PostgresStore(SqlStore):
    """A store in a schema of a PostgreSQL database; schema and tables are made if they are missing.

    Args:
        url: as libpq understands it, TLS settings included (``?sslmode=verify-full``).
        schema: holds the tables.
        text: what to keep of query texts.
        retention: how long what is kept.
        clock: Unix seconds; None: the process's clock, and the server's where all must agree (leases).

    Raises:
        StoreError: if the server cannot be reached, or the schema is not ours or newer than this program.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str = SCHEMA,
        text: TextPolicy | str = TextPolicy.KEEP,
        retention: Retention = DEFAULT,
        clock: Callable[[], float] | None = None,
    ) -> None:
        database = PostgresDatabase(url, schema, clock)
        super().__init__(database, text=text, retention=retention, clock=clock or time_module.time)
        if schema == SCHEMA and self._text is TextPolicy.KEEP:
            self.url = url


class PostgresDatabase(Database):
    """A pool of connections, and one that listens for new configs."""

    def __init__(self, url: str, schema: str, clock: Callable[[], float] | None) -> None:
        self._schema = schema
        self._clock = clock
        self._closed = False
        try:
            given = conninfo_to_dict(url)
        except psycopg.Error as exc:
            raise StoreError(f"postgresql://…: the URL is not understood ({exc})") from exc
        self.name = f"postgresql://{given.get('host') or 'localhost'}/{given.get('dbname') or ''}"
        conninfo = make_conninfo(url, **_settings(given, schema))
        with self._in_our_words():
            with psycopg.connect(conninfo) as connection:
                self._prepare(connection)
            self._pool = psycopg_pool.ConnectionPool(
                conninfo,
                min_size=1,
                max_size=8,
                timeout=CONNECT_SECONDS,
                kwargs={"autocommit": True},
                open=False,
                name=self.name,
            )
            self._pool.open()
        self._listener = HeadListener(conninfo, f"{schema}_config")

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """See ``Database``."""
        with self._connection() as connection:
            return connection.execute(_translated(sql), values, binary=True).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """See ``Database``."""
        with self._connection() as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            try:
                yield _PostgresTransaction(connection)
            finally:
                if not connection.broken:
                    connection.execute("ROLLBACK")

    @contextmanager
    def write(self, lock: str | None = None) -> Iterator[Transaction]:
        """See ``Database``. Statements whose rows nobody wants travel together with the commit."""
        with self._connection() as connection, connection.pipeline(), connection.transaction():
            if lock is not None:
                connection.execute(
                    b"SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{self._schema}.{lock}",)
                )
            yield _PostgresTransaction(connection)

    def now(self) -> float:
        """See ``Database``: the server's clock."""
        if self._clock is not None:
            return self._clock()
        [(now,)] = self.read("SELECT CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)")
        return float(now)

    def announce(self, transaction: Transaction, head: int) -> None:
        """See ``Database``."""
        transaction.run("SELECT pg_notify(?, ?)", (self._listener.channel, str(head)))
        self._listener.saw(head)

    def config_head(self) -> int:
        """See ``Database``: from memory while the listener lives, else asked for."""
        if self._closed:
            raise StoreError(f"{self.name}: the store is closed")
        head = self._listener.head()
        if head is None:
            [(head,)] = self.read("SELECT coalesce(max(version), 0) FROM config_versions")
            self._listener.saw(head)
        return head

    def close(self) -> None:
        """See ``Database``."""
        if not self._closed:
            self._closed = True
            self._listener.close()
            self._pool.close()

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Row]]:
        if self._closed:
            raise StoreError(f"{self.name}: the store is closed")
        with self._in_our_words():
            try:
                with self._pool.connection() as connection:
                    yield connection
            except psycopg.OperationalError:
                # A server that restarted leaves dead connections in the pool; the next call gets a new one.
                threading.Thread(target=self._pool.check, name="postgres-check", daemon=True).start()
                raise

    def _prepare(self, connection: psycopg.Connection[Row]) -> None:
        """Check that the schema is ours and bring its tables up to date."""
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (self._schema,))
        found = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (self._schema,)
        )
        tables = {name for (name,) in found}
        if tables and "schema_version" not in tables:
            raise StoreError(f"{self.name}: the schema {self._schema} belongs to something else")
        version = 0
        if tables:
            [(version,)] = connection.execute("SELECT version FROM schema_version").fetchall()
        if version > CURRENT:
            raise StoreError(
                f"{self.name}: a store of schema version {version}, made by a newer athena_tuning; this one"
                f" knows versions up to {CURRENT}: update it, or name another database"
            )
        if version == CURRENT:
            return
        if not tables:
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{self._schema}"'.encode())
            connection.execute("CREATE TABLE schema_version (version BIGINT NOT NULL)")
            connection.execute("INSERT INTO schema_version VALUES (0)")
        for step in MIGRATIONS[version:]:
            for statement in step:
                connection.execute(_in_dialect(statement))
        connection.execute("UPDATE schema_version SET version = %s", (CURRENT,))

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.Error, psycopg_pool.PoolTimeout, psycopg_pool.PoolClosed) as exc:
            raise StoreError(f"{self.name}: {_meaning(exc)}") from exc


class _PostgresTransaction:
    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        return self._connection.execute(_translated(sql), values, binary=True).fetchall()

    def run(self, sql: str, values: Sequence[Any] = ()) -> None:
        self._connection.execute(_translated(sql), values)

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(_translated(sql), rows)


@lru_cache(maxsize=256)
def _translated(sql: str) -> bytes:
    """Return a statement with PostgreSQL's mark for values."""
    return sql.replace("%", "%%").replace("?", "%s").encode()


def _in_dialect(statement: str) -> bytes:
    key = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    # Segments are dense already: PostgreSQL need not try to compress them.
    return statement.format(blob="BYTEA STORAGE EXTERNAL", key=key, compact="").encode()


def _settings(given: dict[str, Any], schema: str) -> dict[str, Any]:
    """Return connection settings: ours where the URL has none."""
    ours = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "athena_tuning",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }
    options = (
        f"-c statement_timeout={STATEMENT_SECONDS * 1000} -c lock_timeout={CONNECT_SECONDS * 1000}"
        f" {given.get('options') or ''} -c search_path={schema}"
    )
    return {name: value for name, value in ours.items() if name not in given} | {"options": options}


_MEANINGS: tuple[tuple[type[Exception], str], ...] = (
    (psycopg_pool.PoolTimeout, f"no connection within {CONNECT_SECONDS} s; check that the server runs"),
    (psycopg_pool.PoolClosed, "the store is closed"),
    (errors.DiskFull, "the server's disk is full; make room, writing goes on by itself"),
    (errors.ReadOnlySqlTransaction, "the database only reads (a standby?); name the one that writes"),
    (errors.InsufficientPrivilege, "this user may not; grant it the schema, or CREATE on the database"),
    (errors.QueryCanceled, f"it took longer than {STATEMENT_SECONDS} s"),
    (errors.LockNotAvailable, f"another session has kept it locked for more than {CONNECT_SECONDS} s"),
    (errors.DataCorrupted, "the server found damaged data; restore a copy"),
    (psycopg.OperationalError, "the server cannot be reached, or broke off"),
)


def _meaning(error: Exception) -> str:
    said = " ".join(str(error).split())
    for kind, words in _MEANINGS:
        if isinstance(error, kind):
            return f"{words} ({said})" if said else words
    return said
