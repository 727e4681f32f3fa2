"""The layer of entities and relations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import apsw

from athena_tuning.recall.items import LayerQuery
from athena_tuning.recall.layers.memory_file import MemoryFile
from athena_tuning.recall.layers.rows import COLUMNS, record
from athena_tuning.recall.layers.text import WEIGHTS, TextLayer
from athena_tuning.recall.layers.words import any_of, scope_mark

HOPS = 2
"""Relations that a walk follows away from what the query names."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entity(
    id INTEGER PRIMARY KEY, scope TEXT NOT NULL, key TEXT NOT NULL, mentions INTEGER NOT NULL DEFAULT 0,
    UNIQUE(scope, key)
);
CREATE VIRTUAL TABLE IF NOT EXISTS entity_text USING fts5(
    name, scope, content='', contentless_delete=1, tokenize='porter unicode61 remove_diacritics 2'
);
CREATE TABLE IF NOT EXISTS mention(
    entity INTEGER NOT NULL, item INTEGER NOT NULL, PRIMARY KEY(entity, item)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS mention_item ON mention(item);
CREATE TABLE IF NOT EXISTS relation(
    entity INTEGER NOT NULL, other INTEGER NOT NULL, item INTEGER NOT NULL,
    PRIMARY KEY(entity, other, item)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS relation_item ON relation(item);
"""

# The walk is best first: SQLite takes the heaviest row of the queue next, and stops after 16 entities.
_SEARCH = f"""
WITH RECURSIVE
hit(item, score) AS MATERIALIZED (
    SELECT rowid, -bm25(graph_text, {WEIGHTS}) AS score
    FROM graph_text WHERE graph_text MATCH ?1 ORDER BY score DESC LIMIT ?3
),
named(entity, weight) AS MATERIALIZED (
    SELECT rowid, -bm25(entity_text, 1.0, 0.0) AS score
    FROM entity_text WHERE entity_text MATCH ?2 ORDER BY score DESC LIMIT 8
),
reach(entity, hops, weight) AS (
    SELECT entity, 0, weight / (SELECT max(weight) FROM named) / mentions
    FROM named JOIN entity ON id = entity
    UNION ALL
    SELECT other, hops + 1, reach.weight * 0.5 / mentions
    FROM reach JOIN relation USING (entity) JOIN entity ON id = other WHERE hops < {HOPS}
    ORDER BY 3 DESC LIMIT 16
),
near(item, weight) AS (
    SELECT item, max(weight) FROM reach JOIN mention USING (entity) GROUP BY item
),
scored(item, score) AS (
    SELECT item, sum(score) FROM (
        SELECT item, score FROM hit UNION ALL SELECT item, weight * ?4 FROM near
    ) GROUP BY item ORDER BY 2 DESC LIMIT ?3
)
SELECT {COLUMNS} FROM scored JOIN item ON item.row = scored.item ORDER BY scored.score DESC
"""


class GraphLayer:
    """Relations found by their words and by their nearness to what the query names.

    Entities whose names share a word with the query start a walk over the relations, up to two hops. Each
    hop halves the weight and shares it among an entity's relations, so that a name which is everywhere
    leads nowhere in particular. An item scores its BM25 plus the weight of the nearest entity in it.
    """

    keeps_deadline = True
    name = "graph"

    def __init__(self, file: MemoryFile) -> None:
        self._file = file
        self._text = TextLayer(file, self.name)

    def search(self, query: LayerQuery, k: int, deadline: float) -> list[dict[str, Any]]:
        """Return the ``k`` best relations. See ``Layer``."""
        words = any_of(query, query.scope, "text moment names")
        names = any_of(query, query.scope, "name")
        if words is None:
            return []
        rows = self._file.read(_SEARCH, (words, names, k, NEARNESS), deadline)
        return [record(self.name, row) for row in rows]

    def create(self, db: apsw.Connection) -> None:
        """Make the index."""
        self._text.create(db)
        db.execute(_SCHEMA)

    def remove(self, db: apsw.Connection, rows: Iterable[int]) -> None:
        """Take rows out of the index, and entities that nothing mentions any more."""
        rows = list(rows)
        self._text.remove(db, rows)
        for row in rows:
            entities = db.execute("DELETE FROM mention WHERE item = ? RETURNING entity", (row,)).fetchall()
            db.execute("DELETE FROM relation WHERE item = ?", (row,))
            for (entity,) in entities:
                db.execute("UPDATE entity SET mentions = mentions - 1 WHERE id = ?", (entity,))
                if db.execute(
                    "DELETE FROM entity WHERE id = ? AND mentions = 0 RETURNING 1", (entity,)
                ).fetchone():
                    db.execute("DELETE FROM entity_text WHERE rowid = ?", (entity,))

    def add(self, db: apsw.Connection, rows: Sequence[int]) -> None:
        """Put rows of ``item`` into the index."""
        self._text.add(db, rows)
        for row in rows:
            [(scope, detail)] = db.execute("SELECT scope, detail FROM item WHERE row = ?", (row,))
            parts = json.loads(detail)
            edges = [(source, target) for source, _, target in parts["edges"]]
            names = {*parts["entities"], *(name for edge in edges for name in edge)}
            ids = {name: _entity(db, scope, name) for name in names if name.strip()}
            for entity in set(ids.values()):
                db.execute("INSERT INTO mention VALUES (?, ?)", (entity, row))
                db.execute("UPDATE entity SET mentions = mentions + 1 WHERE id = ?", (entity,))
            pairs = [(ids[a], ids[b]) for a, b in edges if a in ids and b in ids]
            both = [(a, b, row) for a, b in pairs] + [(b, a, row) for a, b in pairs]
            db.executemany("INSERT OR IGNORE INTO relation VALUES (?, ?, ?)", both)


NEARNESS = 2.0
"""Weight of nearness beside BM25, whose scores are mostly 1 to 15."""


def _entity(db: apsw.Connection, scope: str | None, name: str) -> int:
    place = (scope or "", " ".join(name.casefold().split()))
    known = db.execute("SELECT id FROM entity WHERE scope = ? AND key = ?", place).fetchone()
    if known:
        return int(known[0])
    db.execute("INSERT INTO entity(scope, key) VALUES (?, ?)", place)
    entity = db.last_insert_rowid()
    db.execute(
        "INSERT INTO entity_text(rowid, name, scope) VALUES (?, ?, ?)", (entity, name, scope_mark(scope))
    )
    return entity
