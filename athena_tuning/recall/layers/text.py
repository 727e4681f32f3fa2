"""Layers on full text: what was said, known, done and planned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import apsw

from athena_tuning.recall.items import LayerQuery
from athena_tuning.recall.layers.memory_file import MemoryFile
from athena_tuning.recall.layers.rows import COLUMNS, record
from athena_tuning.recall.layers.words import any_of, moment, scope_mark

WEIGHTS = "1.0, 0.3, 0.3, 0.3, 0.0"
"""What a word counts in an item's text, around it, in its date, in its names; the scope only filters."""

CREATE = """
CREATE VIRTUAL TABLE IF NOT EXISTS {name}_text USING fts5(
    text, around, moment, names, scope,
    content='', contentless_delete=1, tokenize='porter unicode61 remove_diacritics 2'
);
"""


class TextLayer:
    """Items found by their words, ranked by BM25.

    Beside its own words an item is found, at three tenths of their weight, by the words of the items before
    and after it in the same scope (an answer seldom repeats its question), by its date as people write it,
    and by its speaker and the names in it.
    """

    keeps_deadline = True

    def __init__(self, file: MemoryFile, name: str) -> None:
        self.name = name
        self._file = file
        self._search = f"""
            SELECT {COLUMNS} FROM (
                SELECT rowid AS found, bm25({name}_text, {WEIGHTS}) AS score FROM {name}_text
                WHERE {name}_text MATCH ? ORDER BY score LIMIT ?
            ) JOIN item ON item.row = found ORDER BY score
        """

    def search(self, query: LayerQuery, k: int, deadline: float) -> list[dict[str, Any]]:
        """Return the ``k`` best items. See ``Layer``."""
        match = any_of(query, query.scope, "text around moment names")
        if match is None:
            return []
        return [record(self.name, row) for row in self._file.read(self._search, (match, k), deadline)]

    def create(self, db: apsw.Connection) -> None:
        """Make the index."""
        db.execute(CREATE.format(name=self.name))

    def remove(self, db: apsw.Connection, rows: Iterable[int]) -> None:
        """Take rows out of the index; unknown ones do not matter."""
        db.executemany(f"DELETE FROM {self.name}_text WHERE rowid = ?", [(row,) for row in rows])

    def add(self, db: apsw.Connection, rows: Sequence[int]) -> None:
        """Put rows of ``item`` into the index."""
        db.executemany(
            f"INSERT INTO {self.name}_text(rowid, text, around, moment, names, scope) VALUES (?,?,?,?,?,?)",
            [_words(db, row) for row in rows],
        )


def neighbours(db: apsw.Connection, row: int) -> list[tuple[int, str]]:
    """Return (row, text) of what was remembered just before and after: same layer, scope and kind."""
    found: list[tuple[int, str]] = []
    for sign, order in (("<", "DESC"), (">", "ASC")):
        found += db.execute(
            f"""
            SELECT near.row, near.text FROM item AS here JOIN item AS near
                ON near.layer = here.layer AND near.scope = here.scope AND near.kind = here.kind
            WHERE here.row = ?1 AND near.row {sign} ?1 ORDER BY near.row {order} LIMIT 1
            """,
            (row,),
        )
    return found


def _words(db: apsw.Connection, row: int) -> tuple[int, str, str, str, str, str]:
    [(text, scope, timestamp, speaker, names)] = db.execute(
        "SELECT text, scope, timestamp, speaker, names FROM item WHERE row = ?", (row,)
    )
    around = " ".join(text for _, text in neighbours(db, row))
    return row, text, around, moment(timestamp), f"{speaker} {names}", scope_mark(scope)
