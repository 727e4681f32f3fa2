"""The memory itself: the five built-in layers over one file."""

from __future__ import annotations

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import apsw

from athena_tuning.recall.items import BadItems, Item, half_character
from athena_tuning.recall.layers import done_writes, schema
from athena_tuning.recall.layers.graph import GraphLayer
from athena_tuning.recall.layers.memory_file import MemoryFile
from athena_tuning.recall.layers.rows import COLUMNS, PUT, next_row, record, values
from athena_tuning.recall.layers.text import TextLayer

BATCH = 500
"""Items written in one transaction."""


class AnyScope(Enum):
    """In place of a scope."""

    ANY = "any"


ANY_SCOPE: Final = AnyScope.ANY
"""The only scope that has an item of the id."""

_Key = tuple[str, str]
"""What tells items apart: id, and scope or nothing."""

_Rows = Mapping[str, set[int]]
"""Rows by layer."""


class Memory:
    """Remembers and forgets items; ``layers`` search them.

    Args:
        path: the SQLite file, made if it is missing and brought up to date if it is older; ":memory:" is
            gone after ``close``.

    Raises:
        ValueError: if the path cannot be opened as a memory.
    """

    def __init__(self, path: Path | str) -> None:
        self.file = MemoryFile(path)
        self.layers: dict[str, TextLayer] = {
            "episodic": TextLayer(self.file, "episodic"),
            "semantic": TextLayer(self.file, "semantic"),
            "procedural": TextLayer(self.file, "procedural"),
            "prospective": TextLayer(self.file, "prospective"),
            "graph": GraphLayer(self.file),
        }
        try:
            schema.prepare(self.file, self.layers.values())
        except BaseException:
            self.file.close()
            raise

    def remember(
        self,
        items: Iterable[Item | Mapping[str, Any]],
        progress: Callable[[int], None] | None = None,
        key: str | None = None,
    ) -> dict[str, int]:
        """Keep items, in their order, and return how many by layer. An id that its scope knows is replaced.

        Args:
            items: what to keep; written in transactions of 500.
            progress: told how many are kept so far, after each transaction.
            key: what was written with it before is not written again.

        Raises:
            BadItems: at the end, if an item does not fit or is for a layer that this memory does not have;
                all others are kept.
        """
        counts: Counter[str] = Counter()
        bad: list[tuple[int, str]] = []
        waiting = self._good(items, bad)
        for number in itertools.count():
            if not (batch := list(islice(waiting, BATCH))):
                break
            with self.file.write() as db:
                done_writes.once(db, key, number, partial(self._remember_batch, db, batch))
            counts.update(item.layer for item in batch)
            self.join_parts(1 / 4)
            if progress is not None:
                progress(counts.total())
        if counts.total() > BATCH:
            self.join_parts()
        if bad:
            raise BadItems(bad, counts)
        return dict(counts)

    def _good(self, items: Iterable[Item | Mapping[str, Any]], bad: list[tuple[int, str]]) -> Iterator[Item]:
        """Give the items that fit, and note why the others do not."""
        for position, given in enumerate(items, 1):
            try:
                item = given if isinstance(given, Item) else Item.from_dict(given)
                self.check_layer(item)
            except ValueError as exc:
                bad.append((position, str(exc)))
            else:
                yield item

    def index_bytes(self, seconds: float = 0.5) -> dict[str, int]:
        """Return the bytes of each layer's index; {} where SQLite cannot tell, or not in time.

        The items' own texts are not in it: all layers keep them in one table.

        Args:
            seconds: how long it may take; all pages of the file are looked at.
        """
        try:
            rows = self.file.read(
                "SELECT tbl_name, sum(pgsize) FROM dbstat JOIN sqlite_schema USING (name) GROUP BY tbl_name",
                deadline=time.monotonic() + seconds,
            )
        except (apsw.Error, TimeoutError):
            return {}
        return {
            name: sum(size for table, size in rows if any(_is_part(table, whole) for whole in layer.tables))
            for name, layer in self.layers.items()
        }

    def join_parts(self, share: float = 1 / 64) -> None:
        """Make one part of each index that grew by at least this share since: searches are faster then."""
        for layer in self.layers.values():
            layer.join_parts(share)

    def _remember_batch(self, db: apsw.Connection, batch: Sequence[Item]) -> int:
        items = {_key(item.id, item.scope): item for item in batch}  # of two with one id the last is kept
        known = _find(db, items)
        stale = self._rows(known.values())
        around = self._touched(db, stale)
        rows = {key: row for key, (row, _) in known.items()}
        rows |= _new_rows(db, [item for key, item in items.items() if key not in known])
        db.executemany(PUT, [values(rows[key], item) for key, item in items.items()])
        fresh = self._rows((rows[key], item.layer) for key, item in items.items())
        self._reindex(db, stale, fresh, _union(around, self._touched(db, fresh)))
        return len(batch)

    def check_layer(self, item: Item) -> None:
        """Raise ``ValueError`` if there is no layer for this item."""
        if item.layer not in self.layers:
            known = ", ".join(self.layers)
            raise ValueError(f"item {item.id!r:.80} is for layer {item.layer!r}; there are {known}")

    def forget(self, item_id: str, scope: str | AnyScope | None = ANY_SCOPE) -> bool:
        """Drop an item; False if nobody knew it. See ``forget_many``."""
        return self.forget_many([item_id], scope) == 1

    def forget_many(
        self,
        item_ids: Iterable[str],
        scope: str | AnyScope | None = ANY_SCOPE,
        key: str | None = None,
    ) -> int:
        """Drop items, 500 in a transaction; return how many were known.

        Args:
            item_ids: their ids.
            scope: theirs; None: they are in none. Without it, an id may be in any scope, but only in one.
            key: what was dropped with it before is not dropped again; what was known then is returned.

        Raises:
            ValueError: if ``scope`` is not given and several have an item of this id; nothing of its batch
                is dropped.
        """
        known = 0
        waiting = iter(dict.fromkeys(item_ids))
        for number in itertools.count():
            if not (batch := list(islice(waiting, BATCH))):
                break
            ids = [item_id for item_id in batch if not half_character(item_id)]
            with self.file.write() as db:
                known += done_writes.once(db, key, number, partial(self._forget_batch, db, ids, scope))
        return known

    def _forget_batch(self, db: apsw.Connection, ids: list[str], scope: str | AnyScope | None) -> int:
        if isinstance(scope, AnyScope):
            places = _find_anywhere(db, ids)
        elif half_character(scope or ""):
            places = {}
        else:
            places = _find(db, [_key(item_id, scope) for item_id in ids])
        self._drop(db, self._rows(places.values()))
        return len(places)

    def _drop(self, db: apsw.Connection, gone: _Rows) -> None:
        around = self._touched(db, gone)
        db.executemany("DELETE FROM item WHERE row = ?", [(row,) for rows in gone.values() for row in rows])
        self._reindex(db, gone, {}, around)

    def item(self, item_id: str, scope: str | AnyScope | None = ANY_SCOPE) -> Item | None:
        """Return an item; None if nobody knows it.

        Args:
            item_id: its id.
            scope: its scope; None: it is in none. Without it, the id may be in any scope, but only in one.

        Raises:
            ValueError: if ``scope`` is not given and several have an item of this id.
        """
        if half_character(item_id) or (isinstance(scope, str) and half_character(scope)):
            return None
        where, bound = "item.id = ?", [item_id]
        if not isinstance(scope, AnyScope):
            where, bound = f"{where} AND ifnull(item.scope, '') = ?", [item_id, scope or ""]
        rows = self.file.read(f"SELECT item.layer, {COLUMNS} FROM item WHERE {where} LIMIT 2", bound)
        if len(rows) > 1:
            raise ValueError(_ambiguous(item_id, rows[0][2], rows[1][2]))
        return Item.from_dict(record(rows[0][0], rows[0][1:])) if rows else None

    def counts(self) -> dict[str, int]:
        """Return the items of each layer."""
        counted = dict(self.file.read("SELECT layer, count(*) FROM item GROUP BY layer"))
        return {name: counted.get(name, 0) for name in self.layers}

    def writes(self) -> dict[str, int]:
        """Return how many transactions have changed each layer, by any process."""
        return dict(self.file.read("SELECT layer, writes FROM layer_writes"))

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    @staticmethod
    def _rows(places: Iterable[tuple[int, str]]) -> _Rows:
        rows: dict[str, set[int]] = defaultdict(set)
        for row, layer in places:
            rows[layer].add(row)
        return rows

    def _touched(self, db: apsw.Connection, rows: _Rows) -> _Rows:
        return {layer: self.layers[layer].touched(db, changed) for layer, changed in rows.items()}

    def _reindex(self, db: apsw.Connection, gone: _Rows, fresh: _Rows, around: _Rows) -> None:
        """Bring the indexes up to date.

        Args:
            db: in a transaction that has changed the items.
            gone: rows whose old words leave the index of a layer.
            fresh: rows whose new words go into it.
            around: rows that were, or are, neighbours of either.
        """
        for layer in gone.keys() | fresh.keys():
            index, new = self.layers[layer], fresh.get(layer, set())
            old = gone.get(layer, set())
            beside = around.get(layer, set()) - old - new
            index.remove(db, old | beside)
            index.add(db, new | beside)
        schema.note_writes(db, gone.keys() | fresh.keys())


