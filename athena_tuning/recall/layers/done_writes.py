"""Which writes with a key a memory file has seen, noted in the transaction of the write."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import apsw

KEPT = 100_000
"""So many are known; whoever tries again does it long before as many others have written."""

_TABLE = """
CREATE TABLE IF NOT EXISTS done_write(
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, outcome INTEGER NOT NULL, at REAL NOT NULL)
"""


def once(db: apsw.Connection, key: str | None, part: int, write: Callable[[], int]) -> int:
    """Write, unless that was done with this key before.

    Args:
        db: in the transaction of the write.
        key: of the writer; None: it has none.
        part: of what is written with the key.
        write: does it, and says how much that was.

    Returns:
        What ``write`` said, now or then.
    """
    if key is None:
        return write()
    db.execute(_TABLE)
    of_part = f"{key}#{part}"
    before: list[Any] = db.execute("SELECT outcome FROM done_write WHERE key = ?", (of_part,)).fetchall()
    if before:
        outcome: int = before[0][0]
        return outcome
    outcome = write()
    db.execute("INSERT INTO done_write(key, outcome, at) VALUES (?, ?, ?)", (of_part, outcome, time.time()))
    db.execute("DELETE FROM done_write WHERE number <= (SELECT max(number) FROM done_write) - ?", (KEPT,))
    return outcome
