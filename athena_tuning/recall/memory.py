"""The memory itself: the five built-in layers over one file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

import apsw

from athena_tuning.recall.items import Item
from athena_tuning.recall.layers.graph import GraphLayer
from athena_tuning.recall.layers.memory_file import MemoryFile
from athena_tuning.recall.layers.rows import PUT, SCHEMA, values
from athena_tuning.recall.layers.text import TextLayer, neighbours

BATCH = 500
"""Items written in one transaction."""


class Memory:
    """Remembers and forgets items; ``layers`` search them.

    Args:
        path: the SQLite file, made if it is missing; ":memory:" is gone after ``close``.

    Raises:
        ValueError: if the path cannot be opened as a memory.
    """

    def __init__(self, path: Path | str) -> None:
        self.file = MemoryFile(path)
        self.layers: dict[str, TextLayer | GraphLayer] = {
            "episodic": TextLayer(self.file, "episodic"),
            "semantic": TextLayer(self.file, "semantic"),
            "procedural": TextLayer(self.file, "procedural"),
            "prospective": TextLayer(self.file, "prospective"),
            "graph": GraphLayer(self.file),
        }
        with self.file.write() as db:
            if db.pragma("user_version") == 0:
                db.execute(SCHEMA)
                for layer in self.layers.values():
                    layer.create(db)
                db.pragma("user_version", 1)

    def remember(
        self, items: Iterable[Item], progress: Callable[[int], None] | None = None
    ) -> dict[str, int]:
        """Keep items, in their order; an id that is known is replaced. Return how many by layer.

        Args:
            items: what to keep; written in transactions of 500.
            progress: told how many are kept so far, after each transaction.

        Raises:
            ValueError: if an item is for a layer that this memory does not have; nothing of its batch is
                kept.
        """
        counts: dict[str, int] = defaultdict(int)
        waiting = iter(items)
        while batch := list(islice(waiting, BATCH)):
            self._remember_batch(batch)
            for item in batch:
                counts[item.layer] += 1
            if progress is not None:
                progress(sum(counts.values()))
        return dict(counts)

    def _remember_batch(self, batch: list[Item]) -> None:
        for item in batch:
            self.check_layer(item)
        with self.file.write() as db:
            stale: dict[str, set[int]] = defaultdict(set)
            fresh: dict[str, set[int]] = defaultdict(set)
            for item in batch:
                self._unindex(db, item.id, stale, fresh)
                [(row,)] = db.execute(PUT, values(item))
                for rows in fresh.values():
                    rows.discard(row)  # it may have come from another layer, in this batch
                fresh[item.layer].add(row)
            for layer, rows in fresh.items():
                around = {near for row in rows for near, _ in neighbours(db, row)} - rows
                stale[layer] |= around
                fresh[layer] = rows | around
            self._reindex(db, stale, fresh)

    def check_layer(self, item: Item) -> None:
        """Raise ``ValueError`` if there is no layer for this item."""
        if item.layer not in self.layers:
            known = ", ".join(self.layers)
            raise ValueError(f"item {item.id!r:.80} is for layer {item.layer!r}; there are {known}")

    def forget(self, item_id: str) -> bool:
        """Drop an item; False if nobody knew it."""
        return self.forget_many([item_id]) == 1

    def forget_many(self, item_ids: Iterable[str]) -> int:
        """Drop items, 500 in a transaction; return how many were known."""
        known = 0
        waiting = iter(dict.fromkeys(item_ids))
        while batch := list(islice(waiting, BATCH)):
            known += self._forget_batch(batch)
        return known

    def _forget_batch(self, batch: list[str]) -> int:
        with self.file.write() as db:
            stale: dict[str, set[int]] = defaultdict(set)
            fresh: dict[str, set[int]] = defaultdict(set)
            known = [item_id for item_id in batch if self._unindex(db, item_id, stale, fresh) is not None]
            if known:
                gone = db.executemany("DELETE FROM item WHERE id = ? RETURNING row", [(i,) for i in known])
                rows = {row for (row,) in gone}
                for around in fresh.values():
                    around.difference_update(rows)
                self._reindex(db, stale, fresh)
            return len(known)

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
    def _unindex(
        db: apsw.Connection, item_id: str, stale: dict[str, set[int]], fresh: dict[str, set[int]]
    ) -> str | None:
        """Note what must leave the index, and what was around it, if the id is known."""
        known = db.execute("SELECT row, layer FROM item WHERE id = ?", (item_id,)).fetchone()
        if known is None:
            return None
        row, layer = int(known[0]), str(known[1])
        around = {near for near, _ in neighbours(db, row)}
        stale[layer] |= {row, *around}
        fresh[layer] |= around
        return layer

    def _reindex(self, db: apsw.Connection, stale: dict[str, set[int]], fresh: dict[str, set[int]]) -> None:
        for layer in stale.keys() | fresh.keys():
            self.layers[layer].remove(db, stale[layer])
            self.layers[layer].add(db, sorted(fresh[layer]))
            db.execute(
                "INSERT INTO layer_writes VALUES (?, 1) ON CONFLICT(layer) DO UPDATE SET writes = writes + 1",
                (layer,),
            )
