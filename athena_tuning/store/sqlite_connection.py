"""How a SQLite file is opened: patience with locks, and errors in our words."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from athena_tuning.store.errors import StoreError

BUSY_SECONDS = 5.0
LONGEST_LOOK_SECONDS = 0.002
"""Who waits for a lock looks at least so often."""


def connect(name: str) -> apsw.Connection:
    """Open a connection that waits for locks, ``BUSY_SECONDS`` at most."""
    connection = apsw.Connection(name)
    connection.set_busy_handler(_Patience())
    return connection


def close(connection: apsw.Connection, *, keep_log: bool) -> None:
    """Close a connection; with ``keep_log`` without bringing the write-ahead log into the file."""
    if keep_log:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.close()


@contextmanager
def in_our_words(name: str) -> Iterator[None]:
    """Turn SQLite's errors into a ``StoreError`` that names the file and the way out."""
    try:
        yield
    except apsw.Error as exc:
        raise StoreError(f"{name}: {_meaning(exc)}") from exc


class _Patience:
    """Waits for a lock in short steps of chance length, so that of many writers none is left behind.

    SQLite's own steps grow to 100 ms: under load the one that has waited longest looks least often.
    """

    def __init__(self) -> None:
        self._until = 0.0

    def __call__(self, looked_before: int) -> bool:
        now = time.monotonic()
        if looked_before == 0:
            self._until = now + BUSY_SECONDS
        if now >= self._until:
            return False
        time.sleep(random.uniform(0.1, 1.0) * LONGEST_LOOK_SECONDS)
        return True


_MEANINGS: tuple[tuple[type[apsw.Error], str], ...] = (
    (apsw.NotADBError, "this is no database; name another file"),
    (
        apsw.CorruptError,
        "the file is damaged; `athena-tuning store repair` saves what can be read of it, `store restore FILE`"
        " puts a backup in its place",
    ),
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
