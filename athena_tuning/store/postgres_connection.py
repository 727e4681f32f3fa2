"""How a PostgreSQL server is reached: settings, deadlines of our own, and errors in our words."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

from athena_tuning.extras import needs_extra
from athena_tuning.store.database import Row
from athena_tuning.store.errors import StoreError

with needs_extra("postgres", "PostgreSQL"):
    import psycopg
    import psycopg_pool
    from psycopg import errors
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

CONNECT_SECONDS = 5
CALL_SECONDS = 10
STATEMENT_SECONDS = 9  # the server's limit comes before ours, so that it is the one to say what was slow
LOCK_SECONDS = 5

_LOOK_SECONDS = 0.1

Answer = TypeVar("Answer")


class DeadlinePassed(psycopg.OperationalError):
    """A call was given up on this side, whatever the server does."""


class TimedConnection(psycopg.Connection[Row]):
    """A connection whose calls end in time even if the server never answers.

    A server's own time limit is no help against a server that is stopped, or a network that swallows
    packets. What a call waits for is looked at ten times a second; past the deadline the connection is
    closed, and with it whatever state it was left in.

    Attributes:
        ends: until when the present calls may last, monotonic seconds; None: each by itself
            ``CALL_SECONDS``.
    """

    ends: float | None = None

    def wait(
        self,
        gen: Generator[Any, Any, Answer],
        interval: float = _LOOK_SECONDS,
        timeout: float | None = None,
    ) -> Answer:
        """Wait for an answer of the server, as psycopg does, but not beyond the deadline."""
        ends = time.monotonic() + CALL_SECONDS if self.ends is None else self.ends
        more = {} if timeout is None else {"timeout": timeout}  # not every version of psycopg knows it
        try:
            return super().wait(_until(gen, ends), min(interval, _LOOK_SECONDS), **more)
        except DeadlinePassed:
            self.close()
            raise


def _until(gen: Generator[Any, Any, Answer], ends: float) -> Generator[Any, Any, Answer]:
    """Go through psycopg's steps of a call; give up where the deadline finds them waiting."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() >= ends:
                gen.close()
                raise DeadlinePassed("no answer in time")
            wanted = gen.send(ready)
    except StopIteration as done:
        answer: Answer = done.value
        return answer


def address(url: str) -> tuple[str, str]:
    """Return what libpq is told, and what people are told: no password in it.

    Raises:
        StoreError: if the URL is not understood; nothing of it is quoted, for it may be a password.
    """
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:
        given = {}
    host, database, port = (str(given.get(name) or "") for name in ("host", "dbname", "port"))
    misread = "@" in host + database or not all(one.isdigit() or not one for one in port.split(","))
    if not given or misread:
        raise StoreError(
            "postgresql://…: the URL is not understood. It reads"
            " postgresql://USER:PASSWORD@HOST:PORT/DATABASE?SETTING=VALUE; where USER or PASSWORD has"
            " one of / @ % write %2F %40 %25"
        )
    ours: dict[str, str | int] = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "athena_tuning",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }
    settings = {name: value for name, value in ours.items() if name not in given}
    return make_conninfo(url, **settings), f"postgresql://{host or 'localhost'}/{database}"


def connect(conninfo: str) -> TimedConnection:
    """Open a connection that leaves nothing behind in the server after a transaction."""
    return TimedConnection.connect(conninfo, autocommit=True, prepare_threshold=None)


def open_pool(conninfo: str, name: str, *, pooled: bool) -> psycopg_pool.ConnectionPool[TimedConnection]:
    """Open the connections of a store, at most eight.

    Args:
        conninfo: of the server.
        name: for its log.
        pooled: a pooler stands before the server, which gives each transaction another server connection:
            then no statement is prepared, for the next one would not find it.
    """
    settings: dict[str, Any] = {"autocommit": True} | ({"prepare_threshold": None} if pooled else {})
    pool = psycopg_pool.ConnectionPool(
        conninfo,
        connection_class=TimedConnection,
        min_size=1,
        max_size=8,
        timeout=CONNECT_SECONDS,
        kwargs=settings,
        open=False,
        name=name,
    )
    pool.open()
    return pool


def is_pooled(connection: psycopg.Connection[Any]) -> bool:
    """Return whether a pooler such as PgBouncer stands before the server.

    It answers for the server with a process number of its own making, since it stands for many.
    """
    [(pid,)] = connection.execute("SELECT pg_backend_pid()").fetchall()
    return bool(pid != connection.info.backend_pid)


class PostgresTransaction:
    """A ``Transaction`` on a connection that is in one.

    Args:
        connection: in a transaction.
        prefix: what stands before each table.
    """

    def __init__(self, connection: psycopg.Connection[Any], prefix: str) -> None:
        self._connection = connection
        self._prefix = prefix

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """See ``Transaction``."""
        return self._connection.execute(translated(sql, self._prefix), values, binary=True).fetchall()

    def run(self, sql: str, values: Sequence[Any] = ()) -> None:
        """See ``Transaction``."""
        self._connection.execute(translated(sql, self._prefix), values)

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """See ``Transaction``."""
        with self._connection.cursor() as cursor:
            cursor.executemany(translated(sql, self._prefix), rows)


@lru_cache(maxsize=256)
def translated(sql: str, prefix: str) -> bytes:
    """Return a statement with PostgreSQL's mark for values and the schema before each table."""
    return sql.replace("%", "%%").replace("?", "%s").replace("main.", prefix.replace("%", "%%")).encode()


@contextmanager
def in_our_words(name: str) -> Iterator[None]:
    """Turn psycopg's errors into a ``StoreError`` that names the store and the way out."""
    try:
        yield
    except (psycopg.Error, psycopg_pool.PoolTimeout, psycopg_pool.PoolClosed) as exc:
        raise StoreError(f"{name}: {_meaning(exc)}") from exc


_MEANINGS: tuple[tuple[type[Exception], str], ...] = (
    (psycopg_pool.PoolTimeout, f"no connection within {CONNECT_SECONDS} s; check that the server runs"),
    (psycopg_pool.PoolClosed, "the store is closed"),
    (DeadlinePassed, f"the server did not answer within {CALL_SECONDS} s; it is stopped, or out of reach"),
    (errors.DiskFull, "the server's disk is full; make room, writing goes on by itself"),
    (errors.ReadOnlySqlTransaction, "the database only reads (a standby?); name the one that writes"),
    (
        errors.InsufficientPrivilege,
        "this user may not; grant it USAGE on the schema and SELECT, INSERT, UPDATE, DELETE on its tables,"
        " or let it make the schema (docs/stores.md)",
    ),
    (errors.QueryCanceled, f"it took longer than {STATEMENT_SECONDS} s"),
    (errors.LockNotAvailable, f"another session has kept it locked for more than {LOCK_SECONDS} s"),
    (errors.DataCorrupted, "the server found damaged data; restore a copy"),
    (psycopg.OperationalError, "the server cannot be reached, or broke off"),
)


def _meaning(error: Exception) -> str:
    message = " ".join(str(error).split())
    if "unsupported startup parameter" in message:
        return (
            "the pooler before the server (PgBouncer) refuses a setting; take it out of the URL, or name it"
            f" in the pooler's ignore_startup_parameters ({message})"
        )
    for kind, words in _MEANINGS:
        if isinstance(error, kind):
            return f"{words} ({message})" if message else words
    return message
