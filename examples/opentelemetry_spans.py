"""Turns the spans that a system makes anyway into records (needs the extra ``otel``)."""

from opentelemetry.sdk.trace import TracerProvider

from athena_tuning import PerformanceProfiler, QuerySpanProcessor

NOTES = ["The billing deploy failed on Friday.", "Billing is owned by Ana."]

profiler = PerformanceProfiler()
provider = TracerProvider()
provider.add_span_processor(QuerySpanProcessor(profiler, queries="retrieve"))
tracer = provider.get_tracer("shop")


def retrieve(text: str) -> list[str]:
    asked = {"athena.query.text": text, "athena.query.type": "factual"}
    with tracer.start_as_current_span("retrieve", attributes=asked):
        with tracer.start_as_current_span("keywords"):
            found = [note for note in NOTES if text in note.lower()]
        with tracer.start_as_current_span("rerank"):
            return sorted(found, key=len)


if __name__ == "__main__":
    with tracer.start_as_current_span("GET /search"):
        print(retrieve("billing"))
    measured = profiler.metrics[-1]
    print(f"{measured.query_text}: {', '.join(measured.layers_queried)}, {measured.latency_ms:.3f} ms")
