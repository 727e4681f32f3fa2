"""What this package sets in the SQLite library that ``apsw`` brings: it holds for the whole process."""

from __future__ import annotations

import threading

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
