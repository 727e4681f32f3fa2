"""A store in one SQLite file, shared by the processes of one machine."""

from __future__ import annotations

import random
import threading
import time as time_module
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from athena_tuning import fork
from athena_tuning.sqlite_library import stop_memory_statistics
from athena_tuning.store.database import Database, Row, Transaction
from athena_tuning.store.errors import StoreError
from athena_tuning.store.retention import DEFAULT, Retention
from athena_tuning.store.schema import CURRENT, MIGRATIONS
from athena_tuning.store.sql_metrics import SqlStore
from athena_tuning.store.text_policy import TextPolicy

APPLICATION_ID = 0x41545354
BUSY_SECONDS = 5.0

_DIALECT = {
    "schema": "",
    "blob": "BLOB",
    "key": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "compact": " WITHOUT ROWID",
}


class SqliteStore(SqlStore):
    """A store in a SQLite file in WAL mode; it is made if it is missing.

    Args:
        path: the file.
        text: what to keep of query texts.
        retention: how long what is kept.
        clock: Unix seconds.
        monotonic: seconds that never jump, for leases.

    Raises:
        StoreError: if the file is not a store, newer than this program, damaged or not writable.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        text: TextPolicy | str = TextPolicy.KEEP,
        retention: Retention = DEFAULT,
        clock: Callable[[], float] = time_module.time,
        monotonic: Callable[[], float] = time_module.monotonic,
    ) -> None:
        database = SqliteDatabase(Path(path), clock)
        super().__init__(database, text=text, retention=retention, clock=clock, monotonic=monotonic)
        if self._text is TextPolicy.KEEP:
            self.url = f"sqlite:///{Path(path).resolve()}"


class SqliteDatabase(Database):
    """Connections to one SQLite file: one that writes, and as many that read as there are readers at once.

    While the process forks all are closed, because SQLite cannot share one with a child.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.name = str(path)
        self._path = path
        self._clock = clock
        self._free: deque[apsw.Connection] = deque()
        self._write_lock = threading.Lock()
        self._gate = fork.Gate()
        self._closed = self._is_the_parents = False
        stop_memory_statistics()
        if not path.parent.is_dir():
            raise StoreError(f"{path}: the folder {path.parent} does not exist; make it or name another file")
        with self._in_our_words():
            self._writer: apsw.Connection | None = self._connect()
            try:
                self._prepare(self._writer)
            except BaseException:
                self._writer.close()
                raise
        fork.register(self)

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """See ``Database``."""
        with self._in_our_words(), self._reader() as connection:
            return connection.execute(sql, values).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """See ``Database``."""
        with self._in_our_words(), self._reader() as connection:
            connection.execute("BEGIN")
            try:
                yield _SqliteTransaction(connection)
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def write(self, lock: str | None = None) -> Iterator[Transaction]:
        """See ``Database``; SQLite's writers run one after the other anyway."""
        with self._in_our_words(), self._gate, self._write_lock:
            self._refuse_closed()
            writer = self._writer = self._writer or self._connect()
            writer.execute("BEGIN IMMEDIATE")
            try:
                yield _SqliteTransaction(writer)
                writer.execute("COMMIT")
            except BaseException:
                if writer.in_transaction:
                    writer.execute("ROLLBACK")
                raise

    def now(self) -> float:
        """See ``Database``: all processes on a machine have its clock."""
        return self._clock()

    def announce(self, transaction: Transaction, head: int) -> None:
        """See ``Database``: the new row is the announcement."""

    def config_head(self) -> int:
        """See ``Database``."""
        [(head,)] = self.read("SELECT max(version) FROM main.config_versions")
        return head or 0

    def close(self) -> None:
        """See ``Database``."""
        with self._write_lock:
            if self._closed:
                return
            self._closed = True
            self._close_free()

    def rest_before_fork(self, until: float) -> None:
        """See ``Resting``."""
        self._is_the_parents = not self._gate.shut(until)
        if not self._is_the_parents:
            self._close_free()

    def go_on_after_fork(self) -> None:
        """See ``Resting``."""
        self._is_the_parents = False
        self._gate.open()

    def renew_after_fork(self) -> None:
        """See ``Renewable``."""
        self._gate, self._write_lock = fork.Gate(), threading.Lock()
        if self._is_the_parents:
            fork.leave_behind(self._writer, *self._free)
            self._writer, self._free = None, deque()

    def _close_free(self) -> None:
        while self._free:
            self._free.pop().close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @contextmanager
    def _reader(self) -> Iterator[apsw.Connection]:
        with self._gate:
            try:
                connection = self._free.pop()
            except IndexError:
                connection = self._connect()
            try:
                yield connection
            finally:
                if self._closed:
                    connection.close()
                else:
                    self._free.append(connection)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StoreError(f"{self.name}: the store is closed")
        if self._is_the_parents:
            raise StoreError(
                f"{self.name}: the store was in use when the process forked, and SQLite cannot share that:"
                " open it anew in this process"
            )

    def _connect(self) -> apsw.Connection:
        self._refuse_closed()
        connection = apsw.Connection(self.name)
        connection.set_busy_handler(_Patience())
        return connection

    def _prepare(self, connection: apsw.Connection) -> None:
        """Check that the file is ours and bring its tables up to date."""
        self._check_mark(connection)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "normal")
        if connection.pragma("user_version") == CURRENT:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._check_mark(connection)
            version = connection.pragma("user_version")
            for step in MIGRATIONS[version:]:
                for statement in step:
                    connection.execute(statement.format_map(_DIALECT))
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", CURRENT)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _check_mark(self, connection: apsw.Connection) -> None:
        mark, version = connection.pragma("application_id"), connection.pragma("user_version")
        empty = mark == 0 and connection.pragma("schema_version") == 0
        if mark != APPLICATION_ID and not empty:
            raise StoreError(f"{self.name}: this database belongs to something else; name another file")
        if version > CURRENT:
            raise StoreError(
                f"{self.name}: a store of schema version {version}, made by a newer athena_tuning; this one"
                f" knows versions up to {CURRENT}: update it, or name another file"
            )

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except apsw.Error as exc:
            raise StoreError(f"{self.name}: {_meaning(exc)}") from exc


