"""A store in one SQLite file, shared by the processes of one machine."""

from __future__ import annotations

import logging
import threading
import time as time_module
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from athena_tuning import fork, locations
from athena_tuning.sqlite_library import stop_memory_statistics
from athena_tuning.store import sqlite_connection
from athena_tuning.store.database import Database, Row, Transaction
from athena_tuning.store.errors import StoreError
from athena_tuning.store.file_findings import disk, rights
from athena_tuning.store.findings import Finding, advice, good
from athena_tuning.store.identity import POSITION
from athena_tuning.store.retention import DEFAULT, Retention
from athena_tuning.store.sql_metrics import SqlStore
from athena_tuning.store.sqlite_connection import LONGEST_LOOK_SECONDS, close, connect, in_our_words
from athena_tuning.store.sqlite_file import Settling, WatchedFile, count_on
from athena_tuning.store.sqlite_schema import SqliteTransaction, prepare
from athena_tuning.store.text_policy import TextPolicy
from athena_tuning.store.upkeep import step

logger = logging.getLogger(__name__)

INCREMENTAL = 2
"""SQLite's number for an ``auto_vacuum`` in steps."""
_LOG_BYTES = 8_000_000
"""A write-ahead log that grew longer is cut to this when SQLite begins it anew."""
_PAGES_A_STEP = 200
_SPARE_PAGES, _SPARE_SHARE = 250, 0.1
"""So many pages, or such a share of the file, stay free for what is written next."""


