"""What the built-in layers cost, in CPU time beside plain FTS5: ingest, searches, whole recalls."""

from __future__ import annotations

import gzip
import json
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
from harness import Figure, median, quantile
from recall_memory import cpu_seconds, with_config

from athena_tuning.model import LAYERS
from athena_tuning.recall import LayerQuery, MemoryManager
from athena_tuning.recall.classification import classify
from athena_tuning.recall.ingest import ingest_file
from athena_tuning.recall.layers.query_terms import match_any
from athena_tuning.recall.layers.rows import within
from athena_tuning.recall.routing import select_layers

INGEST_TARGET = 0.036
"""0.85 of what it was (0.042) while texts went into the index as they are."""
QUERY_TARGETS = {"episodic": 0.74, "semantic": 0.47, "procedural": 0.14, "prospective": 0.26, "graph": 1.3}
"""What a search cost, beside a plain FTS5 query, before scripts were told apart; graph a little less."""


class PlainIndex:
    """The least that full text in SQLite costs: one FTS5 table of texts, nothing else."""

    def __init__(self, path: Path) -> None:
        self.db = apsw.Connection(str(path))
        self.db.pragma("journal_mode", "wal")
        self.db.pragma("synchronous", "normal")
        self.db.execute(
            "CREATE VIRTUAL TABLE plain USING fts5(text, tokenize='porter unicode61 remove_diacritics 2')"
        )

    def insert(self, texts: Sequence[str]) -> None:
        """Keep texts, 500 in a transaction."""
        for start in range(0, len(texts), 500):
            with self.db:
                rows = [(text,) for text in texts[start : start + 500]]
                self.db.executemany("INSERT INTO plain(text) VALUES (?)", rows)

    def search(self, question: str, k: int) -> None:
        """Find the best ``k`` texts by any of the longer words."""
        words = " OR ".join(f'"{word}"' for word in re.findall(r"\w{4,}", question)) or '"nothing"'
        self.db.execute(f"SELECT rowid FROM plain('{words}') ORDER BY rank LIMIT {k}").fetchall()


def ingest_ratio(items: Path, repeats: int) -> Figure:
    with gzip.open(items) as lines:
        texts = [json.loads(line)["text"] for line in lines]
    ratios = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder, MemoryManager(Path(folder) / "memory.db") as manager:
            plain = PlainIndex(Path(folder) / "plain.db")
            bare = cpu_seconds(lambda plain=plain: plain.insert(texts))  # type: ignore[misc]
            whole = cpu_seconds(lambda manager=manager: ingest_file(manager, items))  # type: ignore[misc]
            plain.db.close()
        ratios.append(bare / whole)
    name = "ingest, items/s beside plain FTS5 inserts of the same texts"
    return Figure(name, median(ratios), "x", INGEST_TARGET, at_least=True)


def by_layer(manager: MemoryManager, questions: Sequence[dict[str, Any]]) -> list[Figure]:
    figures = []
    for name, layer in manager.memory.layers.items():
        times = []
        for question in questions:
            start = time.perf_counter()
            layer.search(LayerQuery(question["text"], question["conv"]), 20, time.monotonic() + 60)
            times.append((time.perf_counter() - start) * 1000)
        figures.append(Figure(f"{name}, best 20, p50", quantile(times, 0.5), "ms"))
        figures.append(Figure(f"{name}, best 20, p99", quantile(times, 0.99), "ms"))
    return figures


def query_ratios(
    manager: MemoryManager, questions: Sequence[dict[str, Any]], items: Path, gold: bool, repeats: int
) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder, gzip.open(items) as lines:
        plain = PlainIndex(Path(folder) / "plain.db")
        plain.insert([json.loads(line)["text"] for line in lines])

        def ask_plain() -> None:
            for question in questions:
                plain.search(question["text"], 20)

        figures = []
        for name, layer in manager.memory.layers.items():

            def ask(layer: Any = layer) -> None:
                for question in questions:
                    layer.search(LayerQuery(question["text"], question["conv"]), 20, time.monotonic() + 60)

            ask()
            pairs = [(cpu_seconds(ask), cpu_seconds(ask_plain)) for _ in range(repeats)]
            ratio = median([whole / bare for whole, bare in pairs])
            target = QUERY_TARGETS[name] if gold else None
            figures.append(Figure(f"{name}, CPU beside a plain FTS5 query of all texts", ratio, "x", target))
        plain.db.close()
    return figures


def over_bare_queries(
    manager: MemoryManager, questions: Sequence[dict[str, Any]], repeats: int
) -> list[Figure]:
    """Whole recalls, beside nothing but the FTS5 queries of the layers that they ask: rows of the best 15."""
    file = manager.memory.file
    within_scope = within("rowid", "?2")
    indexes = {name: (f"{name}_text",) for name in LAYERS} | {"graph": ("graph_text", "entity_text")}
    queries = {
        index: f"SELECT rowid FROM {index} WHERE {index} MATCH ?1 AND {within_scope} ORDER BY rank LIMIT 15"
        for of in indexes.values()
        for index in of
    }
    asked = []
    for question in questions:
        layers = select_layers(question["text"], classify(question["text"]), LAYERS)
        used = [queries[index] for layer in layers for index in indexes[layer]]
        asked.append((match_any(question["text"]) or '""', question["conv"], used))

    def bare() -> None:
        for match, scope, used in asked:
            for sql in used:
                file.read(sql, (match, scope))

    def whole() -> None:
        for question in questions:
            manager.recall(question["text"], scope=question["conv"], use_cache=False, use_parallel=False)

    with_config(manager, exploration_share=0.0)
    whole()
    pairs = [(cpu_seconds(whole), cpu_seconds(bare)) for _ in range(repeats)]
    figures = [median([pair[part] for pair in pairs]) / len(questions) * 1000 for part in (0, 1)]
    ratio = median([a / b for a, b in pairs])
    return [
        Figure("recall over the built-in layers, one after another, CPU", figures[0], "ms"),
        Figure("bare FTS5 queries of the same layers, CPU", figures[1], "ms"),
        Figure("recall over the built-in layers, to their bare FTS5 queries", ratio, "x", 2.2),
    ]
