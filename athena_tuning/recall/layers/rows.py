"""How items lie in the memory file.

An item's row number begins with the number of its scope, so that what belongs to a scope is a range of rows:
in this table, and in every index over it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import apsw
import msgspec

from athena_tuning.recall.items import Item
from athena_tuning.recall.layers.analysis import index_words

SCHEMA = """
CREATE TABLE scope(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE item(
    row INTEGER PRIMARY KEY, id TEXT NOT NULL, layer TEXT NOT NULL, scope TEXT, text TEXT NOT NULL,
    timestamp REAL, kind TEXT NOT NULL, speaker TEXT NOT NULL, names TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE UNIQUE INDEX item_id ON item(id, ifnull(scope, ''));
CREATE INDEX item_place ON item(layer, scope, kind, row);
CREATE TABLE IF NOT EXISTS layer_writes(layer TEXT PRIMARY KEY, writes INTEGER NOT NULL) WITHOUT ROWID;
"""

COLUMNS = "item.id, item.scope, item.text, item.timestamp, item.kind, item.speaker, item.detail"

PUT = """
INSERT INTO item(row, id, layer, scope, text, timestamp, kind, speaker, names, detail)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT(row) DO UPDATE SET layer = excluded.layer, text = excluded.text, timestamp = excluded.timestamp,
    kind = excluded.kind, speaker = excluded.speaker, names = excluded.names, detail = excluded.detail
"""

SCOPE_BITS = 32
"""Bits of a row number below that of its scope: four billion items in each."""

_SCOPE = "ifnull((SELECT number FROM scope WHERE name = {name}), -1)"


def within(row: str, name: str) -> str:
    """Return the SQL condition that a row belongs to the scope that the binding ``name`` gives."""
    first = f"({_SCOPE.format(name=name)} << {SCOPE_BITS})"
    return f"{row} BETWEEN {first} AND {first} + {(1 << SCOPE_BITS) - 1}"


def first_row(db: apsw.Connection, scope: str | None) -> int:
    """Return the number below the first row of a scope, which is made if it is new."""
    if scope is None:
        return 0
    known = db.execute("SELECT number FROM scope WHERE name = ?", (scope,)).fetchone()
    if known is None:
        db.execute("INSERT INTO scope(name) VALUES (?)", (scope,))
    return (int(known[0]) if known else db.last_insert_rowid()) << SCOPE_BITS


def next_row(db: apsw.Connection, table: str, column: str, scope: str | None) -> int:
    """Return the first free row of a scope in a table that is numbered by scope."""
    first = first_row(db, scope)
    last = first + (1 << SCOPE_BITS) - 1
    [(highest,)] = db.execute(
        f"SELECT max({column}) FROM {table} WHERE {column} BETWEEN ? AND ?", (first, last)
    )
    return int(highest or first) + 1


def values(row: int, item: Item) -> tuple[Any, ...]:
    """Return an item as the bindings of ``PUT``."""
    detail = {"entities": item.entities, "edges": item.edges, "evidence": item.evidence}
    return (
        row,
        item.id,
        item.layer,
        item.scope,
        item.text,
        item.timestamp,
        item.kind,
        item.speaker,
        " ".join(item.entities),
        _JSON.encode(detail),
    )


_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_DETAIL = msgspec.json.Decoder(dict[str, Any])  # a quarter of the time of json, for every item that is found


def record(layer: str, row: tuple[Any, ...]) -> dict[str, Any]:
    """Return a row of ``COLUMNS`` as an item's plain types."""
    item_id, scope, text, timestamp, kind, speaker, detail = row
    return {
        "id": item_id,
        "layer": layer,
        "text": text,
        "scope": scope,
        "timestamp": timestamp,
        "kind": kind,
        "speaker": speaker,
        **_DETAIL.decode(detail),
    }


_NEIGHBOUR = """
    (SELECT near.row FROM item AS near WHERE near.layer = item.layer AND near.scope = item.scope
        AND near.kind = item.kind AND near.row {side} item.row ORDER BY near.row {order} LIMIT 1)
"""
_BEFORE, _AFTER = _NEIGHBOUR.format(side="<", order="DESC"), _NEIGHBOUR.format(side=">", order="ASC")


def neighbours(db: apsw.Connection, rows: Iterable[int]) -> set[int]:
    """Return what was remembered just before and after any of the rows: same layer, scope and kind."""
    sql = f"SELECT {_BEFORE}, {_AFTER} FROM json_each(?) JOIN item ON item.row = value"
    return {
        near for pair in db.execute(sql, (_JSON.encode(list(rows)),)) for near in pair if near is not None
    }


@dataclass(frozen=True, slots=True)
class Words:
    """What of a row goes into a full-text index: its text, what is around it, its date, its names."""

    row: int
    text: str
    around: str
    moment: str
    names: str


def words(db: apsw.Connection, rows: Iterable[int], *, around: bool) -> list[Words]:
    """Return the words of rows, by row. ``around``: with those of their neighbours."""
    near = f"{_BEFORE}, {_AFTER}" if around else "NULL, NULL"
    sql = f"""
        SELECT row, text, timestamp, speaker, names, {near}
        FROM json_each(?) JOIN item ON item.row = value ORDER BY row
    """
    stored: list[Any] = db.execute(sql, (_JSON.encode(list(rows)),)).fetchall()
    texts = {row: index_words(text) for row, text, *_ in stored}
    missing = {near for *_, before, after in stored for near in (before, after)} - texts.keys() - {None}
    sql = "SELECT row, text FROM json_each(?) JOIN item ON item.row = value"
    rest: list[Any] = db.execute(sql, (_JSON.encode(list(missing)),)).fetchall()
    texts |= {row: index_words(text) for row, text in rest}
    return [
        Words(
            row,
            texts[row],
            " ".join(texts[near] for near in (before, after) if near is not None),
            moment(timestamp),
            index_words(f"{speaker} {names}"),
        )
        for row, _, timestamp, speaker, names, before, after in stored
    ]


_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def moment(timestamp: float | None) -> str:
    """Return a time in the words that questions use.

    Examples:
        >>> moment(1714644000)
        '2 May 2024 Thursday 2024-05-02'
    """
    if timestamp is None:
        return ""
    at = datetime.fromtimestamp(timestamp, UTC)
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year} {_DAYS[at.weekday()]} {at.date()}"