def _key(item_id: str, scope: str | None) -> _Key:
    return item_id, scope or ""


def _union(one: _Rows, other: _Rows) -> _Rows:
    return {layer: one.get(layer, set()) | other.get(layer, set()) for layer in one.keys() | other.keys()}


def _find(db: apsw.Connection, keys: Iterable[_Key]) -> dict[_Key, tuple[int, str]]:
    """Return row and layer of those of the keys that are known."""
    sql = "SELECT id, ifnull(scope, ''), row, layer FROM item WHERE id = ? AND ifnull(scope, '') = ?"
    return {(item_id, scope): (row, layer) for item_id, scope, row, layer in db.executemany(sql, keys)}


def _find_anywhere(db: apsw.Connection, ids: Iterable[str]) -> dict[_Key, tuple[int, str]]:
    """Return row and layer of those of the ids that are known, in whatever scope.

    Raises:
        ValueError: if two scopes have one of them.
    """
    sql = "SELECT id, ifnull(scope, ''), row, layer FROM item WHERE id = ?"
    places: dict[str, tuple[_Key, tuple[int, str]]] = {}
    for item_id, scope, row, layer in db.executemany(sql, [(item_id,) for item_id in ids]):
        if item_id in places:
            raise ValueError(_ambiguous(item_id, places[item_id][0][1], scope))
        places[item_id] = ((item_id, scope), (row, layer))
    return dict(places.values())


def _ambiguous(item_id: str, one: str | None, other: str | None) -> str:
    return f"the scopes {one or ''!r} and {other or ''!r} have an item {item_id!r:.80}: say which with scope="


def _new_rows(db: apsw.Connection, items: Iterable[Item]) -> dict[_Key, int]:
    """Return a free row for each item, in their order within each scope."""
    free: dict[str | None, int] = {}
    rows = {}
    for item in items:
        row = free.get(item.scope) or next_row(db, "item", "row", item.scope)
        free[item.scope] = row + 1
        rows[_key(item.id, item.scope)] = row
    return rows


def _is_part(table: str, whole: str) -> bool:
    """Whether a table is another one, or one of those that an index consists of."""
    return table == whole or table.startswith(f"{whole}_")
