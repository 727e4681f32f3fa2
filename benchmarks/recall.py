"""Recall: quality by layer set, time by layer, throughput by threads, and what the manager adds.

Quality is recall@10 on the shared conversations (582 questions, each in its own conversation); without them
the sample memory is used and quality is left out. Ingest and the layers are measured in CPU time beside a
plain FTS5 table of the same texts, in turns, so that neither another machine nor other work on it matters.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import re
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apsw
from harness import Figure, median, options, progress, quantile, report

from athena_tuning import locations
from athena_tuning.model import LAYERS, TuningConfig
from athena_tuning.recall import LayerQuery, MemoryManager
from athena_tuning.recall.classification import classify
from athena_tuning.recall.ingest import ingest_file
from athena_tuning.recall.layers.query_terms import match_any
from athena_tuning.recall.layers.rows import within
from athena_tuning.recall.routing import select_layers

SHARED = Path(__file__).parents[2] / "shared" / "data" / "memory"
INGEST_TARGET = 0.036
"""0.85 of what it was (0.042) while texts went into the index as they are."""
QUERY_TARGETS = {"episodic": 0.74, "semantic": 0.47, "procedural": 0.14, "prospective": 0.26, "graph": 1.3}
"""What a search cost, beside a plain FTS5 query, before scripts were told apart; graph a little less."""
QUALITY_TARGETS = {("episodic", "semantic"): 0.745, ("episodic", "semantic", "graph"): 0.66}
SETS = (
    ("episodic",),
    ("semantic",),
    ("graph",),
    ("episodic", "semantic"),
    ("semantic", "graph"),
    ("episodic", "semantic", "graph"),
    LAYERS,
)


class Nothing:
    """A layer that answers at once, to see what the manager itself costs."""

    keeps_deadline = True

    def __init__(self, name: str) -> None:
        self.name = name

    def search(self, query: str, k: int, deadline: float) -> list[dict[str, Any]]:
        """Find nothing."""
        return []


def with_config(manager: MemoryManager, **values: Any) -> MemoryManager:
    manager.apply_config(
        TuningConfig(**values),
        expected_version=manager.configs.default.version,
        actor="benchmark",
        reason="a fixed config",
    )
    return manager


def recall_at_10(manager: MemoryManager, questions: Sequence[dict[str, Any]]) -> float:
    total = 0.0
    for question in questions:
        answer = manager.recall(question["text"], k=10, scope=question["conv"], use_cache=False)
        turns = list(dict.fromkeys(turn for item in answer["_fused"] for turn in item["evidence"]))[:10]
        gold = set(question["evidence"])
        total += len(gold & set(turns)) / len(gold)
    return total / len(questions)


def quality(manager: MemoryManager, questions: Sequence[dict[str, Any]]) -> list[Figure]:
    figures = []
    for names in SETS:
        layers = [manager.memory.layers[name] for name in names]
        with MemoryManager(":memory:", layers=layers) as fixed:
            with_config(fixed, layer_selection_enabled=False, max_concurrent=2)
            value = recall_at_10(fixed, questions)
        target = QUALITY_TARGETS.get(names)
        figures.append(Figure(f"recall@10, {'+'.join(names)}", value, "", target, at_least=True))
    chosen = recall_at_10(manager, questions)
    return [*figures, Figure("recall@10, layers that selection chooses", chosen, "", 0.62, at_least=True)]


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


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


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


def throughput(manager: MemoryManager, questions: Sequence[dict[str, Any]], seconds: float) -> list[Figure]:
    figures = []
    for parallel in (False, True):
        for threads in (1, 2, 4, 8):
            with_config(manager, max_concurrent=threads, enable_parallel=parallel, enable_cache=False)
            how = "at once" if parallel else "one by one"
            rate = recalls_per_second(manager, questions, threads, seconds)
            figures.append(Figure(f"recalls, layers {how}, {threads} threads", rate, "/s"))
    return figures


def recalls_per_second(
    manager: MemoryManager, questions: Sequence[dict[str, Any]], threads: int, seconds: float
) -> float:
    done = [0] * threads
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        turn = number
        while time.perf_counter() < end:
            question = questions[turn % len(questions)]
            manager.recall(question["text"], scope=question["conv"])
            done[number] += 1
            turn += threads

    clients = [threading.Thread(target=client, args=(number,)) for number in range(threads)]
    start = time.perf_counter()
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    return sum(done) / (time.perf_counter() - start)


def overhead(repeats: int) -> list[Figure]:
    figures = []
    for layers in (1, 3):
        with MemoryManager(":memory:", layers=[Nothing(f"n{n}") for n in range(layers)]) as manager:
            for how, at_once in (("one by one", False), ("at once", True)):

                def ask(number: int, manager: MemoryManager = manager, at_once: bool = at_once) -> None:
                    manager.recall(f"q {number}", use_cache=False, use_parallel=at_once)

                name = f"recall of {layers} layers that do nothing, {how}, p50"
                figures.append(Figure(name, each(ask, repeats), "µs"))

    with MemoryManager(":memory:", layers=[Nothing("n")]) as manager:
        known = each(lambda _: manager.recall("known"), repeats)
    return [*figures, Figure("recall answered from the cache, p50", known, "µs", 200)]


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


class FiveItems:
    """A layer that gives five short items at once: what is left is the cost of the recall itself."""

    keeps_deadline = True

    def __init__(self, name: str) -> None:
        self.name = name

    def search(self, query: str, k: int, deadline: float) -> list[dict[str, Any]]:
        """Find five."""
        return [{"id": f"{self.name}{n}", "text": f"text {n} of {self.name}"} for n in range(5)]


def own_cost(repeats: int) -> list[Figure]:
    """A recall over four layers of five items, beside the EnsembleRetriever of LangChain over four of five.

    In turns, in one thread, in CPU time. LangChain is there after ``make integrations``:
    ``.make/integrations/bin/python benchmarks/recall.py``.
    """
    with MemoryManager(":memory:", layers=[FiveItems(f"n{n}") for n in range(4)]) as manager:

        def ask() -> None:
            for number in range(repeats):
                manager.recall(f"question {number}", use_cache=False, use_parallel=False)

        theirs = langchain_ensemble(repeats)
        ask()
        ours, others = [], []
        for _ in range(9):
            ours.append(cpu_seconds(ask) / repeats * 1e6)
            others.append(cpu_seconds(theirs) / repeats * 1e6 if theirs is not None else math.nan)
    name = "recall of 4 layers of 5 items, CPU"
    figures = [Figure(name, median(ours), "µs")]
    if theirs is None:
        progress(f"langchain-classic is not installed: no row '{name}, to LangChain's EnsembleRetriever'")
        return figures
    ratio = median([a / b for a, b in zip(ours, others, strict=True)])
    return [
        *figures,
        Figure("LangChain's EnsembleRetriever over 4 retrievers of 5 documents, CPU", median(others), "µs"),
        Figure(f"{name}, to LangChain's EnsembleRetriever", ratio, "x", 0.55),
    ]


def langchain_ensemble(repeats: int) -> Callable[[], object] | None:
    """Return what asks an EnsembleRetriever so often; None without LangChain."""
    try:
        from langchain_classic.retrievers import EnsembleRetriever
        from langchain_core.documents import Document
        from langchain_core.retrievers import BaseRetriever
    except ImportError:
        return None

    class FiveDocuments(BaseRetriever):
        name: str

        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Any]:
            return [Document(page_content=f"text {n} of {self.name}") for n in range(5)]

    ensemble = EnsembleRetriever(retrievers=[FiveDocuments(name=f"n{n}") for n in range(4)])

    def ask() -> None:
        for number in range(repeats):
            ensemble.invoke(f"question {number}")

    ask()
    return ask


class Waiting:
    """A remote layer: its coroutine waits 50 ms for nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def search(self, query: str, k: int, deadline: float) -> list[dict[str, Any]]:
        """Find nothing, 50 ms later."""
        await asyncio.sleep(0.05)
        return []