class SqliteStore(SqlStore):
    """A store in a SQLite file in WAL mode; it is made if it is missing, for this user alone.

    A file that is deleted, replaced or overwritten under it is noticed at the next call; it goes on with
    what is there then.

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
        if self.texts is TextPolicy.KEEP:
            self.url = f"sqlite:///{Path(path).resolve()}"


class SqliteDatabase(Database):
    """Connections to one SQLite file: one that writes, and as many that read as there are readers at once.

    While the process forks all are closed, because SQLite cannot share one with a child.
    """

    pause_seconds = 2 * LONGEST_LOOK_SECONDS

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.name = str(path)
        self._path = path
        self._clock = clock
        self._write_lock = threading.RLock()
        self._settling = Settling(path)
        self._left: WatchedFile | None = None
        self._gate = fork.Gate()
        self._closed = self._is_the_parents = self._config_in_log = False
        stop_memory_statistics()
        with in_our_words(self.name):
            self._opened: _Opened | None = self._open()
        fork.register(self)

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """See ``Database``."""
        with in_our_words(self.name), self._reader() as connection:
            return connection.execute(sql, values).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """See ``Database``."""
        with in_our_words(self.name), self._reader() as connection:
            connection.execute("BEGIN")
            try:
                yield SqliteTransaction(connection)
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def write(self, lock: str | None = None) -> Iterator[Transaction]:
        """See ``Database``; SQLite's writers run one after the other anyway."""
        with in_our_words(self.name), self._gate, self._turn():
            self._refuse_closed()
            opened = self._opened
            if opened is None or opened.file.change(opened.writer):
                opened = self._reopened()
            writer = opened.writer
            writer.execute("BEGIN IMMEDIATE")
            try:
                yield SqliteTransaction(writer)
                writer.execute("COMMIT")
            except BaseException:
                if writer.in_transaction:
                    writer.execute("ROLLBACK")
                raise
            if what := opened.file.change(writer):
                raise StoreError(f"{self.name}: the file was {what} while this was written; write it again")

    def now(self) -> float:
        """See ``Database``: all processes on a machine have its clock."""
        return self._clock()

    def announce(self, transaction: Transaction, head: int) -> None:
        """See ``Database``: the new row is the announcement. The file itself can be told apart by it, too."""
        if self._opened is not None:
            count_on(self._opened.writer)

    def announced(self, head: int) -> None:
        """See ``Database``: configs come into the file itself soon, so that a copy of it has them."""
        self._config_in_log = True

    def position(self) -> Row:
        """See ``Database``."""
        if self._config_in_log:
            self._config_in_log = False
            self._empty_log()
        [row] = self.read(f"SELECT {POSITION} FROM main.identity")
        return row

    def shrink(self) -> None:
        """See ``Database``. An older program's file has to be compacted once before (``store compact``)."""
        if self._frees_pages() and self._has_much_free():
            while self._has_much_free():
                with step(self) as transaction:
                    transaction.execute(f"PRAGMA incremental_vacuum({_PAGES_A_STEP})")
            self._empty_log()

    def _empty_log(self) -> None:
        """Bring the write-ahead log into the file, if nobody else is at it."""
        try:
            with self._reader() as connection:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except (apsw.Error, StoreError) as exc:
            logger.debug("%s: what was written is in the write-ahead log only, for now: %s", self.name, exc)

    def _frees_pages(self) -> bool:
        return self.read("PRAGMA auto_vacuum") == [(INCREMENTAL,)]

    def _has_much_free(self) -> bool:
        [(pages,)], [(free,)] = self.read("PRAGMA page_count"), self.read("PRAGMA freelist_count")
        return bool(free > max(_SPARE_PAGES, pages * _SPARE_SHARE))

    def examine(self) -> list[Finding]:
        """See ``Database``."""
        layout = good("store file", f"{self.name} gives back to the disk what is free")
        if not self._frees_pages():
            layout = advice(
                "store file",
                f"{self.name} was made by an older program and never shrinks",
                "athena-tuning store compact",
            )
        return [rights("store file", self._path), disk("store file", self._path), layout]

    def close(self) -> None:
        """See ``Database``."""
        if self._config_in_log and not self._closed:
            self._empty_log()
        with self._turn():
            if self._closed:
                return
            self._closed = True
            if self._opened is not None:
                self._opened.close()

    def rest_before_fork(self, until: float) -> None:
        """See ``Resting``."""
        self._is_the_parents = not self._gate.shut(until)
        if not self._is_the_parents and self._opened is not None:
            self._opened.rest()

    def go_on_after_fork(self) -> None:
        """See ``Resting``."""
        self._is_the_parents = False
        self._gate.open()

    def renew_after_fork(self) -> None:
        """See ``Renewable``."""
        self._gate, self._write_lock = fork.Gate(), threading.RLock()
        if self._is_the_parents:
            fork.leave_behind(self._opened)
            self._opened = None

    @contextmanager
    def _reader(self) -> Iterator[apsw.Connection]:
        with self._gate:
            opened, connection = self._current_reader()
            try:
                yield connection
            finally:
                if self._closed or opened is not self._opened:
                    close(connection, keep_log=opened is not self._opened)
                else:
                    opened.free.append(connection)

    def _current_reader(self) -> tuple[_Opened, apsw.Connection]:
        """Return a connection that reads the file which is there, and what it belongs to."""
        self._refuse_closed()
        opened = self._opened or self._reopened()
        while True:
            try:
                connection = opened.free.pop()
            except IndexError:
                connection = connect(self.name)
            if opened.file.change(connection) is None:
                return opened, connection
            opened.free.append(connection)
            opened = self._reopened()

    def _reopened(self) -> _Opened:
        """Open what is there now, if something was done to what was open."""
        with self._turn():
            self._refuse_closed()
            opened = self._opened
            if opened is not None:
                what = opened.file.change(opened.writer)
                if what is None:
                    return opened  # another thread was quicker, or it was put right
                if not opened.file.is_taken_over():  # it would not be still while others write to it
                    self._settling.check(what)
                self._opened, self._left, self.incident = None, opened.file, self.incident or what
                opened.close()
            if self._left is not None:
                self._left.let_go()
                self._left = None
            self._opened = self._open()
            self._settling = Settling(self._path)
            self.openings += 1
            return self._opened

    def _open(self) -> _Opened:
        if not self._path.parent.is_dir():
            raise StoreError(
                f"{self.name}: the folder {self._path.parent} does not exist; make it or name another file"
            )
        locations.make_private_file(self._path)
        opened = _Opened(self.name, WatchedFile(self._path))
        try:
            prepare(opened.writer, self.name)
        except BaseException:
            opened.close()
            raise
        return opened

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let one thread at a time write or open; one that is stuck does not hold the others for ever."""
        if not self._write_lock.acquire(timeout=2 * sqlite_connection.BUSY_SECONDS):
            raise StoreError(
                f"{self.name}: another thread has been writing for more than"
                f" {2 * sqlite_connection.BUSY_SECONDS:g} s; check disk and file system"
            )
        try:
            yield
        finally:
            self._write_lock.release()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StoreError(f"{self.name}: the store is closed")
        if self._is_the_parents:
            raise StoreError(
                f"{self.name}: the store was in use when the process forked, and SQLite cannot share that:"
                " open it anew in this process"
            )


class _Opened:
    """One opening of the file: a connection that writes, those that read and are free, and the file."""

    def __init__(self, name: str, file: WatchedFile) -> None:
        self.file = file
        self.free: deque[apsw.Connection] = deque()
        self._name = name
        self._writer: apsw.Connection | None = None

    @property
    def writer(self) -> apsw.Connection:
        """The connection that writes, for whoever has the turn."""
        if self._writer is None:
            self._writer = connect(self._name)
            self._writer.pragma("synchronous", "normal")
            self._writer.pragma("journal_size_limit", _LOG_BYTES)
            self._writer.set_wal_hook(self.file.checkpoint)
        return self._writer

    def rest(self) -> None:
        """Close all for a while; the file stays watched."""
        self.close()
        self.file.forget_log()

    def close(self) -> None:
        """Close all that is free, and what writes; no log is brought into another file than its own."""
        keep_log = self.file.change(self._writer) is not None
        while self.free:
            close(self.free.pop(), keep_log=keep_log)
        if self._writer is not None:
            close(self._writer, keep_log=keep_log)
            self._writer = None
