"""Layers on full text: what was said, known, done and planned."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from typing import Any

import apsw

from athena_tuning.recall.items import LayerQuery, half_character
from athena_tuning.recall.layers.memory_file import MemoryFile
from athena_tuning.recall.layers.query_terms import match_any
from athena_tuning.recall.layers.rows import COLUMNS, neighbours, record, within, words
from athena_tuning.recall.time_focus import AGES, WIDER

WEIGHTS = "1.0, 0.4, 0.3, 0.4"
"""What a word counts in an item's text, around it, in its date, in its names."""

_log = logging.getLogger(__name__)

INDEX_OPTIONS = "content='', contentless_delete=1, tokenize='porter ascii'"

_STEP_PAGES = 500
"""Pages of 4 kB that a transaction writes at most to join parts of an index."""

_WIDER = 8
"""Times as many items that are looked at while fewer than those wanted say different things."""

_MOST_LOOKED_AT = 1000


class TextLayer:
    """Items found by their words, ranked by BM25.

    Beside its own words an item is found, at less weight, by the words of the items before and after it in
    the same scope (an answer seldom repeats its question), by its date as people write it, and by its speaker
    and the names in it. An item that says what a better one says comes after all others. Where the question
    is about a time, items of it rank higher (``TimeFocus``).

    Args:
        file: where the items are.
        name: the layer's.
        around: whether neighbours count.
    """

    keeps_deadline = True
    items_are_new = True

    def __init__(self, file: MemoryFile, name: str, *, around: bool = True) -> None:
        self.name = name
        self._around = around
        self._looks = 1
        self._indexes: tuple[str, ...] = (f"{name}_text",)
        self.tables: tuple[str, ...] = (f"{name}_text",)
        self._grown = 0
        self._size = 0
        self._file = file
        self._in_all, self._in_scope = (
            f"""
            SELECT {COLUMNS} FROM (
                SELECT rowid AS found, bm25({name}_text, {WEIGHTS}) AS score FROM {name}_text
                WHERE {name}_text MATCH ?1 {scope} ORDER BY score LIMIT ?2
            ) JOIN item ON item.row = found ORDER BY score
            """
            for scope in ("", f"AND {within('rowid', '?3')}")
        )

    def search(self, query: LayerQuery, k: int, deadline: float) -> list[dict[str, Any]]:
        """Return the ``k`` best items. See ``Layer``."""
        if query.when is None:
            return self._find(query, k, deadline)
        return query.when.order(self._find(query, max(k * WIDER, AGES), deadline))[:k]

    def _find(self, query: LayerQuery, k: int, deadline: float) -> list[dict[str, Any]]:
        match = match_any(query)
        if match is None or half_character(query.scope or ""):
            return []
        looked_at = k * self._looks
        rows = self._rows(match, looked_at, query.scope, deadline)
        while len(rows) == looked_at < _MOST_LOOKED_AT and len({row[1:3] for row in rows}) < k:
            looked_at *= _WIDER
            rows = self._rows(match, looked_at, query.scope, deadline)
        return [record(self.name, row) for row in _copies_last(rows)[:k]]

    def _rows(self, match: str, k: int, scope: str | None, deadline: float) -> list[tuple[Any, ...]]:
        if scope is None:
            return self._file.read(self._in_all, (match, k), deadline)
        return self._file.read(self._in_scope, (match, k, scope), deadline)

    def create(self, db: apsw.Connection) -> None:
        """Make the index."""
        db.execute(
            f"CREATE VIRTUAL TABLE {self.name}_text USING fts5(text, around, moment, names, {INDEX_OPTIONS})"
        )

    def touched(self, db: apsw.Connection, rows: Iterable[int]) -> set[int]:
        """Return the rows of which the words change with these."""
        return neighbours(db, rows) if self._around else set()

    def remove(self, db: apsw.Connection, rows: Iterable[int]) -> None:
        """Take rows out of the index; unknown ones do not matter."""
        db.executemany(f"DELETE FROM {self.name}_text WHERE rowid = ?", [(row,) for row in rows])

    def add(self, db: apsw.Connection, rows: Iterable[int]) -> None:
        """Put rows of ``item`` into the index."""
        fresh = [(w.row, w.text, w.around, w.moment, w.names) for w in words(db, rows, around=self._around)]
        db.executemany(
            f"INSERT INTO {self.name}_text(rowid, text, around, moment, names) VALUES (?, ?, ?, ?, ?)", fresh
        )
        self._grown += len(fresh)

    def join_parts(self, share: float) -> None:
        """Make one part of the index's parts, as a search looks into each, if it grew by this share of it.

        That is done in steps between which others may write. Where it fails searches are slower, no more:
        it is logged, and tried again after more was written.
        """
        if self._grown <= share * self._size:
            return
        try:
            [(self._size,)] = self._file.read("SELECT count(*) FROM item WHERE layer = ?", (self.name,))
            if self._grown <= share * self._size:
                return
            self._grown = 0
            step, more = self.joining_steps(), True
            while more:
                with self._file.write() as db:
                    more = step(db)
        except (apsw.Error, TimeoutError) as exc:
            _log.warning("the parts of index %s in %s are not joined: %s", self.name, self._file.path, exc)

    def joining_steps(self) -> Callable[[apsw.Connection], bool]:
        """Return what does a step towards one part, and says whether there is more to do."""
        pages = chain([-_STEP_PAGES], repeat(_STEP_PAGES))  # the first, negative, takes all parts in

        def step(db: apsw.Connection) -> bool:
            before, n = db.total_changes(), next(pages)
            for index in self._indexes:
                db.execute(f"INSERT INTO {index}({index}, rank) VALUES ('merge', ?)", (n,))
            return db.total_changes() - before > len(self._indexes)

        return step


def _copies_last(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows of ``COLUMNS``, and after them those that say what one of their scope says before them."""
    first: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    copies = [row for row in rows if first.setdefault(row[1:3], row) is not row]
    return [*first.values(), *copies]
