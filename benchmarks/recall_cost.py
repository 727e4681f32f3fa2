"""What a recall costs beside its layers: alone, beside another library, and answered from the cache."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from harness import Figure, median, progress
from recall_memory import cpu_seconds

from athena_tuning.recall import MemoryManager


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


class Nothing:
    """A layer that answers at once, to see what the manager itself costs."""

    keeps_deadline = True

    def __init__(self, name: str) -> None:
        self.name = name

    def search(self, query: str, k: int, deadline: float) -> list[dict[str, Any]]:
        """Find nothing."""
        return []


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


class FiveItems:
    """A layer that gives five short items at once: what is left is the cost of the recall itself."""

    keeps_deadline = True

    def __init__(self, name: str) -> None:
        self.name = name

    def search(self, query: str, k: int, deadline: float) -> list[dict[str, Any]]:
        """Find five."""
        return [{"id": f"{self.name}{n}", "text": f"text {n} of {self.name}"} for n in range(5)]


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
