"""The spans of LangChain, LlamaIndex and Haystack become the recalls and layers that a person would name."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

trace = pytest.importorskip("opentelemetry.sdk.trace")

from athena_tuning import PerformanceProfiler, QuerySpanProcessor  # noqa: E402

TEXTS = ["Ana owns billing.", "The billing deploy failed on Friday.", "Bo owns search.", "Run make release."]
QUESTION = "who owns billing?"


@pytest.fixture
def profiler():
    return PerformanceProfiler()


@pytest.fixture
def processor(profiler):
    return QuerySpanProcessor(profiler)


@pytest.fixture
def provider(processor):
    made = trace.TracerProvider()
    made.add_span_processor(processor)
    return made


def nothing_is_left(processor):
    spans = processor.spans
    return len(spans) == spans._running == spans.cut == 0


class TestLangChain:
    @pytest.fixture(autouse=True)
    def _instrumented(self, provider):
        pytest.importorskip("langchain_core")
        made = pytest.importorskip("openinference.instrumentation.langchain").LangChainInstrumentor()
        made.instrument(tracer_provider=provider)
        yield
        made.uninstrument()

    @staticmethod
    def ensemble():
        ensembles = pytest.importorskip("langchain_classic.retrievers")
        bm25 = pytest.importorskip("langchain_community.retrievers").BM25Retriever
        vectors = pytest.importorskip("langchain_core.vectorstores").InMemoryVectorStore
        from langchain_core.embeddings import DeterministicFakeEmbedding

        store = vectors.from_texts(TEXTS, DeterministicFakeEmbedding(size=8))
        parts = [bm25.from_texts(TEXTS, k=2), store.as_retriever(search_kwargs={"k": 3})]
        return ensembles.EnsembleRetriever(retrievers=parts, weights=[0.5, 0.5])

    def test_an_ensemble_is_a_recall_and_its_retrievers_are_layers(self, profiler, processor):
        results = self.ensemble().invoke(QUESTION)
        [m] = profiler.metrics
        assert (m.query_text, m.query_type, m.success) == (QUESTION, "EnsembleRetriever", True)
        assert set(m.layers_queried) == {"BM25Retriever", "VectorStoreRetriever"}
        assert {task.layer: task.result_count for task in m.tasks} == {
            "BM25Retriever": 2,
            "VectorStoreRetriever": 3,
        }
        assert m.result_count == len(results)
        assert nothing_is_left(processor)

    def test_in_a_chain_the_retrieval_is_the_recall(self, profiler, processor):
        from langchain_core.runnables import RunnableLambda, RunnablePassthrough

        chain = {"context": self.ensemble(), "question": RunnablePassthrough()} | RunnableLambda(str)
        chain.invoke(QUESTION)
        [m] = profiler.metrics
        assert (m.query_text, m.query_type) == (QUESTION, "EnsembleRetriever")
        assert set(m.layers_queried) == {"BM25Retriever", "VectorStoreRetriever"}
        assert nothing_is_left(processor)

    def test_two_retrievers_beside_each_other_are_one_recall(self, profiler, processor):
        from langchain_core.runnables import RunnableParallel

        first, second = self.ensemble().retrievers
        RunnableParallel(words=first, vectors=second).invoke(QUESTION)
        [m] = profiler.metrics
        assert set(m.layers_queried) == {"BM25Retriever", "VectorStoreRetriever"}
        assert nothing_is_left(processor)

    def test_two_of_a_kind_are_two_layers(self, profiler):
        ensemble = self.ensemble()
        ensemble.retrievers = [ensemble.retrievers[0], ensemble.retrievers[0].model_copy()]
        ensemble.invoke(QUESTION)
        assert profiler.metrics[0].layers_queried == ["BM25Retriever 1", "BM25Retriever 2"]

    def test_asked_asynchronously_it_is_the_same(self, profiler, processor):
        ensemble = self.ensemble()

        async def ask():
            await asyncio.gather(*(ensemble.ainvoke(f"{QUESTION} {n}") for n in range(5)))

        asyncio.run(ask())
        assert {m.query_text for m in profiler.metrics} == {f"{QUESTION} {n}" for n in range(5)}
        assert all(
            set(m.layers_queried) == {"BM25Retriever", "VectorStoreRetriever"} for m in profiler.metrics
        )
        assert nothing_is_left(processor)

    def test_of_200_queries_on_8_threads_20_fail_and_nothing_is_left_open(self, profiler, processor):
        from langchain_core.retrievers import BaseRetriever

        class Broken(BaseRetriever):
            def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Any]:
                raise OSError(query)

        good, bad = self.ensemble(), Broken()

        def ask(n):
            with suppress(OSError):
                (bad if n % 10 == 0 else good).invoke(f"question {n}")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, range(200)))
        records = profiler.metrics
        assert len({m.query_text for m in records}) == len(records) == 200
        assert sum(m.success is False for m in records) == 20
        assert nothing_is_left(processor)


class TestLlamaIndex:
    @pytest.fixture(autouse=True)
    def _instrumented(self, provider):
        pytest.importorskip("llama_index.core")
        module = pytest.importorskip("openinference.instrumentation.llama_index")
        made = module.LlamaIndexInstrumentor()
        made.instrument(tracer_provider=provider)
        yield
        made.uninstrument()

    @staticmethod
    def fusion(use_async):
        from llama_index.core import Document, SummaryIndex, VectorStoreIndex
        from llama_index.core.embeddings import MockEmbedding
        from llama_index.core.llms import MockLLM
        from llama_index.core.retrievers import QueryFusionRetriever

        documents = [Document(text=text) for text in TEXTS]
        vectors = VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(embed_dim=8))
        everything = SummaryIndex.from_documents(documents)
        retrievers = [vectors.as_retriever(similarity_top_k=2), everything.as_retriever()]
        return QueryFusionRetriever(
            retrievers, llm=MockLLM(), num_queries=1, similarity_top_k=3, use_async=use_async
        )

    @pytest.mark.parametrize("how", ["in order", "at once", "awaited"])
    def test_a_fusion_is_a_recall_and_its_retrievers_are_layers(self, profiler, processor, how):
        fusion = self.fusion(use_async=how == "at once")
        before = len(profiler.metrics)
        results = asyncio.run(fusion.aretrieve(QUESTION)) if how == "awaited" else fusion.retrieve(QUESTION)
        [m] = profiler.metrics[before:]
        assert (m.query_text, m.query_type.split(".")[0]) == (QUESTION, "QueryFusionRetriever")
        assert set(m.layers_queried) == {"VectorIndexRetriever", "SummaryIndexRetriever"}
        assert {task.layer: task.result_count for task in m.tasks} == {
            "VectorIndexRetriever": 2,
            "SummaryIndexRetriever": 4,
        }
        assert m.result_count == len(results) == 3
        assert nothing_is_left(processor)


class TestHaystack:
    @pytest.fixture(autouse=True)
    def _instrumented(self, provider):
        pytest.importorskip("haystack")
        module = pytest.importorskip("openinference.instrumentation.haystack")
        made = module.HaystackInstrumentor()
        made.instrument(tracer_provider=provider)
        yield
        made.uninstrument()

    def test_a_pipeline_with_two_retrievers_and_a_joiner_is_a_recall(self, profiler, processor):
        from haystack import Document, Pipeline
        from haystack.components.joiners import DocumentJoiner
        from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
        from haystack.document_stores.in_memory import InMemoryDocumentStore

        pipeline = Pipeline()
        for name in ("facts", "events"):
            store = InMemoryDocumentStore()
            store.write_documents([Document(content=text) for text in TEXTS])
            pipeline.add_component(name, InMemoryBM25Retriever(store, top_k=2))
        pipeline.add_component("joiner", DocumentJoiner())
        pipeline.connect("facts", "joiner")
        pipeline.connect("events", "joiner")
        pipeline.run({name: {"query": QUESTION} for name in ("facts", "events")})
        [m] = profiler.metrics
        assert m.query_text == QUESTION
        assert len(m.layers_queried) == 2
        assert all("joiner" not in layer.lower() for layer in m.layers_queried)
        assert [task.result_count for task in m.tasks] == [2, 2]
        assert nothing_is_left(processor)
        print(m.layers_queried, m.query_type)
