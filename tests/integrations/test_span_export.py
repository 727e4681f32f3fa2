"""Recalls go out as spans: at their own times, once each, off the recall's thread, also over the wire."""

from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode

from athena_tuning.integrations import span_export
from athena_tuning.integrations.callers import UNKNOWN, Callers
from athena_tuning.integrations.span_export import SpanExport, otlp_exporter
from athena_tuning.integrations.span_processor import QuerySpanProcessor
from athena_tuning.interchange.retrieval_spans import recalls
from athena_tuning.interchange.spans import Span, kept
from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import MemoryManager

AT = 1_790_000_000.25
HERE = Resource({"service.name": "test"})


def record(query_id="q1", **changes):
    tasks = (
        LayerTask("semantic", 1.0, 2.0, 10.0, 1, TaskOutcome.OK, 3),
        LayerTask("graph", 1.0, 0.0, 30.0, 2, TaskOutcome.TIMEOUT, 0),
    )
    made = QueryMetrics(
        query_id, "who owns billing?", "factual", AT, 40.0, None, False, 3, ["semantic", "graph"],
        {"semantic": 10.0, "graph": 30.0}, True, "graph: timeout", True, 2, tasks=tasks, partial=True,
        config_version=7,
    )  # fmt: skip
    return made._replace(**changes)


@pytest.fixture
def profiler():
    return PerformanceProfiler(clock=lambda: AT + 60)


def exported(profiler, **how):
    exporter = InMemorySpanExporter()
    export = SpanExport(profiler, exporter, "w1", **how)
    export.close()
    return exporter.get_finished_spans()


def test_a_recall_is_a_span_with_a_child_for_each_layer_at_their_real_times(profiler):
    profiler.record_query(record())
    root, semantic, graph = exported(profiler)
    begun = 1_790_000_000_250_000_000
    assert (root.name, root.parent, root.start_time, root.end_time) == (
        "recall",
        None,
        begun,
        begun + 40_000_000,
    )
    assert [span.parent for span in (semantic, graph)] == [root.context] * 2
    assert (semantic.start_time - begun, semantic.end_time - begun) == (3_000_000, 13_000_000)
    assert (graph.start_time - begun, graph.end_time - begun) == (1_000_000, 31_000_000)
    assert [span.status.status_code for span in (root, semantic, graph)] == [
        StatusCode.OK,
        StatusCode.OK,
        StatusCode.ERROR,
    ]
    assert root.attributes["athena.query.type"] == "factual"
    assert root.attributes["athena.outcome"] == "partial"
    assert root.attributes["athena.config_version"] == 7
    assert semantic.attributes["athena.queue_ms"] == 2.0
    assert root.resource.attributes["service.name"] == "athena_tuning"
    assert root.resource.attributes["service.instance.id"] == "w1"


def test_what_was_asked_is_sent_only_if_that_is_wanted(profiler):
    profiler.record_query(record())
    assert "athena.query.text" not in exported(profiler)[0].attributes
    assert exported(profiler, texts=True)[0].attributes["athena.query.text"] == "who owns billing?"


@pytest.mark.parametrize("policy", ["hash", "drop"])
def test_where_texts_stay_in_the_process_they_are_not_sent_even_if_that_is_wanted(
    profiler, monkeypatch, policy
):
    monkeypatch.setenv("ATHENA_TUNING_TEXTS", policy)
    profiler.record_query(record())
    spans = exported(profiler, texts=True)
    assert not any("billing" in str(value) for span in spans for value in span.attributes.values())


