"""A memory file of an older version is brought up to date when it is opened."""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from athena_tuning.recall.items import Item, LayerQuery
from athena_tuning.recall.layers.memory_file import APPLICATION_ID
from athena_tuning.recall.memory import Memory

LATER = time.monotonic() + 3600
LAYERS = ("episodic", "semantic", "procedural", "prospective", "graph")

TEXT_OPTIONS = "content='', contentless_delete=1, tokenize='porter unicode61 remove_diacritics 2'"
TEXT_TABLE = f"CREATE VIRTUAL TABLE {{}}_text USING fts5(text, around, moment, names, scope, {TEXT_OPTIONS});"
VERSION_1 = f"""
CREATE TABLE item(
    row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, layer TEXT NOT NULL, scope TEXT, text TEXT NOT NULL,
    timestamp REAL, kind TEXT NOT NULL, speaker TEXT NOT NULL, names TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE INDEX item_place ON item(layer, scope, kind, row);
CREATE TABLE layer_writes(layer TEXT PRIMARY KEY, writes INTEGER NOT NULL) WITHOUT ROWID;
{"".join(TEXT_TABLE.format(layer) for layer in LAYERS)}
CREATE TABLE entity(
    id INTEGER PRIMARY KEY, scope TEXT NOT NULL, key TEXT NOT NULL, mentions INTEGER NOT NULL DEFAULT 0,
    UNIQUE(scope, key)
);
CREATE VIRTUAL TABLE entity_text USING fts5(name, scope, {TEXT_OPTIONS});
CREATE TABLE mention(entity INTEGER NOT NULL, item INTEGER NOT NULL, PRIMARY KEY(entity, item)) WITHOUT ROWID;
CREATE INDEX mention_item ON mention(item);
CREATE TABLE relation(
    entity INTEGER NOT NULL, other INTEGER NOT NULL, item INTEGER NOT NULL, PRIMARY KEY(entity, other, item)
) WITHOUT ROWID;
CREATE INDEX relation_item ON relation(item);
CREATE TABLE git_file(
    scope TEXT NOT NULL, path TEXT NOT NULL, blob TEXT NOT NULL, ids TEXT NOT NULL, PRIMARY KEY(scope, path)
) WITHOUT ROWID;
INSERT INTO git_file VALUES ('web', 'a.py', 'x', '[]');
INSERT INTO layer_writes VALUES ('semantic', 7);
PRAGMA application_id={APPLICATION_ID};
PRAGMA user_version=1;
"""

ITEMS: list[tuple[str, str, str | None, str, float | None, list[list[str]]]] = [
    ("a", "semantic", "web", "部署账单服务的时候数据库超时了", 1714644000.0, []),
    ("b", "semantic", "web", "the next line", None, []),
    ("c", "semantic", None, "call getInvoiceTotal", 1714644000000.0, []),
    ("d", "episodic", "ops", "What did the auditors want?", 1e40, []),
    ("e", "episodic", "ops", "Only the ledger.", None, []),
    ("f", "graph", "web", "checkout needs billing", None, [["checkout", "needs", "billing"]]),
    ("g", "graph", "web", "billing needs a ledger", None, [["billing", "needs", "ledger"]]),
]


def make_older(path: Path, items: int = 0) -> None:
    """Write a file as version 1 did; ``items`` more than those above."""
    with closing(apsw.Connection(str(path))) as db, db:
        db.execute(VERSION_1)
        more = [(f"n{n}", "semantic", "many", f"note {n}", None, []) for n in range(items)]
        for item_id, layer, scope, text, timestamp, edges in [*ITEMS, *more]:
            detail = json.dumps({"entities": [], "edges": edges, "evidence": []})
            db.execute(
                "INSERT INTO item(id, layer, scope, text, timestamp, kind, speaker, names, detail)"
                " VALUES (?, ?, ?, ?, ?, '', '', '', ?)",
                (item_id, layer, scope, text, timestamp, detail),
            )
            values = (db.last_insert_rowid(), text, scope or "")
            db.execute(f"INSERT INTO {layer}_text(rowid, text, scope) VALUES (?, ?, ?)", values)


