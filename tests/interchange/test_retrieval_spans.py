"""Which spans are recalls and which are their layers, as the traces of real frameworks are built."""

from __future__ import annotations

import pytest

from athena_tuning.interchange.retrieval_spans import SpanChoice, recalls
from athena_tuning.interchange.spans import Span

RETRIEVER, CHAIN, LLM = ({"openinference.span.kind": kind} for kind in ("RETRIEVER", "CHAIN", "LLM"))
GEN_AI = {"gen_ai.operation.name": "retrieval"}


def span(own, parent, name, start=0, took=10, attributes=None, **more):
    return Span("t", own, parent, name, start, took, attributes=attributes or {}, **more)


def text(kind, asked):
    return {**kind, "input.value": asked}


def seen(spans, choice=None, **rules):
    return [(recall.root.name, list(recall.layers)) for recall in recalls(spans, choice, **rules)]


ENSEMBLE = [
    span("1", None, "RunnableSequence", 0, 1000, CHAIN),
    span("2", "1", "RunnableParallel", 1, 400, CHAIN),
    span("3", "2", "EnsembleRetriever", 2, 300, RETRIEVER),
    span("4", "3", "BM25Retriever", 3, 100, RETRIEVER),
    span("5", "3", "VectorStoreRetriever", 4, 200, RETRIEVER),
    span("6", "1", "ChatModel", 500, 400, LLM),
]
FUSION = [
    span("1", None, "RetrieverQueryEngine.query", 0, 1000, CHAIN),
    span("2", "1", "QueryFusionRetriever.retrieve", 1, 400, RETRIEVER),
    span("3", "2", "QueryFusionRetriever._retrieve", 2, 390, RETRIEVER),
    span("4", "3", "BM25Retriever.retrieve", 3, 100, RETRIEVER),
    span("5", "4", "BM25Retriever._retrieve", 4, 90, RETRIEVER),
    span("6", "3", "BM25Retriever.retrieve", 3, 150, RETRIEVER),
    span("7", "6", "BM25Retriever._retrieve", 4, 140, RETRIEVER),
]
JOINED = [
    span("1", None, "Pipeline.run", 0, 500, CHAIN),
    span("2", "1", "InMemoryBM25Retriever.run", 1, 100, text(RETRIEVER, "tea?")),
    span("3", "1", "InMemoryEmbeddingRetriever.run", 110, 100, text(RETRIEVER, "tea?")),
    span("4", "1", "DocumentJoiner.run", 220, 10, CHAIN),
]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        (ENSEMBLE, [("EnsembleRetriever", ["BM25Retriever", "VectorStoreRetriever"])]),
        (FUSION, [("QueryFusionRetriever.retrieve", ["BM25Retriever 1", "BM25Retriever 2"])]),
        (JOINED, [("Pipeline.run", ["InMemoryBM25Retriever", "InMemoryEmbeddingRetriever"])]),
        ([span("1", None, "Docs.retrieve", 0, 9, RETRIEVER)], [("Docs.retrieve", ["Docs"])]),
    ],
    ids=["ensemble in a chain", "fusion of two of one class", "two beside each other", "one alone"],
)
@pytest.mark.parametrize("order", [1, -1])
def test_the_layers_are_those_that_a_person_would_name(spans, expected, order):
    assert seen(spans[::order]) == expected


def test_where_a_model_is_called_after_them_two_retrievers_are_timed_by_themselves():
    [recall] = recalls([*JOINED, span("5", "1", "Generator.run", 300, 150, LLM)])
    assert (recall.root.begun_ns, recall.root.duration_ns) == (1, 209)
    assert recall.root.name == "Pipeline.run"


def test_an_agent_that_retrieves_again_after_a_model_call_has_made_two_recalls():
    spans = [
        span("1", None, "agent", 0, 1000, {"openinference.span.kind": "AGENT"}),
        span("2", "1", "Docs", 10, 100, RETRIEVER),
        span("3", "1", "model", 120, 300, LLM),
        span("4", "1", "Docs", 500, 100, RETRIEVER),
    ]
    assert seen(spans) == [("Docs", ["Docs"]), ("Docs", ["Docs"])]


