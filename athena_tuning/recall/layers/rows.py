"""How items lie in the memory file."""

from __future__ import annotations

import json
from typing import Any

from athena_tuning.recall.items import Item

SCHEMA = """
CREATE TABLE IF NOT EXISTS item(
    row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, layer TEXT NOT NULL, scope TEXT, text TEXT NOT NULL,
    timestamp REAL, kind TEXT NOT NULL, speaker TEXT NOT NULL, names TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS item_place ON item(layer, scope, kind, row);
CREATE TABLE IF NOT EXISTS layer_writes(layer TEXT PRIMARY KEY, writes INTEGER NOT NULL) WITHOUT ROWID;
"""

COLUMNS = "item.id, item.scope, item.text, item.timestamp, item.kind, item.speaker, item.detail"

PUT = """
INSERT INTO item(id, layer, scope, text, timestamp, kind, speaker, names, detail) VALUES (?,?,?,?,?,?,?,?,?)
ON CONFLICT(id) DO UPDATE SET layer = excluded.layer, scope = excluded.scope, text = excluded.text,
    timestamp = excluded.timestamp, kind = excluded.kind, speaker = excluded.speaker, names = excluded.names,
    detail = excluded.detail
RETURNING row
"""


def values(item: Item) -> tuple[Any, ...]:
    """Return an item as the bindings of ``PUT``."""
    detail = {"entities": item.entities, "edges": item.edges, "evidence": item.evidence}
    return (
        item.id,
        item.layer,
        item.scope,
        item.text,
        item.timestamp,
        item.kind,
        item.speaker,
        " ".join(item.entities),
        json.dumps(detail, ensure_ascii=False, separators=(",", ":")),
    )


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
        **json.loads(detail),
    }
