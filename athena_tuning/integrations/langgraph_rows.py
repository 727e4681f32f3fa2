"""The values of a LangGraph store, whole and with their times, in the file of a memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from athena_tuning.recall.layers.memory_file import MemoryFile

_TABLE = """
CREATE TABLE IF NOT EXISTS langgraph_value (
    namespace TEXT NOT NULL, key TEXT NOT NULL, layer TEXT NOT NULL, value TEXT, text TEXT NOT NULL,
    created REAL NOT NULL, updated REAL NOT NULL, settled INTEGER NOT NULL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID
"""
_COLUMNS = "namespace, key, layer, value, text, created, updated"
_PUT = f"""
INSERT INTO langgraph_value ({_COLUMNS}, settled) VALUES (?, ?, ?, ?, ?, ?, ?, 0)
ON CONFLICT DO UPDATE SET layer = excluded.layer, value = excluded.value, text = excluded.text,
    created = iif(value IS NULL, excluded.created, created), updated = excluded.updated, settled = 0
"""


class Row(NamedTuple):
    """What is kept of an item.

    Attributes:
        namespace: where it is.
        key: its name there.
        layer: the layer that holds it.
        value: as JSON; None: it is gone.
        text: what it is found by; "": it is not searched for.
        created: Unix seconds of the first time it was put.
        updated: Unix seconds of the last time.
    """

    namespace: tuple[str, ...]
    key: str
    layer: str
    value: str | None
    text: str
    created: float
    updated: float


class RowTable:
    """The rows in a file. A row is not settled until the memory holds what it says.

    Args:
        file: of the memory.
    """

    def __init__(self, file: MemoryFile) -> None:
        self._file = file
        with file.write() as db:
            db.execute(_TABLE)

    def put(
        self,
        namespace: tuple[str, ...],
        key: str,
        layer: str,
        value: Mapping[str, Any],
        text: str,
        now: float,
    ) -> Row:
        """Keep a value in place of the one under its key.

        Raises:
            ValueError: if it is not as JSON holds it.
        """
        try:
            packed = json.dumps(value, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the value of {key!r:.80} is not as JSON holds it: {error}") from error
        row = Row(namespace, key, layer, packed, text, now, now)
        with self._file.write() as db:
            db.execute(_PUT, (json.dumps(namespace), *row[1:]))
        return row

    def mark_gone(self, namespace: tuple[str, ...], key: str) -> Row | None:
        """Let a value go; None if there was none."""
        with self._file.write() as db:
            db.execute(
                "UPDATE langgraph_value SET value = NULL, settled = 0 WHERE namespace = ? AND key = ?",
                (json.dumps(namespace), key),
            )
            if not db.changes():
                return None
        return self._rows("namespace = ? AND key = ?", (json.dumps(namespace), key))[0]

    def settled(self, row: Row) -> None:
        """Note that the memory holds what a row says, unless it says something else by now."""
        at = (json.dumps(row.namespace), row.key, row.updated)
        where = "namespace = ? AND key = ? AND updated = ?"
        with self._file.write() as db:
            if row.value is None:
                db.execute(f"DELETE FROM langgraph_value WHERE {where} AND value IS NULL", at)
            else:
                db.execute(f"UPDATE langgraph_value SET settled = 1 WHERE {where}", at)

    def unsettled(self) -> list[Row]:
        """Return the rows that the memory does not hold yet."""
        return self._rows("settled = 0", ())

    def get(self, namespace: tuple[str, ...], key: str) -> Row | None:
        """Return what is kept under a key."""
        matching = self._rows("namespace = ? AND key = ? AND value IS NOT NULL", (json.dumps(namespace), key))
        return matching[0] if matching else None

    def below(self, prefix: tuple[str, ...]) -> list[Row]:
        """Return what is kept in a namespace and below it, the newest first."""
        where, bindings = _below(prefix)
        return self._rows(f"{where} ORDER BY updated DESC, namespace, key", bindings)

    def places(self, prefix: tuple[str, ...]) -> list[tuple[tuple[str, ...], str]]:
        """Return a namespace and those below it, with the layers that hold their items."""
        where, bindings = _below(prefix)
        rows = self._file.read(
            f"SELECT DISTINCT namespace, layer FROM langgraph_value WHERE {where}", bindings
        )
        return [(tuple(json.loads(namespace)), layer) for namespace, layer in rows]

    def _rows(self, where: str, bindings: tuple[Any, ...]) -> list[Row]:
        rows = self._file.read(f"SELECT {_COLUMNS} FROM langgraph_value WHERE {where}", bindings)
        return [Row(tuple(json.loads(namespace)), *rest) for namespace, *rest in rows]


def _below(prefix: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the condition that a row is in a namespace or below it, as a range of the table's key."""
    if not prefix:
        return "value IS NOT NULL", ()
    own = json.dumps(prefix)
    begins = own[:-1] + ", "  # of every longer one; the next character after the blank is "!"
    ends = own[:-1] + ",!"
    return (
        "value IS NOT NULL AND (namespace = ? OR (namespace >= ? AND namespace < ?))",
        (own, begins, ends),
    )
