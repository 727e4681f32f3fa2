"""Spans of a running system become records: which spans, what they tell, and that nothing piles up."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from athena_tuning import PerformanceProfiler, QuerySpanProcessor
from athena_tuning.model import ConfigSet, ConfigVersion, Mode, TaskOutcome, TuningConfig
from athena_tuning.testing.clock import Clock


@pytest.fixture
def profiler():
    return PerformanceProfiler()


def tracer_of(processor):
    provider = TracerProvider()
    provider.add_span_processor(processor)
    return provider.get_tracer("test")


def open_at(tracer, name, parent, start_ms, **attributes):
    """Begin a span at a time that is told, and return it with what its children need."""
    where = otel_context.Context() if parent is None else trace.set_span_in_context(parent)
    given = {f"athena.{key}": value for key, value in attributes.items()}
    return tracer.start_span(name, where, attributes=given, start_time=BEGUN + int(start_ms * 1e6))


BEGUN = 1_790_000_000_000_000_000


def end_at(span, ms):
    span.end(BEGUN + int(ms * 1e6))


def test_a_root_span_is_a_query_and_its_children_are_layers():
    profiler = PerformanceProfiler(clock=lambda: BEGUN / 1e9 + 60)
    tracer = tracer_of(QuerySpanProcessor(profiler))
    told = {"query.text": "who owns billing?", "query.type": "factual", "cache_hit": False, "result_count": 4}
    root = open_at(tracer, "search", None, 0, **told)
    a = open_at(tracer, "semantic", root, 1, result_count=3)
    b = open_at(tracer, "pg", root, 4, layer="graph", queue_ms=2.0)
    inner = open_at(tracer, "SELECT", b, 5)
    end_at(inner, 6)
    end_at(a, 9)
    end_at(b, 10)
    end_at(root, 12)
    [m] = profiler.metrics
    assert (m.query_text, m.query_type, m.cache_hit, m.result_count) == (
        "who owns billing?",
        "factual",
        False,
        4,
    )
    assert (m.timestamp, m.latency_ms, m.success, m.source) == (BEGUN / 1e9, 12.0, True, "live")
    assert m.layer_latencies == {"semantic": 8.0, "graph": 6.0}
    assert (m.parallel_execution, m.concurrency_level) == (True, 2)
    assert [
        (t.layer, t.offset_ms, t.queue_ms, t.service_ms, t.in_flight, t.result_count) for t in m.tasks
    ] == [
        ("semantic", 1.0, 0.0, 8.0, 1, 3),
        ("graph", 2.0, 2.0, 6.0, 2, 0),
    ]


def test_a_query_may_be_a_span_inside_of_a_trace(profiler):
    tracer = tracer_of(QuerySpanProcessor(profiler, queries="retrieve"))
    with tracer.start_as_current_span("GET /search"):
        with tracer.start_as_current_span("auth"):
            pass
        for _ in range(2):
            with tracer.start_as_current_span("retrieve"), tracer.start_as_current_span("semantic"):
                pass
    assert [(m.query_type, m.layers_queried) for m in profiler.metrics] == [("retrieve", ["semantic"])] * 2
    assert len({m.query_id for m in profiler.metrics}) == 2


def test_a_span_under_a_remote_parent_is_the_first_one_here(profiler):
    tracer = tracer_of(QuerySpanProcessor(profiler))
    remote = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(1))
    above = set_span_in_context(NonRecordingSpan(remote))
    with tracer.start_as_current_span("search", above), tracer.start_as_current_span("semantic"):
        pass
    assert profiler.metrics[0].layers_queried == ["semantic"]


def answer(layer):
    if layer == "graph":
        raise OSError("disk")


def test_an_exception_in_a_layer_leaves_a_partial_answer_and_in_all_a_failure(profiler):
    tracer = tracer_of(QuerySpanProcessor(profiler))
    for layers in (("graph", "semantic"), ("graph",)):
        with tracer.start_as_current_span("search"):
            for layer in layers:
                with suppress(OSError), tracer.start_as_current_span(layer):
                    answer(layer)
    first, second = profiler.metrics
    assert (first.success, first.partial, first.error) == (True, True, "graph failed")
    assert (second.success, second.partial) == (False, False)
    assert [t.outcome for t in second.tasks] == [TaskOutcome.ERROR]


def test_an_exception_out_of_the_query_is_its_error(profiler):
    tracer = tracer_of(QuerySpanProcessor(profiler))
    with pytest.raises(OSError, match="disk"), tracer.start_as_current_span("search"):
        raise OSError("disk")
    assert (profiler.metrics[0].success, profiler.metrics[0].error) == (False, "OSError: disk")


def test_the_config_version_in_force_is_noted(profiler):
    version = ConfigVersion(7, 0, "all", TuningConfig(), Mode.PINNED, "ana", "try", 1.0)
    profiler.measure.configs = ConfigSet(7, version)
    with tracer_of(QuerySpanProcessor(profiler)).start_as_current_span("search"):
        pass
    assert profiler.metrics[0].config_version == 7


def test_a_clock_that_goes_backwards_leaves_the_time_unknown(profiler):
    tracer = tracer_of(QuerySpanProcessor(profiler))
    span = tracer.start_span("search", otel_context.Context(), start_time=2_000_000_000_000_000_000)
    span.end(1_900_000_000_000_000_000)
    profiler.fold()
    assert profiler.counters["rejected_in_the_future"] == 1
    root = tracer.start_span("search", otel_context.Context())
    child = tracer.start_span("semantic", trace.set_span_in_context(root))
    child.end(child.start_time - 1000)
    root.end()
    assert (profiler.metrics[0].layers_queried, profiler.metrics[0].layer_latencies) == (["semantic"], {})


def test_what_never_ends_or_ends_late_does_not_pile_up(profiler):
    processor = QuerySpanProcessor(profiler, most_open=10)
    tracer = tracer_of(processor)
    left = []
    for _ in range(50):
        root = tracer.start_span("search", otel_context.Context())
        left.append((root, tracer.start_span("semantic", trace.set_span_in_context(root))))
    assert len(processor.spans._open) == 10
    for root, late in left:
        root.end()
        late.end()
    assert (len(profiler.metrics), processor.spans._open, processor.spans._running) == (10, {}, 0)


def test_queries_in_many_threads(profiler):
    tracer = tracer_of(QuerySpanProcessor(profiler))
    barrier = threading.Barrier(4)

    def search(n):
        asked = tracer.start_as_current_span("search", attributes={"athena.query.text": f"q{n}"})
        with asked, tracer.start_as_current_span("semantic"):
            barrier.wait(10)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(search, range(20)))
    assert {m.query_text for m in profiler.metrics} == {f"q{n}" for n in range(20)}
    assert max(m.tasks[0].in_flight for m in profiler.metrics) == 4


RETRIEVER = {"openinference.span.kind": "RETRIEVER"}


@contextmanager
def retrieval(tracer, name, text, documents=0, kind=None):
    """A span that says only at its end that it retrieves, as instrumentations do."""
    span = tracer.start_as_current_span(name)
    with span as opened:
        yield opened
        opened.set_attributes({**(RETRIEVER if kind is None else kind), "input.value": text})
        for n in range(documents):
            opened.set_attribute(f"retrieval.documents.{n}.document.content", "tea")


def test_attributes_that_come_late_decide(profiler):
    tracer = tracer_of(QuerySpanProcessor(profiler))
    with tracer.start_as_current_span("POST /ask"):
        with retrieval(tracer, "Ensemble", "tea?", 4):
            for found in (2, 3):
                with retrieval(tracer, "BM25", "tea?", found):
                    pass
        with tracer.start_as_current_span("ChatModel"):
            pass
    [m] = profiler.metrics
    assert (m.query_text, m.query_type, m.result_count) == ("tea?", "Ensemble", 4)
    assert [(task.layer, task.result_count) for task in m.tasks] == [("BM25 1", 2), ("BM25 2", 3)]


def test_in_a_system_with_retrievals_other_requests_are_no_queries(profiler):
    tracer = tracer_of(QuerySpanProcessor(profiler))
    with retrieval(tracer, "BM25", "tea?"):
        pass
    with tracer.start_as_current_span("GET /healthz"):
        pass
    assert [m.query_text for m in profiler.metrics] == ["tea?"]


def test_what_is_chosen_is_asked_of_finished_spans(profiler):
    def is_query(span):
        return (span.attributes or {}).get("openinference.span.kind") == "AGENT"

    def is_layer(span):
        return (span.attributes or {}).get("openinference.span.kind") == "TOOL"

    tracer = tracer_of(QuerySpanProcessor(profiler, is_query, is_layer))
    agent = retrieval(tracer, "agent", "tea?", kind={"openinference.span.kind": "AGENT"})
    with tracer.start_as_current_span("POST /ask"), agent, tracer.start_as_current_span("plan"):
        for name in ("search", "lookup"):
            with retrieval(tracer, name, "tea?", kind={"openinference.span.kind": "TOOL"}):
                pass
    assert [(m.query_type, m.layers_queried) for m in profiler.metrics] == [("agent", ["search", "lookup"])]


def test_a_trace_that_goes_on_is_decided_by_what_has_ended_of_it(profiler):
    clock = Clock(0.0)
    processor = QuerySpanProcessor(profiler, most_seconds=60, timer=clock)
    tracer = tracer_of(processor)
    with tracer.start_as_current_span("session"):
        with retrieval(tracer, "BM25", "first?"):
            pass
        clock.now = 61.0
        with retrieval(tracer, "BM25", "second?"):
            pass
        assert [m.query_text for m in profiler.metrics] == ["first?", "second?"]
        with retrieval(tracer, "BM25", "third?"):
            pass
        assert len(profiler.metrics) == 3
    assert len(profiler.metrics) == 3
    assert (processor.spans.cut, processor.spans.late) == (1, 1)
    assert (processor.spans._open, processor.spans._waiting) == ({}, 0)


def test_finished_spans_that_wait_are_bounded(profiler):
    processor = QuerySpanProcessor(profiler, most_spans=100)
    tracer = tracer_of(processor)
    with tracer.start_as_current_span("batch"):
        for n in range(500):
            with retrieval(tracer, "BM25", f"question {n}"):
                pass
            assert processor.spans._waiting <= 100
    assert len({m.query_text for m in profiler.metrics}) == 500
    assert processor.spans._waiting == 0


def test_what_is_under_way_at_the_end_is_not_lost(profiler):
    provider = TracerProvider()
    provider.add_span_processor(QuerySpanProcessor(profiler))
    tracer = provider.get_tracer("test")
    left = tracer.start_span("session")
    with trace.use_span(left), retrieval(tracer, "BM25", "tea?"):
        pass
    provider.shutdown()
    assert [m.query_text for m in profiler.metrics] == ["tea?"]
