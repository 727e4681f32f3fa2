"""A SQLite file that is in use, and the noticing that another one has taken its place.

SQLite itself goes on with a file that was deleted or moved away, and would mix its write-ahead log into a
file that was copied over it.
"""

from __future__ import annotations

import logging
import os
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from athena_tuning.store.errors import StoreError
from athena_tuning.store.sqlite_schema import APPLICATION_ID

logger = logging.getLogger(__name__)

_LONG_LOG_PAGES = 1000
_COMPARE_SECONDS = 0.5
_SETTLE_SECONDS = 0.5
_ABANDONED_SECONDS = 60.0
_MAGIC = b"SQLite format 3\0"
_SCHEMA_COUNT, _APPLICATION = slice(40, 44), slice(68, 72)  # places in the file's header


class WatchedFile:
    """The file behind some connections.

    Most changes show in the file's inode, which is looked at before each call. A copy over the file leaves
    its inode: that shows in the header, which counts changes of the schema and which SQLite changes only at
    a checkpoint. ``count_on`` moves that count on, so that a copy of an earlier state is known by it.

    Args:
        path: of the file, which is there and not open here yet.
        monotonic: seconds that never jump.
    """

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._places = str(path), str(_beside(path, "-wal")), str(_beside(path, "-shm"))
        self._monotonic = monotonic
        self._inode = _inode(path)
        self._log_inode: tuple[int, int] | None = None
        self._index_inode: tuple[int, int] | None = None
        self._count = 0
        self._compared = -_COMPARE_SECONDS

    def change(self, connection: apsw.Connection | None = None) -> str | None:
        """Return what was done to the file, as ``identity.REPLACED`` names it; None for nothing.

        Args:
            connection: looks into the header, too.
        """
        inode = _inode(self._places[0])
        if inode is None:
            return "deleted"
        if inode != self._inode or self._log_is_another():
            return "replaced"
        if connection is not None and self._is_overwritten(connection):
            return "overwritten"
        return None

    def is_taken_over(self) -> bool:
        """Return whether a program works on the file that is there now, so that it is whole.

        The index of its write-ahead log tells: SQLite makes one when it opens a file, and no copy has one.
        """
        index = _inode(self._places[2])
        known = self._index_inode is not None and index not in (None, self._index_inode)
        return known and _inode(self._places[0]) not in (None, self._inode)

    def _is_overwritten(self, connection: apsw.Connection) -> bool:
        """Return whether something was copied over the file.

        Its count of schema changes is then none, or lower than before; or, looked at twice a second, higher
        than what the file and its log together say.
        """
        count = _schema_count(connection)
        if count is None or count < self._count:
            return True
        self._count = count
        now = self._monotonic()
        if now - self._compared < _COMPARE_SECONDS:
            return False
        self._compared = now
        return bool(count > connection.pragma("schema_version"))

    def checkpoint(self, connection: apsw.Connection, database: str, pages: int) -> int:
        """Bring the write-ahead log into the file when it is long, unless that is another file by now.

        For ``apsw.Connection.set_wal_hook``.
        """
        if pages >= _LONG_LOG_PAGES:
            try:
                if self.change(connection) is None:
                    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            except apsw.Error as exc:
                logger.debug("%s: the write-ahead log stays long for now: %s", self._path, exc)
        return apsw.SQLITE_OK

    def forget_log(self) -> None:
        """Do not wonder at another write-ahead log: with its last connection SQLite removes it."""
        self._log_inode = None

    def let_go(self) -> None:
        """Make room for a new opening, after the connections are closed.

        The write-ahead log goes, if it is the one that belongs to what was there. A file that was overwritten
        becomes another one with the same content: whoever still has it open, be it in this process, keeps
        locks and an index of the old log on it, and notices in this way that it is gone.

        Raises:
            StoreError: if another process is at it.
        """
        if self._log_inode is not None and _inode(self._places[1]) == self._log_inode:
            for ending in ("-wal", "-shm"):
                _beside(self._path, ending).unlink(missing_ok=True)
        if _inode(self._path) == self._inode:
            self._copy_anew()

    def _copy_anew(self) -> None:
        if self._path.stat().st_size == 0:
            self._path.unlink()
            return
        copy = _beside(self._path, ".copying")
        try:
            os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            if time.time() - copy.stat().st_mtime > _ABANDONED_SECONDS:
                copy.unlink(missing_ok=True)
            raise StoreError(f"{self._path}: another process takes over what the file holds now") from None
        if _inode(self._path) != self._inode:  # the other one has just done it, and may have written since
            copy.unlink()
            return
        try:
            shutil.copyfile(self._path, copy)
            shutil.copymode(self._path, copy)
            os.replace(copy, self._path)
        except OSError as exc:
            copy.unlink(missing_ok=True)
            raise StoreError(f"{self._path}: what the file holds now cannot be taken over ({exc})") from exc

    def _log_is_another(self) -> bool:
        """Return whether the log was removed or replaced; it comes into being with the first write."""
        inode = _inode(self._places[1])
        if self._log_inode is None:
            self._log_inode, self._index_inode = inode, _inode(self._places[2])
        return inode != self._log_inode


class Settling:
    """Waits until what is done to a file is done: until it has looked the same for half a second.

    Args:
        path: of the file.
        monotonic: seconds that never jump.
    """

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._looks: object = None
        self._since = -1.0

    def check(self, what: str) -> None:
        """Return if the file has settled.

        Args:
            what: was done to it, for the error.

        Raises:
            StoreError: if it has not.
        """
        try:
            status = self._path.stat()
            looks: object = (status.st_ino, status.st_size, status.st_mtime_ns)
        except FileNotFoundError:
            looks = what
        now = self._monotonic()
        if looks != self._looks:
            self._looks, self._since = looks, now
        if now - self._since < _SETTLE_SECONDS:
            raise StoreError(
                f"{self._path}: the file was {what} while in use; the store goes on with what is there as"
                " soon as it is left alone"
            )


def count_on(connection: apsw.Connection) -> None:
    """Move the schema's count on, inside a transaction, as a change of a table would."""
    connection.pragma("schema_version", connection.pragma("schema_version") + 1)


def _schema_count(connection: apsw.Connection) -> int | None:
    """Return the header's count of schema changes, as it lies in the file itself; None if it is not ours."""
    _, head = connection.read("main", 0, 0, 100)
    if head[: len(_MAGIC)] != _MAGIC or _number(head[_APPLICATION]) not in (APPLICATION_ID, 0):
        return None
    return _number(head[_SCHEMA_COUNT])


def _number(four: bytes) -> int:
    number: int = struct.unpack(">I", four)[0]
    return number


def _inode(path: Path | str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