def test_the_environment_names_the_service(profiler, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    profiler.record_query(record())
    assert exported(profiler)[0].resource.attributes["service.name"] == "shop"


def test_only_live_recalls_with_an_end_go_out(profiler):
    for n, changes in enumerate(({"source": "sample"}, {"latency_ms": None, "success": None}, {})):
        profiler.record_query(record(f"q{n}", **changes))
    assert [span.attributes["athena.query.id"] for span in exported(profiler) if span.parent is None] == [
        "q2"
    ]


class Deaf(InMemorySpanExporter):
    """Takes nothing for as long as it is told so."""

    deaf = True

    def export(self, spans):
        return SpanExportResult.FAILURE if self.deaf else super().export(spans)


def test_what_is_not_taken_is_sent_again_and_once(profiler):
    exporter = Deaf()
    export = SpanExport(profiler, exporter, "w1")
    for n in range(500):
        profiler.record_query(record(f"q{n}"))
    with pytest.raises(ConnectionError, match="could not be sent"):
        export.send()
    exporter.deaf = False
    export.send()
    export.send()
    export.close()
    ids = [
        span.attributes["athena.query.id"] for span in exporter.get_finished_spans() if span.parent is None
    ]
    assert ids == [f"q{n}" for n in range(500)]
    assert (export.sent, export.missed) == (500, 0)


def test_ids_are_the_same_each_time_and_differ_by_recall(profiler):
    first = [span.context.trace_id for span in span_export.spans_of(record(), HERE)]
    assert [span.context.trace_id for span in span_export.spans_of(record(), HERE)] == first
    assert len(set(first)) == 1
    spans = [span.context.span_id for n in range(300) for span in span_export.spans_of(record(f"q{n}"), HERE)]
    assert len(set(spans)) == 900


def test_spans_read_back_are_the_recall(profiler):
    other = PerformanceProfiler(clock=lambda: AT + 60)
    processor = QuerySpanProcessor(other)
    profiler.record_query(record(success=True))
    root, *layers = exported(profiler, texts=True)
    for span in (root, *layers):
        processor.on_start(span)
    for span in (*layers, root):
        processor.on_end(span)
    [m] = other.metrics
    sent = record()
    assert (m.query_text, m.query_type, m.latency_ms) == (sent.query_text, "factual", 40.0)
    assert m.timestamp == pytest.approx(AT, abs=1e-6)
    assert (m.success, m.partial, m.layer_latencies) == (True, True, {"graph": 30.0, "semantic": 10.0})
    told = {t.layer: (t.offset_ms, t.queue_ms, t.service_ms, t.result_count) for t in m.tasks}
    assert told == {t.layer: (t.offset_ms, t.queue_ms, t.service_ms, t.result_count) for t in sent.tasks}


class TestWithinACallersSpan:
    @pytest.fixture
    def seen(self):
        return InMemorySpanExporter()

    @pytest.fixture
    def tracer(self, seen):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(seen))
        return provider.get_tracer("shop")

    @pytest.fixture
    def manager(self):
        with MemoryManager(":memory:") as manager:
            manager.remember({"id": "n1", "layer": "semantic", "text": "Ana owns billing"})
            yield manager

    def test_a_recall_hangs_below_it(self, manager, tracer, seen):
        export = SpanExport(manager.profiler, seen, "w1")
        with tracer.start_as_current_span("GET /ask") as asking:
            manager.recall("who owns billing?", use_cache=False)
            manager.recall("who owns billing?")
        export.close()
        recalls = [span for span in seen.get_finished_spans() if span.name == "recall"]
        assert [span.parent for span in recalls] == [asking.get_span_context()] * 2
        whole = {span.context.trace_id for span in seen.get_finished_spans()}
        assert whole == {asking.get_span_context().trace_id}
        assert len(seen.get_finished_spans()) > 3

    def test_awaited_recalls_hang_each_below_its_own(self, manager, tracer, seen):
        export = SpanExport(manager.profiler, seen, "w1")

        async def ask(n):
            with tracer.start_as_current_span(f"ask {n}") as asking:
                await asyncio.sleep(0)
                answer = await manager.arecall(f"who owns billing {n}?")
                return answer["_query_id"], asking.get_span_context().span_id

        async def ask_all():
            return await asyncio.gather(*map(ask, range(8)))

        asked = dict(asyncio.run(ask_all()))
        export.close()
        recalls = [span for span in seen.get_finished_spans() if span.name == "recall"]
        assert {s.attributes["athena.query.id"]: s.parent.span_id for s in recalls} == asked

    def test_a_measured_query_hangs_below_it(self, profiler, tracer, seen):
        export = SpanExport(profiler, seen, "w1")
        asked = tracer.start_as_current_span("ask")
        with asked as asking, profiler.measure("tea?") as query, query.layer("semantic"):
            pass
        export.close()
        assert seen.get_finished_spans()[1].parent == asking.get_span_context()

    def test_what_is_not_sampled_is_not_sent(self, profiler, seen):
        tracer = TracerProvider(sampler=ALWAYS_OFF).get_tracer("shop")
        export = SpanExport(profiler, seen, "w1")
        with tracer.start_as_current_span("ask"), profiler.measure("tea?"):
            pass
        with profiler.measure("coffee?"):
            pass
        export.close()
        assert len(seen.get_finished_spans()) == export.sent == export.unsampled == 1

    def test_documents_have_ids_and_scores_and_texts_only_where_they_are_wanted(self, manager):
        spans = {}
        for texts in (False, True):
            exporter = InMemorySpanExporter()
            with SpanExport(manager.profiler, exporter, "w1", texts=texts):
                manager.recall("who owns billing?", use_cache=False)
            spans[texts] = {span.name: span.attributes for span in exporter.get_finished_spans()}
            manager.profiler.fold()
        shut, told = spans[False]["recall"], spans[True]["recall"]
        assert shut["openinference.span.kind"] == told["openinference.span.kind"] == "RETRIEVER"
        assert shut["gen_ai.operation.name"] == "retrieval"
        assert shut["retrieval.documents.0.document.id"] == "n1"
        assert json.loads(shut["gen_ai.retrieval.documents"]) == [
            {"id": "n1", "score": shut["retrieval.documents.0.document.score"]}
        ]
        assert told["input.value"] == told["gen_ai.retrieval.query.text"] == "who owns billing?"
        assert told["retrieval.documents.0.document.content"] == "Ana owns billing"
        assert spans[False]["semantic"]["retrieval.documents.0.document.id"] == "n1"
        assert not any("billing" in str(value) for of in spans[False].values() for value in of.values())

    @pytest.mark.parametrize("known", ["all", "OpenInference alone", "gen_ai alone"])
    def test_read_back_they_are_the_recalls_whichever_attributes_a_reader_knows(
        self, manager, tracer, seen, known
    ):
        hidden = {
            "all": (),
            "OpenInference alone": ("athena.", "gen_ai."),
            "gen_ai alone": ("athena.", "op", "inp"),
        }
        export = SpanExport(manager.profiler, seen, "w1", texts=True)
        with tracer.start_as_current_span("GET /ask"):
            manager.recall("who owns billing?", use_cache=False)
        export.close()
        spans = [
            Span(
                f"{span.context.trace_id:x}",
                f"{span.context.span_id:x}",
                None if span.parent is None else f"{span.parent.span_id:x}",
                span.name,
                span.start_time,
                span.end_time - span.start_time,
                attributes=kept(
                    (n, v) for n, v in span.attributes.items() if not n.startswith(hidden[known])
                ),
            )
            for span in seen.get_finished_spans()
        ]
        [recall] = recalls(spans)
        [m] = manager.profiler.metrics
        assert recall.root.text == "who owns billing?"
        assert set(recall.layers) == set(m.layers_queried)
        assert recall.root.result_count == m.result_count == 1
        assert {name: span.result_count or 0 for name, [span] in recall.layers.items()} == {
            task.layer: task.result_count for task in m.tasks
        }

    def test_callers_that_nobody_takes_are_let_go(self, seen):
        profiler = PerformanceProfiler(max_metrics=10)
        callers = Callers(profiler)
        for n in range(50):
            profiler.record_query(record(f"q{n}"), lambda layer: [])
        assert callers.take("q30") == UNKNOWN
        assert callers.take("q40") != UNKNOWN
        assert callers.take("q40") == UNKNOWN
        callers.close()
        profiler.record_query(record("q99"), lambda layer: [])
        assert callers.take("q99") == UNKNOWN


