"""The layer of entities and relations."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import apsw

from athena_tuning.recall.layers.analysis import index_words
from athena_tuning.recall.layers.memory_file import MemoryFile
from athena_tuning.recall.layers.rows import COLUMNS, next_row, within
from athena_tuning.recall.layers.text import INDEX_OPTIONS, WEIGHTS, TextLayer

HOPS = 2
"""Relations that a walk follows away from what the query names."""

NEARNESS = 2.0
"""Weight of nearness beside BM25, whose scores are mostly 1 to 15."""

HITS = 45
"""Items found by their words for which nearness counts. It is the same for every ``k``, so that the first
results are the same as well. Judgement: 30 to 100 give the same recall@10 in ``benchmarks/routing.py``."""

HUB = 100
"""Items that mention an entity, from which on no walk goes through it. Arithmetic: it would add 2 / 100 to an
item's score at most, and every mention of it would have to be read."""

_SCHEMA = f"""
CREATE TABLE entity(
    id INTEGER PRIMARY KEY, scope TEXT NOT NULL, key TEXT NOT NULL, mentions INTEGER NOT NULL DEFAULT 0,
    UNIQUE(scope, key)
);
CREATE VIRTUAL TABLE entity_text USING fts5(name, {INDEX_OPTIONS});
CREATE TABLE mention(
    entity INTEGER NOT NULL, item INTEGER NOT NULL, PRIMARY KEY(entity, item)
) WITHOUT ROWID;
CREATE INDEX mention_item ON mention(item);
CREATE TABLE relation(
    entity INTEGER NOT NULL, other INTEGER NOT NULL, item INTEGER NOT NULL,
    PRIMARY KEY(entity, other, item)
) WITHOUT ROWID;
CREATE INDEX relation_item ON relation(item);
"""

# The walk is best first: SQLite takes the heaviest row of the queue next, and stops after 16 entities.
_SEARCH = f"""
WITH RECURSIVE
named(entity, weight) AS MATERIALIZED (
    SELECT rowid, -bm25(entity_text) AS score
    FROM entity_text WHERE entity_text MATCH ?1 {{scope}} ORDER BY score DESC LIMIT 8
),
reach(entity, hops, weight) AS (
    SELECT entity, 0, weight / (SELECT max(weight) FROM named) / mentions
    FROM named JOIN entity ON id = entity WHERE mentions < {HUB}
    UNION ALL
    SELECT other, hops + 1, reach.weight * 0.5 / mentions
    FROM reach JOIN relation USING (entity) JOIN entity ON id = other
    WHERE hops < {HOPS} AND mentions < {HUB}
    ORDER BY 3 DESC LIMIT 16
),
scored(item, score) AS (
    SELECT item, sum(score) + {NEARNESS} * max(weight) FROM (
        SELECT * FROM (
            SELECT rowid AS item, -bm25(graph_text, {WEIGHTS}) AS score, 0.0 AS weight
            FROM graph_text WHERE graph_text MATCH ?1 {{scope}} ORDER BY score DESC LIMIT {HITS}
        )
        UNION ALL SELECT item, 0.0, weight FROM reach JOIN mention USING (entity)
    ) GROUP BY item ORDER BY 2 DESC LIMIT ?2
)
SELECT {COLUMNS} FROM scored JOIN item ON item.row = scored.item ORDER BY scored.score DESC
"""
_IN_ALL = _SEARCH.format(scope="")
_IN_SCOPE = _SEARCH.format(scope=f"AND {within('rowid', '?3')}")


