"""LlamaIndex by its own hooks: a span handler records, retrievers are layers, a manager is a retriever."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import Document, SummaryIndex, VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import QueryFusionRetriever

from athena_tuning import MemoryManager, PerformanceProfiler
from athena_tuning.integrations.llama_index import ManagerRetriever, RetrieverLayer, record_retrievals

TEXTS = ["Ana owns billing.", "The billing deploy failed on Friday.", "Bo owns search.", "Run make release."]
QUESTION = "who owns billing?"


class Broken(BaseRetriever):
    def _retrieve(self, query_bundle):
        raise OSError(query_bundle.query_str)


def fusion(use_async=False, more=()):
    documents = [Document(text=text, metadata={"page": n}) for n, text in enumerate(TEXTS)]
    vectors = VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(embed_dim=8))
    everything = SummaryIndex.from_documents(documents)
    retrievers = [vectors.as_retriever(similarity_top_k=2), everything.as_retriever(), *more]
    return QueryFusionRetriever(
        retrievers, llm=MockLLM(), num_queries=1, similarity_top_k=3, use_async=use_async
    )


@pytest.fixture
def profiler():
    return PerformanceProfiler()


@pytest.fixture
def handler(profiler):
    made = record_retrievals(profiler)
    yield made
    get_dispatcher().span_handlers.remove(made)


def nothing_is_left(handler):
    spans = handler.runs.spans
    return len(handler.runs) == len(spans) == spans._running == spans.cut == 0 and not handler.open_spans


@pytest.mark.parametrize("how", ["in order", "at once", "awaited"])
def test_a_fusion_is_a_recall_and_its_retrievers_are_layers(profiler, handler, how):
    asked = fusion(use_async=how == "at once")
    nodes = asyncio.run(asked.aretrieve(QUESTION)) if how == "awaited" else asked.retrieve(QUESTION)
    [m] = profiler.metrics
    assert (m.query_text, m.query_type, m.success) == (QUESTION, "QueryFusionRetriever", True)
    assert {task.layer: task.result_count for task in m.tasks} == {
        "VectorIndexRetriever": 2,
        "SummaryIndexRetriever": 4,
    }
    assert m.result_count == len(nodes) == 3
    assert nothing_is_left(handler)


def test_in_a_query_engine_the_retrieval_is_the_recall(profiler, handler):
    RetrieverQueryEngine.from_args(fusion(), llm=MockLLM()).query(QUESTION)
    [m] = profiler.metrics
    assert (m.query_text, m.query_type) == (QUESTION, "QueryFusionRetriever")
    assert nothing_is_left(handler)


def test_of_200_queries_on_8_threads_20_fail_and_nothing_is_left_open(profiler, handler):
    good, bad = fusion(), fusion(more=[Broken()])

    def ask(n):
        with suppress(OSError):
            (bad if n % 10 == 0 else good).retrieve(f"question {n}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(200)))
    records = profiler.metrics
    assert len({m.query_text for m in records}) == len(records) == 200
    assert sum(m.success is False for m in records) == 20
    assert nothing_is_left(handler)


def test_a_retriever_is_a_layer_and_the_manager_a_retriever(tmp_path):
    everything = SummaryIndex.from_documents([Document(text=TEXTS[1], metadata={"page": 7})])
    with MemoryManager(tmp_path / "memory.db") as manager:
        manager.remember({"id": "ana", "layer": "semantic", "text": TEXTS[0]})
        manager.register_layer(RetrieverLayer("papers", everything.as_retriever()))
        retriever = ManagerRetriever(manager, k=4)
        nodes = retriever.retrieve(QUESTION)
        by_layer = {each.metadata["layer"]: each for each in nodes}
        assert by_layer["papers"].metadata["page"] == 7
        assert by_layer["semantic"].node.get_content() == TEXTS[0]
        assert by_layer["semantic"].score > 0
        assert manager.record_feedback(nodes[0].metadata["query_id"], 1.0)
        awaited = asyncio.run(retriever.aretrieve("who owns search?"))
        assert {each.metadata["layer"] for each in awaited} >= {"papers"}


def test_a_manager_beside_others_in_a_fusion_is_a_layer_of_it(tmp_path, profiler, handler):
    with MemoryManager(tmp_path / "memory.db") as manager:
        manager.remember({"id": "ana", "layer": "semantic", "text": TEXTS[0]})
        nodes = fusion(more=[ManagerRetriever(manager)]).retrieve(QUESTION)
    [m] = profiler.metrics
    assert set(m.layers_queried) == {"VectorIndexRetriever", "SummaryIndexRetriever", "ManagerRetriever"}
    assert any(each.node.get_content() == TEXTS[0] for each in nodes)


def test_where_no_layer_answers_the_retriever_says_so(tmp_path):
    layers = [RetrieverLayer("papers", Broken())]
    said = pytest.raises(RuntimeError, match=r"no layer answered.*papers")
    with MemoryManager(tmp_path / "memory.db", layers=layers) as manager, said:
        ManagerRetriever(manager).retrieve("who?")
