"""Haystack by its own hooks: a tracer records, retrievers are layers, a manager is a component."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

pytest.importorskip("haystack")

from haystack import Document, Pipeline, component, tracing
from haystack.components.joiners import DocumentJoiner
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore

from athena_tuning import MemoryManager, PerformanceProfiler
from athena_tuning.integrations.haystack import ManagerRetriever, RetrieverLayer, record_retrievals

TEXTS = ["Ana owns billing.", "The billing deploy failed on Friday.", "Bo owns search.", "Run make release."]
QUESTION = "who owns billing?"


@component
class BrokenRetriever:
    @component.output_types(documents=list[Document])
    def run(self, query: str):
        raise OSError(query)


def store():
    made = InMemoryDocumentStore()
    made.write_documents([Document(content=text, meta={"page": n}) for n, text in enumerate(TEXTS)])
    return made


def pipeline(**retrievers):
    made = Pipeline()
    retrievers = retrievers or {n: InMemoryBM25Retriever(store(), top_k=2) for n in ("facts", "events")}
    made.add_component("joiner", DocumentJoiner())
    for name, retriever in retrievers.items():
        made.add_component(name, retriever)
        made.connect(name, "joiner")
    return made, lambda text: {name: {"query": text} for name in retrievers}


@pytest.fixture
def profiler():
    return PerformanceProfiler()


@pytest.fixture
def tracer(profiler):
    before = tracing.tracer.actual_tracer
    yield record_retrievals(profiler)
    tracing.enable_tracing(before)


def nothing_is_left(tracer):
    spans = tracer.runs.spans
    return len(tracer.runs) == len(spans) == spans._running == spans.cut == 0


@pytest.mark.parametrize("how", ["called", "awaited"])
def test_a_pipeline_is_a_recall_and_its_retrievers_are_layers_by_their_names(profiler, tracer, how):
    made, given = pipeline()
    if how == "awaited":
        asyncio.run(made.run_async(given(QUESTION)))
    else:
        made.run(given(QUESTION))
    [m] = profiler.metrics
    assert (m.query_text, m.query_type, m.success) == (QUESTION, "Pipeline", True)
    assert {task.layer: task.result_count for task in m.tasks} == {"facts": 2, "events": 2}
    assert nothing_is_left(tracer)


def test_of_200_queries_on_8_threads_20_fail_and_nothing_is_left_open(profiler, tracer):
    good, given = pipeline()
    bad, to_bad = pipeline(broken=BrokenRetriever())

    def ask(n):
        with suppress(Exception):
            if n % 10 == 0:
                bad.run(to_bad(f"question {n}"))
            else:
                good.run(given(f"question {n}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(200)))
    records = profiler.metrics
    assert len({m.query_text for m in records}) == len(records) == 200
    assert sum(m.success is False for m in records) == 20
    assert nothing_is_left(tracer)


def test_a_tracer_that_is_there_goes_on(profiler):
    seen = []

    class Kept(tracing.Span):
        def set_tag(self, key, value):
            seen.append(key)

    class Before(tracing.Tracer):
        @contextmanager
        def trace(self, operation_name, tags=None, parent_span=None):
            seen.append((operation_name, parent_span is not None))
            yield Kept()

        def current_span(self):
            return None

    before = tracing.tracer.actual_tracer
    tracing.enable_tracing(Before())
    record_retrievals(profiler)
    made, given = pipeline()
    made.run(given(QUESTION))
    tracing.enable_tracing(before)
    assert ("haystack.pipeline.run", False) in seen
    assert seen.count(("haystack.component.run", True)) == 3
    assert "haystack.component.visits" in seen
    assert "haystack.component.input" not in seen  # content stays away from it, as it did before
    assert len(profiler.metrics) == 1


def test_a_retriever_is_a_layer_and_the_manager_a_component(tmp_path):
    with MemoryManager(tmp_path / "memory.db") as manager:
        manager.remember({"id": "ana", "layer": "semantic", "text": TEXTS[0]})
        manager.register_layer(RetrieverLayer("papers", InMemoryBM25Retriever(store())))
        made, given = pipeline(memory=ManagerRetriever(manager, top_k=4))
        joined = made.run(given(QUESTION))["joiner"]["documents"]
        by_layer = {each.meta["layer"]: each for each in joined}
        assert by_layer["papers"].meta["page"] in range(4)
        assert by_layer["semantic"].content == TEXTS[0]
        assert manager.record_feedback(joined[0].meta["query_id"], 1.0)
        awaited = asyncio.run(made.run_async(given("who owns search?")))
        assert {each.meta["layer"] for each in awaited["joiner"]["documents"]} >= {"papers"}


def test_a_retriever_by_embeddings_is_a_layer_with_an_embedder(tmp_path):
    kept = InMemoryDocumentStore()
    kept.write_documents([Document(content=TEXTS[0], embedding=[1.0, 0.0])])
    layer = RetrieverLayer(
        "vectors",
        InMemoryEmbeddingRetriever(kept),
        inputs=lambda query, k: {"query_embedding": [1.0, 0.0], "top_k": k},
    )
    with MemoryManager(tmp_path / "memory.db", layers=[layer]) as manager:
        assert manager.recall(QUESTION)["vectors"][0]["text"] == TEXTS[0]


def test_where_no_layer_answers_the_component_says_so(tmp_path):
    layers = [RetrieverLayer("papers", BrokenRetriever())]
    said = pytest.raises(RuntimeError, match=r"no layer answered.*papers")
    with MemoryManager(tmp_path / "memory.db", layers=layers) as manager, said:
        ManagerRetriever(manager).run("who?")
