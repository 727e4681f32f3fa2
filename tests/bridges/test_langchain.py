"""LangChain by its own hooks: a callback records, retrievers are layers, a manager is a retriever."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnableParallel

from athena_tuning import MemoryManager, PerformanceProfiler
from athena_tuning.integrations.langchain import (
    ManagerRetriever,
    RecallCallback,
    RetrieverLayer,
)


class Facts(BaseRetriever):
    documents: int = 2

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [
            Document(id=str(n), page_content=f"{query} {n}", metadata={"page": n})
            for n in range(self.documents)
        ]


class Events(Facts):
    pass


class Broken(BaseRetriever):
    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        raise OSError(query)


class Both(BaseRetriever):
    parts: list[Any]

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        given = {"callbacks": run_manager.get_child()}
        return [document for part in self.parts for document in part.invoke(query, given)]

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        given = {"callbacks": run_manager.get_child()}
        found = await asyncio.gather(*(part.ainvoke(query, given) for part in self.parts))
        return [document for documents in found for document in documents]


@pytest.fixture
def profiler():
    return PerformanceProfiler()


@pytest.fixture
def callback(profiler):
    return RecallCallback(profiler)


@pytest.fixture
def given(callback):
    return {"callbacks": [callback]}


def test_retrievers_below_one_are_its_layers(profiler, callback, given):
    chain = (
        Both(parts=[Facts(), Events(documents=3)])
        | RunnableLambda(str)
        | FakeListChatModel(responses=["tea"])
    )
    chain.invoke("what now?", given)
    [m] = profiler.metrics
    assert (m.query_text, m.query_type, m.success, m.result_count) == ("what now?", "Both", True, 5)
    assert [(task.layer, task.result_count) for task in m.tasks] == [("Facts", 2), ("Events", 3)]
    assert (len(callback.runs.spans), callback.runs.spans.cut, len(callback.runs)) == (0, 0, 0)


def test_awaited_retrievers_run_at_once(profiler, given):
    asyncio.run(Both(parts=[Facts(), Facts()]).ainvoke("what now?", given))
    [m] = profiler.metrics
    assert m.layers_queried == ["Facts 1", "Facts 2"]


def test_a_retriever_that_fails_in_a_parallel_step_leaves_a_partial_answer(profiler, given):
    step = RunnableParallel(facts=Facts(), broken=Broken().with_fallbacks([Events()]))
    step.invoke("what now?", given)
    records = profiler.metrics
    assert {layer for m in records for layer in m.layers_queried} >= {"Facts", "Broken"}
    assert any(m.partial for m in records)


def test_a_chain_without_retrievers_is_no_recall(profiler, callback, given):
    (RunnableLambda(str) | FakeListChatModel(responses=["tea"])).invoke("hello", given)
    assert len(profiler.metrics) == 0
    assert len(callback.runs.spans) == 0


def test_of_200_queries_on_8_threads_20_fail_and_nothing_is_left_open(profiler, callback, given):
    good, bad = Both(parts=[Facts(), Events()]), Both(parts=[Facts(), Broken()])

    def ask(n):
        with suppress(OSError):
            (bad if n % 10 == 0 else good).invoke(f"question {n}", given)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(200)))
    records = profiler.metrics
    assert len({m.query_text for m in records}) == len(records) == 200
    assert sum(m.success is False for m in records) == 20
    assert (len(callback.runs.spans), callback.runs.spans._running, len(callback.runs)) == (0, 0, 0)


def test_a_retriever_is_a_layer_and_the_manager_a_retriever(tmp_path):
    with MemoryManager(tmp_path / "memory.db") as manager:
        manager.remember({"id": "ana", "layer": "semantic", "text": "Ana owns billing."})
        manager.register_layer(RetrieverLayer("papers", Facts()))
        retriever = ManagerRetriever(manager=manager, k=4)
        found = retriever.invoke("who owns billing?")
        by_layer = {document.metadata["layer"]: document for document in found}
        assert by_layer["papers"].metadata["page"] in (0, 1)
        assert by_layer["semantic"].page_content == "Ana owns billing."
        assert manager.record_feedback(found[0].metadata["query_id"], 1.0)
        awaited = asyncio.run(retriever.ainvoke("who owns search?"))
        assert {document.metadata["layer"] for document in awaited} >= {"papers"}


def test_where_no_layer_answers_the_retriever_says_so(tmp_path):
    layers = [RetrieverLayer("papers", Broken())]
    said = pytest.raises(RuntimeError, match=r"no layer answered.*papers")
    with MemoryManager(tmp_path / "memory.db", layers=layers) as manager, said:
        ManagerRetriever(manager=manager).invoke("who?")
