"""What being watched costs: Prometheus totals and scrapes, spans out, spans in, and the recalls meanwhile.

Totals and spans are made from what the profiler has recorded, in a thread beside: so the recalls' own latency
is measured with all of it on and off, in turns within one run.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from harness import Figure, median, no_gc, options, progress, report
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Tracer
from profiler import records

from athena_tuning.integrations.prometheus import MetricsServer
from athena_tuning.integrations.span_export import SpanExport, spans_of
from athena_tuning.integrations.span_processor import QuerySpanProcessor
from athena_tuning.integrations.totals import Totals
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import MemoryManager
from athena_tuning.samples.sample_memory import generate


class Nowhere(SpanExporter):
    """Takes spans and forgets them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take spans."""
        return SpanExportResult.SUCCESS


def filled(n: int) -> PerformanceProfiler:
    """Return a profiler with so many finished recalls of three layers."""
    now, profiler = time.time(), PerformanceProfiler(max_metrics=n)
    for metrics in records(n, now - 60, now):
        profiler.record_query(metrics)
    profiler.fold()
    return profiler


def outgoing(n: int, repeats: int) -> Iterator[Figure]:
    """What the thread beside does a recall, and a scrape of everything."""
    progress("totals and spans")
    profiler = filled(n)

    def cpu_us(work: Callable[[], object]) -> float:
        costs = []
        for _ in range(repeats):
            with no_gc():
                start = time.thread_time()
                work()
                costs.append((time.thread_time() - start) / n * 1e6)
        return median(costs)

    yield Figure("totals, CPU a recall", cpu_us(lambda: Totals(profiler).catch_up()), "µs", 30.0)
    recalls, here = list(profiler.metrics), Resource({"service.name": "bench"})
    spans = cpu_us(lambda: [span for m in recalls for span in spans_of(m, here)])
    yield Figure("spans of a recall and its three layers, CPU", spans, "µs", 60.0)


def scrape(repeats: int) -> Iterator[Figure]:
    """A scrape over HTTP when every type, layer and outcome has been seen."""
    progress("scrapes")
    with MemoryManager(":memory:") as manager:
        now = time.time()
        for metrics in records(5_000, now - 60, now):
            manager.profiler.record_query(metrics)
        with MetricsServer(manager, 0) as server:
            url, took = f"http://127.0.0.1:{server.port}/metrics", []
            for _ in range(repeats):
                start = time.perf_counter()
                with urllib.request.urlopen(url) as answer:
                    size = len(answer.read())
                took.append((time.perf_counter() - start) * 1e3)
    yield Figure("a scrape", median(took), "ms", 50.0)
    yield Figure("its size", size / 1024, "KB", 200.0)


def recalls_meanwhile(rounds: int) -> Iterator[Figure]:
    """Recalls of the sample memory, of a manager that is watched and of one that is not, in turns."""
    progress("recalls, watched and not")

    def p50(manager: MemoryManager) -> float:
        took = []
        for n in range(200):
            start = time.perf_counter()
            manager.recall(f"which service uses postgres-ledger {n % 7}?", use_cache=False)
            took.append(time.perf_counter() - start)
        return median(took)

    with ExitStack() as until_done:
        watched, alone = (until_done.enter_context(MemoryManager(":memory:")) for _ in range(2))
        for manager in (watched, alone):
            manager.remember_many(generate())
            p50(manager)
        until_done.enter_context(MetricsServer(watched, 0))
        until_done.enter_context(SpanExport(watched.profiler, Nowhere(), "bench"))
        on, off = [], []
        for _ in range(rounds):
            on.append(p50(watched))
            off.append(p50(alone))
    yield Figure("recall p50, not watched", median(off) * 1e3, "ms")
    ratios = [with_it / without for with_it, without in zip(on, off, strict=True)]
    yield Figure("recall p50, watched against not", median(ratios), "x", 1.05)


def incoming(repeats: int) -> Iterator[Figure]:
    """A query of three spans through the SDK, with records made of it and without."""
    progress("spans to records")

    def cost(tracer: Tracer) -> float:
        with no_gc():
            start = time.perf_counter()
            for _ in range(100):
                with tracer.start_as_current_span("search"):
                    for layer in ("semantic", "graph", "episodic"):
                        with tracer.start_as_current_span(layer):
                            pass
            return (time.perf_counter() - start) / 100 * 1e6

    bare, with_ours = TracerProvider(), TracerProvider()
    with_ours.add_span_processor(QuerySpanProcessor(PerformanceProfiler()))
    tracers = bare.get_tracer("bench"), with_ours.get_tracer("bench")
    # in turns: a machine that is slow for a second is slow for both of them
    costs = [tuple(map(cost, tracers)) for _ in range(3 * repeats)]
    yield Figure("the SDK's own cost of four spans", median([own for own, _ in costs]), "µs")
    ratios = [both / own for own, both in costs]
    yield Figure("the same with records made of them", median(ratios), "x", 3.0)


def main() -> int:
    asked = options(__doc__)
    repeats = 5 if asked.quick else 15
    figures = [*outgoing(2_000 if asked.quick else 10_000, repeats), *scrape(repeats), *incoming(repeats)]
    figures += recalls_meanwhile(8 if asked.quick else 25)
    return report(figures, asked)


if __name__ == "__main__":
    raise SystemExit(main())