def many_at_once(repeats: int) -> list[Figure]:
    """Awaited recalls of four remote layers; the least that 1,000 can take on 1,024 slots is 0.2 s."""

    async def ask(manager: MemoryManager, recalls: int) -> float:
        began = time.perf_counter()
        await asyncio.gather(*(manager.arecall(f"q {n}", use_cache=False) for n in range(recalls)))
        return time.perf_counter() - began

    async def latest_beat(manager: MemoryManager) -> float:
        late, asking = [], asyncio.ensure_future(ask(manager, 200))
        while not asking.done():
            began = time.perf_counter()
            await asyncio.sleep(0.002)
            late.append(time.perf_counter() - began - 0.002)
        return max(late)

    with MemoryManager(":memory:", layers=[Waiting(f"n{n}") for n in range(4)]) as manager:
        with_config(manager, max_concurrent=1024, overload_after_seconds=None)
        asyncio.run(ask(manager, 100))
        seconds = median([asyncio.run(ask(manager, 1000)) for _ in range(repeats)])
        late = median([asyncio.run(latest_beat(manager)) for _ in range(repeats)])
    return [
        Figure("1,000 recalls of 4 layers that wait 50 ms, at once", seconds, "s", 0.35),
        Figure("the caller's loop, with 200 such recalls at once, is late by at most", late * 1000, "ms", 20),
    ]


