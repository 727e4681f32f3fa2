"""What every file of SQLite is opened with here, and what is set in the library for the whole process."""

from __future__ import annotations

import threading
import time

import apsw

_lock = threading.Lock()
_settled = threading.Event()


def stop_memory_statistics() -> None:
    """Stop SQLite from counting its memory, under one lock for which parallel reads take turns.

    Called when the first file is opened, never on import. SQLite can only be told so while it is at rest, and
    importing ``apsw`` wakes it up, so it is sent back to rest first. Where somebody has a connection of
    ``apsw`` already, everything stays as it is. What is set does not change any result, and ``sqlite3`` of
    the standard library is another copy of SQLite.
    """
    with _lock:
        if _settled.is_set():
            return
        _settled.set()
        if not apsw.connections():
            apsw.shutdown()
            apsw.config(apsw.SQLITE_CONFIG_MEMSTATUS, False)
            apsw.initialize()


def write_beside_readers(connection: apsw.Connection, wait_seconds: float) -> None:
    """Have a file written beside its readers (WAL) from now on.

    Of several that open a file of another mode at once, SQLite refuses some without a wait, whatever their
    busy timeout says: they try again.

    Raises:
        apsw.BusyError: if the file was in use by others for ``wait_seconds``.
    """
    until = time.monotonic() + wait_seconds
    while True:
        try:
            connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.01)
        else:
            return
