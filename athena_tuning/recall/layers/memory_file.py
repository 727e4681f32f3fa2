"""The SQLite file under the built-in layers."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import finalize

import apsw

from athena_tuning import fork
from athena_tuning.locations import make_private_file
from athena_tuning.sqlite_library import stop_memory_statistics, write_beside_readers

APPLICATION_ID = 0x41544D45
BUSY_SECONDS = 5.0


class MemoryFile:
    """Connections to one file: many readers at once, one writer.

    A reader's connection serves one thread at a time and goes back to a free list, so that short-lived
    threads do not each open one. The file is in WAL mode, where readers and the writer do not wait for each
    other. While the process forks all connections are closed, because SQLite cannot share one with a child.

    Args:
        path: the file; ":memory:" is a temporary file that is deleted on ``close``.

    Raises:
        ValueError: if the path cannot be opened as a memory.
    """

    def __init__(self, path: Path | str) -> None:
        stop_memory_statistics()
        self._remove: Callable[[], object] = lambda: None
        if str(path) == ":memory:":
            folder = Path(tempfile.mkdtemp(prefix="athena-memory-"))
            self._remove = finalize(self, _remove_folder, folder, os.getpid())
            path = folder / "memory.db"
        self.path = Path(path)
        self._free: deque[_Reader] = deque()
        self._write_lock = threading.Lock()
        self._gate = fork.Gate()
        self._closed = self._is_the_parents = False
        make_private_file(self.path)
        try:
            self._writer: apsw.Connection | None = self._open()
        except (apsw.Error, OSError) as exc:
            raise ValueError(f"{path} cannot be opened as a memory: {exc}") from exc
        fork.register(self)

    def read(self, sql: str, bindings: Sequence[Any] = (), deadline: float | None = None) -> list[Any]:
        """Return all rows of a query.

        Raises:
            TimeoutError: if SQLite was interrupted because ``deadline`` (monotonic seconds) passed.
        """
        with self._gate:
            try:
                reader = self._free.pop()
            except IndexError:
                self._check_open()
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
    def write(self, wait_seconds: float = BUSY_SECONDS) -> Iterator[apsw.Connection]:
        """Give the writing connection in a transaction, which an exception rolls back.

        Args:
            wait_seconds: how long to wait for another process that writes.

        Raises:
            TimeoutError: if it writes for longer.
        """
        with self._gate, self._write_lock:
            self._check_open()
            writer = self._writer = self._writer or self._open()
            writer.set_busy_timeout(int(wait_seconds * 1000))
            try:
                writer.execute("BEGIN IMMEDIATE")
            except apsw.BusyError:
                raise TimeoutError(f"another process is writing to {self.path}") from None
            try:
                yield writer
                writer.execute("COMMIT")
            except BaseException:
                if writer.in_transaction:
                    writer.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close all connections; one that is reading closes when it has ended."""
        with self._write_lock:
            self._closed = True
            self._close_free()
        self._remove()

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
            self._free.pop().connection.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the memory is closed")
        if self._is_the_parents:
            raise RuntimeError(
                f"{self.path} was in use when the process forked, and SQLite cannot share that: open the"
                " memory anew in this process"
            )

    def _open(self) -> apsw.Connection:
        connection = apsw.Connection(str(self.path))
        connection.set_busy_timeout(int(BUSY_SECONDS * 1000))
        schema = connection.pragma("schema_version")  # first: whoever makes the schema has set the mark
        mark = connection.pragma("application_id")
        if mark != APPLICATION_ID and (mark != 0 or schema != 0):
            connection.close()
            raise ValueError(f"{self.path} is a database of something else")
        if mark == 0:
            connection.pragma("application_id", APPLICATION_ID)
        write_beside_readers(connection, BUSY_SECONDS)
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


def _remove_folder(folder: Path, process: int) -> None:
    """Remove a temporary memory, unless by a child of the process that made it."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