def ask(memory: Memory, layer: str, text: str, scope: str | None = None) -> list[str]:
    return [found["id"] for found in memory.layers[layer].search(LayerQuery(text, scope), 10, LATER)]


def test_its_items_are_found_by_todays_rules(tmp_path: Path) -> None:
    make_older(tmp_path / "m.db")
    memory = Memory(tmp_path / "m.db")
    assert memory.counts() == {"episodic": 2, "semantic": 3, "procedural": 0, "prospective": 0, "graph": 2}
    assert ask(memory, "semantic", "数据库")[0] == "a"
    assert ask(memory, "semantic", "invoice") == ["c"]
    assert ask(memory, "semantic", "invoice", "web") == []
    assert set(ask(memory, "episodic", "auditors", "ops")) == {"d", "e"}
    assert ask(memory, "graph", "checkout", "web") == ["f", "g"]
    memory.close()


def test_its_ids_are_those_of_their_scopes_from_now_on(tmp_path: Path) -> None:
    make_older(tmp_path / "m.db")
    memory = Memory(tmp_path / "m.db")
    (item,) = memory.layers["semantic"].search(LayerQuery("invoice"), 1, LATER)
    memory.remember([_as_item(item, scope="new"), _as_item(item, text="getInvoiceSum")])
    assert sorted(ask(memory, "semantic", "invoice")) == ["c", "c"]
    assert ask(memory, "semantic", "sum") == ["c"]
    assert memory.forget("c", None)
    assert ask(memory, "semantic", "invoice") == ["c"]
    memory.close()


def test_times_that_were_taken_for_seconds_are_read_by_their_size(tmp_path: Path) -> None:
    make_older(tmp_path / "m.db")
    memory = Memory(tmp_path / "m.db")
    times = dict(memory.file.read("SELECT id, timestamp FROM item WHERE id IN ('a', 'c', 'd')"))
    assert times == {"a": 1714644000.0, "c": 1714644000.0, "d": None}
    assert set(ask(memory, "semantic", "May 2024")) >= {"a", "c"}
    memory.close()


def test_what_else_is_in_the_file_stays_and_cached_answers_end(tmp_path: Path) -> None:
    make_older(tmp_path / "m.db")
    memory = Memory(tmp_path / "m.db")
    assert memory.file.read("SELECT path FROM git_file") == [("a.py",)]
    assert memory.writes() == {"semantic": 8, **dict.fromkeys(set(LAYERS) - {"semantic"}, 1)}
    assert memory.file.read("PRAGMA integrity_check") == [("ok",)]
    memory.close()


def test_many_may_open_it_at_once(tmp_path: Path) -> None:
    make_older(tmp_path / "m.db", items=3000)
    opened: list[Memory] = []
    threads = [threading.Thread(target=lambda: opened.append(Memory(tmp_path / "m.db"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [memory.counts()["semantic"] for memory in opened] == [3003] * 4
    assert all(memory.writes()["semantic"] == 8 for memory in opened), "one of them did it"
    for memory in opened:
        memory.close()


def test_a_failure_on_the_way_leaves_it_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_older(tmp_path / "m.db")

    def fail(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr("athena_tuning.recall.layers.graph.GraphLayer.add", fail)
        with pytest.raises(OSError, match="no space"):
            Memory(tmp_path / "m.db")
    with closing(apsw.Connection(str(tmp_path / "m.db"))) as db:
        assert db.pragma("user_version") == 1
        assert db.execute("SELECT count(*) FROM item").fetchall() == [(len(ITEMS),)]
    again = Memory(tmp_path / "m.db")
    assert ask(again, "semantic", "invoice") == ["c"]
    again.close()


def test_a_file_of_a_newer_program_is_refused_in_words(tmp_path: Path) -> None:
    Memory(tmp_path / "m.db").close()
    with closing(apsw.Connection(str(tmp_path / "m.db"))) as db:
        db.pragma("user_version", 99)
    with pytest.raises(ValueError, match="version 99, made by a newer athena_tuning; this one knows"):
        Memory(tmp_path / "m.db")


def _as_item(found: dict[str, object], **change: object) -> Item:
    return Item.from_dict({**found, **change})