def test_a_loop_of_questions_is_a_recall_each():
    spans = [span("1", None, "evaluate", 0, 1000, CHAIN)]
    spans += [span(f"q{n}", "1", "Docs", n * 20, 10, text(RETRIEVER, f"question {n}")) for n in range(5)]
    assert seen(spans) == [("Docs", ["Docs"])] * 5


def test_queries_that_were_made_of_one_are_one_layer_asked_again():
    spans = [span("1", None, "MultiQueryRetriever", 0, 900, text(RETRIEVER, "tea?"))]
    spans += [span(f"q{n}", "1", "Vector", n * 20, 10, text(RETRIEVER, f"tea {n}?")) for n in range(3)]
    [recall] = recalls(spans)
    assert [(name, len(asked)) for name, asked in recall.layers.items()] == [("Vector", 3)]


def test_the_operations_of_gen_ai_are_retrievals_and_a_data_source_names_the_layer():
    spans = [
        span("1", None, "invoke_agent", 0, 900, {"gen_ai.operation.name": "invoke_agent"}),
        span("2", "1", "retrieval", 10, 300, {**GEN_AI, "gen_ai.retrieval.query.text": "tea?"}),
        span("3", "2", "retrieval", 20, 100, {**GEN_AI, "gen_ai.data_source.id": "kb-1"}),
        span("4", "2", "retrieval", 20, 200, {**GEN_AI, "gen_ai.data_source.id": "kb-2"}),
    ]
    [recall] = recalls(spans)
    assert (recall.root.text, list(recall.layers)) == ("tea?", ["kb-1", "kb-2"])


def test_our_recall_inside_a_web_request_is_the_recall_and_a_grandchild_can_be_a_layer():
    spans = [
        span("1", None, "GET /ask", 0, 900),
        span("2", "1", "recall", 10, 300, {"athena.query.type": "factual"}),
        span("3", "2", "fan out", 11, 290),
        span("4", "3", "search", 12, 100, {"athena.layer": "semantic"}),
        span("5", "3", "search", 12, 200, {"athena.layer": "graph"}),
    ]
    assert seen(spans) == [("recall", ["semantic", "graph"])]
    without = [span("2", None, "recall", 10, 300), *spans[2:]]
    assert seen(without) == [("recall", ["semantic", "graph"])]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (SpanChoice("BM25Retriever"), [("BM25Retriever", ["BM25Retriever"])]),
        (SpanChoice("RunnableParallel"), [("RunnableParallel", ["EnsembleRetriever"])]),
        (SpanChoice("openinference.span.kind=CHAIN"), [("RunnableSequence", ["EnsembleRetriever"])]),
        (SpanChoice("RunnableSequence", "openinference.span.kind"), [("RunnableSequence", ["CHAIN", "LLM"])]),
        (SpanChoice("nothing"), []),
    ],
)
def test_a_person_can_say_which_span_and_which_attribute(choice, expected):
    assert seen(ENSEMBLE, choice) == expected


def test_traces_without_a_retrieval_are_no_recalls_where_others_have_some():
    assert seen([span("1", None, "health")], first_spans=False) == []
    assert seen([span("1", None, "health")]) == [("health", [])]


def test_spans_in_a_circle_below_a_recall_end():
    spans = [span("1", None, "ask"), span("2", "3", "a"), span("3", "2", "b"), span("4", "4", "self")]
    assert seen(spans) == [("ask", []), ("self", [])]


def test_a_trace_of_a_hundred_thousand_steps_in_a_line_is_read():
    spans = [span(str(n), str(n - 1) if n else None, "step") for n in range(100_000)]
    spans[-1] = span("99999", "99998", "Docs", attributes=RETRIEVER)
    assert seen(spans) == [("Docs", ["Docs"])]


def test_retrievers_that_ask_the_same_below_a_span_that_does_not_say_what_tell_what_was_asked():
    asked = {**RETRIEVER, "input.value": "tea?"}
    spans = [
        span("1", None, "Pipeline"),
        span("2", "1", "facts", 1, attributes=asked),
        span("3", "1", "events", 2, attributes=asked),
    ]
    [recall] = recalls(spans)
    assert (recall.root.name, recall.root.text, list(recall.layers)) == (
        "Pipeline",
        "tea?",
        ["facts", "events"],
    )