class Pages:
    """A layer whose items hold lists and mappings, so that a copy has to go deep."""

    def __init__(self, name: str) -> None:
        self.name = name

    def search(self, query: str, k: int, deadline: float) -> list[dict[str, Any]]:
        """Find ten pages."""
        return [
            {
                "id": f"{self.name}{n}",
                "text": f"page {n} of {self.name}",
                "tags": ["a", "b"],
                "meta": {"page": n, "lines": [n, n + 1]},
                "url": f"https://pages.test/{self.name}/{n}",
            }
            for n in range(10)
        ]


def repeated_answer(repeats: int) -> list[Figure]:
    """A whole recall that the cache answers, beside nothing but a copy of the items that it gives."""
    with MemoryManager(":memory:", layers=[Pages(name) for name in "abc"]) as manager:
        answer = manager.recall("known", k=10)
        items = [answer["a"], answer["b"], answer["c"], answer["_fused"]]
        hits, copies = [], []
        for _ in range(9):
            hits.append(each(lambda _: manager.recall("known", k=10), repeats))
            copies.append(each(lambda _: plain_copy(items), repeats))
        assert manager.recall("known", k=10)["_cache_hit"]
    hit, copied = median(hits), median(copies)
    return [
        Figure("plain copy of an answer of 30 items, and 30 fused ones, p50", copied, "µs"),
        Figure("recall of that answer from the cache, p50", hit, "µs"),
        Figure("recall from the cache, to a plain copy of its items", hit / copied, "x", 2.0),
    ]


def plain_copy(value: Any) -> Any:
    """Copy lists and mappings, however deep."""
    if isinstance(value, dict):
        return {name: plain_copy(part) for name, part in value.items()}
    return [plain_copy(part) for part in value] if isinstance(value, list) else value


def each(work: Callable[[int], object], repeats: int) -> float:
    times = []
    for number in range(repeats):
        start = time.perf_counter()
        work(number)
        times.append((time.perf_counter() - start) * 1e6)
    return median(times)


def load(manager: MemoryManager) -> tuple[list[dict[str, Any]], bool]:
    """Load ``memory_items``; return ``memory_questions``, and whether the right answers are known."""
    items, gold = memory_items()
    ingest_file(manager, items)
    return memory_questions(items, gold), gold


def memory_items() -> tuple[Path, bool]:
    """Return the shared conversations, or the sample memory, and whether the right answers are known."""
    items = SHARED / "conversation_items.jsonl.gz"
    if items.is_file():
        return items, True
    return next(locations.sample_data().glob("*memory*.jsonl.gz")), False


def memory_questions(items: Path, gold: bool) -> list[dict[str, Any]]:
    """Return the questions of the shared conversations, or texts of the sample memory."""
    if gold:
        with gzip.open(SHARED / "conversation_queries.jsonl.gz") as lines:
            asked = [json.loads(line) for line in lines]
        return [q for q in asked if not q["adversarial"] and q["evidence"]]
    with gzip.open(items) as lines:
        texts = [json.loads(line) for line in lines]
    return [{"text": i["text"][:60], "conv": i.get("scope")} for i in texts[::7] if i["text"].strip()]


def main() -> int:
    asked = options(__doc__)
    with tempfile.TemporaryDirectory() as folder, MemoryManager(Path(folder) / "memory.db") as manager:
        items, gold = memory_items()
        ingest_file(manager, items)
        questions = memory_questions(items, gold)
        some = questions[:: 6 if asked.quick else 1]
        figures = [ingest_ratio(items, 3 if asked.quick else 7)]
        figures += quality(manager, some) if gold else []
        figures += by_layer(manager, some)
        figures += query_ratios(manager, some, items, gold, 3 if asked.quick else 7)
        figures += over_bare_queries(manager, some, 3 if asked.quick else 7)
        figures += throughput(manager, questions, 0.5 if asked.quick else 4.0)
    figures += overhead(500 if asked.quick else 5000)
    figures += many_at_once(3 if asked.quick else 9)
    figures += own_cost(100 if asked.quick else 500)
    figures += repeated_answer(50 if asked.quick else 300)
    return report(figures, asked)


if __name__ == "__main__":
    raise SystemExit(main())
