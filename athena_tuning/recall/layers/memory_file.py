"""The SQLite file under the built-in layers."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from athena_tuning.locations import make_private_file

APPLICATION_ID = 0x41544D45


class MemoryFile:
    """Connections to one file: many readers at once, one writer.

    A reader's connection serves one thread at a time and goes back to a free list, so that short-lived
    threads do not each open one. The file is in WAL mode, where readers and the writer do not wait for each
    other. SQLite's memory statistics are off, because their lock makes parallel reads take turns.

    Args:
        path: the file; ":memory:" is a temporary file that is deleted on ``close``.

    Raises:
        ValueError: if the path cannot be opened as a memory.
    """

    def __init__(self, path: Path | str) -> None:
        self._folder = None
        if str(path) == ":memory:":
            self._folder = tempfile.TemporaryDirectory(prefix="athena-memory-")
            path = Path(self._folder.name) / "memory.db"
        self.path = Path(path)
        self._free: deque[_Reader] = deque()
        self._write_lock = threading.Lock()
        self._closed = False
        make_private_file(self.path)
        try:
            self._writer = self._open()
        except (apsw.Error, OSError) as exc:
            raise ValueError(f"{path} cannot be opened as a memory: {exc}") from exc

    def read(self, sql: str, bindings: Sequence[Any] = (), deadline: float | None = None) -> list[Any]:
        """Return all rows of a query.

        Raises:
            TimeoutError: if SQLite was interrupted because ``deadline`` (monotonic seconds) passed.
        """
        try:
            reader = self._free.pop()
        except IndexError:
            if self._closed:
                raise RuntimeError("the memory is closed") from None
            reader = _Reader(self._open())
        reader.deadline = deadline
        try:
            return reader.connection.execute(sql, bindings).fetchall()
        except apsw.InterruptError:
            raise TimeoutError("interrupted at its deadline") from None
        finally:
            if self._closed:
                reader.connection.close()
            else:
                self._free.append(reader)

    @contextmanager
    def write(self) -> Iterator[apsw.Connection]:
        """Give the writing connection in a transaction, which an exception rolls back.

        Raises:
            TimeoutError: if another process writes for longer than 5 s.
        """
        with self._write_lock:
            if self._closed:
                raise RuntimeError("the memory is closed")
            try:
                self._writer.execute("BEGIN IMMEDIATE")
            except apsw.BusyError:
                raise TimeoutError(f"another process is writing to {self.path}") from None
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close all connections; one that is reading closes when it has ended."""
        with self._write_lock:
            self._closed = True
            while self._free:
                self._free.pop().connection.close()
            self._writer.close()
        if self._folder is not None:
            self._folder.cleanup()

    def _open(self) -> apsw.Connection:
        connection = apsw.Connection(str(self.path))
        connection.set_busy_timeout(5000)
        schema = connection.pragma("schema_version")  # first: whoever makes the schema has set the mark
        mark = connection.pragma("application_id")
        if mark != APPLICATION_ID and (mark != 0 or schema != 0):
            connection.close()
            raise ValueError(f"{self.path} is a database of something else")
        if mark == 0:
            connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "normal")
        connection.pragma("temp_store", "memory")
        return connection


class _Reader:
    """A connection that interrupts its own query at a deadline."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.deadline: float | None = None
        connection.set_progress_handler(self._is_late, 1000)

    def _is_late(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline


def _switch_statistics_off() -> None:
    """Stop SQLite from counting its memory, which it does under one lock for all threads.

    It can only be told so while it is at rest, and importing ``apsw`` wakes it up: so it is sent back to
    rest first, unless somebody has a connection already; then everything stays as it is.
    """
    if not apsw.connections():
        apsw.shutdown()
        apsw.config(apsw.SQLITE_CONFIG_MEMSTATUS, False)
        apsw.initialize()


_switch_statistics_off()  # when this is imported: later, some thread may be opening a connection