class _Patience:
    """Waits for a lock in short steps of chance length, so that of many writers none is left behind.

    SQLite's own steps grow to 100 ms: under load the one that has waited longest looks least often.
    """

    def __init__(self) -> None:
        self._until = 0.0

    def __call__(self, looked_before: int) -> bool:
        now = time_module.monotonic()
        if looked_before == 0:
            self._until = now + BUSY_SECONDS
        if now >= self._until:
            return False
        time_module.sleep(random.uniform(0.0002, 0.002))
        return True


class _SqliteTransaction:
    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        return self._connection.execute(sql, values).fetchall()

    def run(self, sql: str, values: Sequence[Any] = ()) -> None:
        self._connection.execute(sql, values)

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._connection.executemany(sql, rows)


_MEANINGS: tuple[tuple[type[apsw.Error], str], ...] = (
    (apsw.NotADBError, "this is no database; name another file"),
    (apsw.CorruptError, "the file is damaged; put it aside and start a new one, or restore a copy"),
    (apsw.FullError, "the disk is full; make room, writing goes on by itself"),
    (apsw.ReadOnlyError, "the file cannot be written; give this user the right to, also to its folder"),
    (apsw.PermissionsError, "the file cannot be opened by this user; change its rights"),
    (apsw.CantOpenError, "the file cannot be opened; check path and rights of file and folder"),
    (apsw.BusyError, f"another process has kept it locked for more than {BUSY_SECONDS:g} s"),
    (apsw.IOError, "the disk refuses to read or write; check disk and file system"),
)


def _meaning(error: apsw.Error) -> str:
    for kind, words in _MEANINGS:
        if isinstance(error, kind):
            return f"{words} ({error})"
    return str(error)