class GraphLayer(TextLayer):
    """Relations found by their words and by their nearness to what the query names.

    Entities whose names share a word with the query start a walk over the relations, up to two hops. Each
    hop halves the weight and shares it among an entity's relations, so that a name which is everywhere
    leads nowhere in particular. An item scores its BM25 plus the weight of the nearest entity in it. Below
    these come the other items with words of the query.
    """

    def __init__(self, file: MemoryFile) -> None:
        super().__init__(file, "graph", around=False)
        self._looks = 2  # relations repeat themselves more than texts do
        self._indexes = ("graph_text", "entity_text")
        self.tables = ("graph_text", "entity", "mention", "relation")

    def _rows(self, match: str, k: int, scope: str | None, deadline: float) -> list[tuple[Any, ...]]:
        if scope is None:
            best = self._file.read(_IN_ALL, (match, k), deadline)
        else:
            best = self._file.read(_IN_SCOPE, (match, k, scope), deadline)
        if not HITS <= len(best) < k:
            return best
        known = {row[:2] for row in best}
        deeper = [row for row in super()._rows(match, k, scope, deadline) if row[:2] not in known]
        return best + deeper[: k - len(best)]

    def create(self, db: apsw.Connection) -> None:
        """Make the index."""
        super().create(db)
        db.execute(_SCHEMA)

    def remove(self, db: apsw.Connection, rows: Iterable[int]) -> None:
        """Take rows out of the index, and entities that nothing mentions any more."""
        rows = list(rows)
        super().remove(db, rows)
        gone = json.dumps(rows)
        left = db.execute(
            "DELETE FROM mention WHERE item IN (SELECT value FROM json_each(?)) RETURNING entity", (gone,)
        )
        mentions = Counter(entity for (entity,) in left)
        db.execute("DELETE FROM relation WHERE item IN (SELECT value FROM json_each(?))", (gone,))
        db.executemany("UPDATE entity SET mentions = mentions - ?2 WHERE id = ?1", [*mentions.items()])
        unknown = db.execute(
            "DELETE FROM entity WHERE mentions = 0 AND id IN (SELECT value FROM json_each(?)) RETURNING id",
            (json.dumps([*mentions]),),
        ).fetchall()
        db.executemany("DELETE FROM entity_text WHERE rowid = ?", unknown)

    def add(self, db: apsw.Connection, rows: Iterable[int]) -> None:
        """Put rows of ``item`` into the index."""
        rows = list(rows)
        super().add(db, rows)
        by_scope: dict[str | None, dict[int, Mapping[str, Any]]] = {}
        relations = db.execute(
            "SELECT row, scope, detail FROM json_each(?) JOIN item ON item.row = value", (json.dumps(rows),)
        )
        for row, scope, detail in relations:
            by_scope.setdefault(scope, {})[row] = json.loads(detail)
        for scope, details in by_scope.items():
            self._relate(db, scope, details)

    def _relate(
        self, db: apsw.Connection, scope: str | None, details: Mapping[int, Mapping[str, Any]]
    ) -> None:
        """Note what items of one scope mention and relate."""
        names = {row: _names(detail) for row, detail in details.items()}
        ids = _entities(db, scope, {key for keys in names.values() for key in keys})
        mentions = [(ids[key], row) for row, keys in names.items() for key in keys]
        db.executemany("INSERT INTO mention VALUES (?, ?)", mentions)
        db.executemany(
            "UPDATE entity SET mentions = mentions + ?2 WHERE id = ?1",
            [*Counter(entity for entity, _ in mentions).items()],
        )
        edges = [
            (ids[_key(a)], ids[_key(b)], row)
            for row, detail in details.items()
            for a, _, b in detail["edges"]
            if _key(a) and _key(b)
        ]
        both = [pair for a, b, row in edges for pair in ((a, b, row), (b, a, row))]
        db.executemany("INSERT OR IGNORE INTO relation VALUES (?, ?, ?)", both)


def _key(name: str) -> str:
    """Return what equal names have in common: their words as the index has them, or their signs."""
    return " ".join(index_words(name).lower().split()) or " ".join(name.split())


def _names(detail: Mapping[str, Any]) -> set[str]:
    edges = [name for source, _, target in detail["edges"] for name in (source, target)]
    return {key for name in (*detail["entities"], *edges) if (key := _key(name))}


def _entities(db: apsw.Connection, scope: str | None, keys: Iterable[str]) -> dict[str, int]:
    """Return the ids of entities of a scope by their keys; those that are new are made."""
    place = scope or ""
    keys = set(keys)
    look_up = "SELECT key, id FROM entity WHERE scope = ? AND key = ?"
    known: dict[str, int] = dict(db.executemany(look_up, [(place, key) for key in keys]))
    fresh = dict(enumerate(sorted(keys - known.keys()), next_row(db, "entity", "id", scope)))
    db.executemany(
        "INSERT INTO entity(id, scope, key) VALUES (?, ?, ?)", [(i, place, key) for i, key in fresh.items()]
    )
    db.executemany("INSERT INTO entity_text(rowid, name) VALUES (?, ?)", fresh.items())
    return known | {key: i for i, key in fresh.items()}