def test_a_managers_recalls_are_sent_by_another_thread():
    threads = set()

    class Watching(InMemorySpanExporter):
        def export(self, spans):
            threads.add(threading.current_thread().name)
            return super().export(spans)

    exporter = Watching()
    with MemoryManager(":memory:") as manager:
        manager.remember({"id": "n1", "layer": "semantic", "text": "Ana owns billing"})
        export = SpanExport(manager.profiler, exporter, manager.worker_id)
        answer = manager.recall("who owns billing?", use_cache=False)
        sent = threading.Event()
        while not exporter.get_finished_spans():
            sent.wait(0.01)
        export.close()
    assert threads == {"span export"}
    root, *layers = exporter.get_finished_spans()
    assert {"semantic"} < {span.name for span in layers} == set(answer["_layers"])
    assert all(root.start_time <= s.start_time <= s.end_time <= root.end_time + 1_000_000 for s in layers)


@pytest.fixture
def collector():
    """A collector that really listens, and what it was sent."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((self.path, ExportTraceServiceRequest.FromString(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", requests
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_collector_takes_them_over_the_wire(profiler, collector):
    url, requests = collector
    profiler.record_query(record())
    SpanExport(profiler, otlp_exporter(url), "w1").close()
    [(path, request)] = requests
    assert path == "/v1/traces"
    spans = request.resource_spans[0].scope_spans[0].spans
    assert [span.name for span in spans] == ["recall", "semantic", "graph"]
    assert spans[0].start_time_unix_nano == 1_790_000_000_250_000_000


def test_a_collector_that_is_not_there_keeps_nobody_waiting_for_long(profiler, caplog, monkeypatch):
    monkeypatch.setattr(span_export, "_GIVE_UP_SECONDS", 0.2)
    profiler.record_query(record())
    export = SpanExport(profiler, otlp_exporter("http://127.0.0.1:9"), "w1")
    export.close()
    assert export.sent == 0
    assert "span export fails and is tried again" in caplog.text


def test_an_address_that_is_none_is_refused():
    with pytest.raises(ValueError, match="begins with http"):
        otlp_exporter("localhost:4317")
