"""Sends recalls as spans below the caller's own, for viewers of retrievals (needs the extra ``otel``)."""

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from athena_tuning import MemoryManager
from athena_tuning.integrations.span_export import SpanExport

exporter = InMemorySpanExporter()  # in a program: otlp_exporter("http://localhost:4318")
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
tracer = provider.get_tracer("agent")

if __name__ == "__main__":
    with MemoryManager(":memory:") as manager:
        manager.remember({"id": "ana", "layer": "semantic", "text": "Ana owns billing."})
        export = SpanExport(manager.profiler, exporter, manager.worker_id, texts=True)
        with export, tracer.start_as_current_span("answer"):
            manager.recall("who owns billing?")

    spans = {span.context.span_id: span for span in exporter.get_finished_spans()}
    for span in sorted(spans.values(), key=lambda span: span.start_time or 0):
        path, above = [span.name], span.parent
        while above is not None:
            path.insert(0, spans[above.span_id].name)
            above = spans[above.span_id].parent
        found = (span.attributes or {}).get("retrieval.documents.0.document.content", "nothing")
        print(f"{' > '.join(path)}: {found}")
