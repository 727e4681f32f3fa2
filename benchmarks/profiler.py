"""What recording costs and how fast everything is read back: the profiler against its targets.

Every reading is timed after one new record, so nothing is answered from a finished result. The same records
also go through ``prometheus_client`` and the OpenTelemetry SDK in the same run: once with everything that we
keep of a recall and its tasks, once with nothing but times by type and layer, for all three of them.
``--quick`` leaves out the window of a million.

Times on a busy machine shift together: the cost of a bare method that appends to a deque is printed first,
to compare runs by.
"""

from __future__ import annotations

import gc
import itertools
import threading
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from harness import Figure, median, no_gc, options, progress, quantile, report, timed

from athena_tuning.model import LAYERS, QUERY_TYPES, LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.profiling import LatencyHistogram, PerformanceProfiler

FIVE = (0.5, 0.9, 0.95, 0.99, 0.999)
BATCH = 1_000
TEXTS = [f"what was decided about topic {i} in the last planning round?" for i in range(10_000)]
COMBINATIONS = list(itertools.combinations(LAYERS, 3))
DAY = 86_400.0

Take = Callable[[list[QueryMetrics]], None]


class Bare:
    """The yardstick: a method that appends to a deque and nothing else."""

    def __init__(self) -> None:
        self.pending: deque[QueryMetrics] = deque()

    def record(self, metrics: QueryMetrics) -> None:
        """Append."""
        self.pending.append(metrics)


def records(
    n: int, start: float, end: float, seed: int = 0, texts: int = len(TEXTS)
) -> Iterator[QueryMetrics]:
    """Yield finished recalls: three layers each, lognormal times, queue waits, texts asked Zipf-like."""
    rng = np.random.default_rng(seed)
    moments = np.linspace(start, end, n, endpoint=False).tolist()
    for first in range(0, n, BATCH):
        size = min(BATCH, n - first)
        service, queue = rng.lognormal(3, 1, (size, 3)).tolist(), rng.exponential(2, (size, 3)).tolist()
        offset, in_flight = (
            rng.uniform(0.05, 0.3, (size, 3)).tolist(),
            rng.integers(1, 16, (size, 3)).tolist(),
        )
        asked, chances = (rng.zipf(1.2, size) % texts).tolist(), rng.random((size, 3)).tolist()
        shapes = rng.integers(0, len(COMBINATIONS), size).tolist()
        for i in range(size):
            layers, times = COMBINATIONS[shapes[i]], service[i]
            tasks = tuple(
                LayerTask(layer, at, wait, took, n_running, TaskOutcome.OK, 5)
                for layer, at, wait, took, n_running in zip(
                    layers, offset[i], queue[i], times, in_flight[i], strict=True
                )
            )
            yield QueryMetrics(
                f"{seed:04x}{first + i:012x}",
                TEXTS[asked[i]],
                QUERY_TYPES[i % len(QUERY_TYPES)],
                moments[first + i],
                max(times) + 1.0,
                None,
                chances[i][0] < 0.2,
                5,
                list(layers),
                dict(zip(layers, times, strict=True)),
                chances[i][1] < 0.99,
                None,
                chances[i][2] < 0.7,
                3,
                tasks=tasks,
                config_version=1,
            )


def filled(size: int, texts: int = len(TEXTS)) -> PerformanceProfiler:
    """Return a profiler whose window of the last 24 hours is full."""
    now = time.time()
    profiler = PerformanceProfiler(window_hours=25, max_metrics=size)
    for i, metrics in enumerate(records(size, now - DAY, now - 60, texts=texts)):
        profiler.record_query(metrics)
        if i % BATCH == BATCH - 1:
            profiler.fold()
    profiler.fold()
    return profiler


def recording(profilers: dict[int, PerformanceProfiler]) -> Iterator[Figure]:
    """A record of a ready recall, with a fold running beside it, against the bare append."""
    progress("recording")
    ready = list(records(100, time.time() - 10, time.time()))
    costs, against = {}, {}
    for size, profiler in profilers.items():
        bare = Bare()
        with folding(profiler):
            both = [
                (per_call_ns(bare.record, ready), per_call_ns(profiler.record_query, ready))
                for _ in range(400)
            ]
            single = [ns for _ in range(300) for ns in single_calls_ns(profiler.record_query, ready)]
        bare_ns, costs[size] = (median(ns) for ns in zip(*both, strict=True))
        against[size] = costs[size] / bare_ns
        yield Figure(f"bare method with a deque append, p50, beside window {size:,}", bare_ns, "ns")
        yield Figure(f"record_query, p50, window {size:,}", costs[size], "ns")
        yield Figure(f"record_query, p50, window {size:,}, against bare", against[size], "x", 2.0)
        yield Figure(f"record_query, p99, window {size:,}", quantile(single, 0.99) / 1000, "µs", 5.0)
    spread = max(against.values()) / min(against.values())
    yield Figure("record_query, slowest window against fastest", spread, "x", 1.5)


def per_call_ns(record: Callable[[QueryMetrics], None], ready: list[QueryMetrics]) -> float:
    """Return ns a call; then let others run."""
    start = time.perf_counter_ns()
    for metrics in ready:
        record(metrics)
    passed = time.perf_counter_ns() - start
    time.sleep(0.0002)
    return passed / len(ready)


def single_calls_ns(record: Callable[[QueryMetrics], None], ready: list[QueryMetrics]) -> list[float]:
    """Return ns of each call, the clock's own included; then let others run."""
    clock, found = time.perf_counter_ns, []
    for metrics in ready:
        start = clock()
        record(metrics)
        found.append(float(clock() - start))
    time.sleep(0.0002)
    return found


@contextmanager
def folding(profiler: PerformanceProfiler) -> Iterator[None]:
    """Fold in another thread, all the time."""
    done = threading.Event()

    def run() -> None:
        while not done.is_set():
            profiler.fold()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        profiler.fold()


def cpu_us(take: Take, batches: int, seed: int, *, with_tasks: bool = True) -> float:
    """Return CPU time in µs a record, over batches that were made just before."""
    cost = 0.0
    with no_gc():
        for i in range(batches):
            now = time.time()
            batch = list(records(BATCH, now - 1, now, seed + i))
            if not with_tasks:
                batch = [metrics._replace(tasks=()) for metrics in batch]
            start = time.thread_time()
            take(batch)
            cost += time.thread_time() - start
    return cost / batches / BATCH * 1e6


def whole_cost(profiler: PerformanceProfiler) -> Iterator[Figure]:
    """Record, fold and evict, beside Prometheus and OpenTelemetry."""
    progress("cost of a record")

    def ours(batch: list[QueryMetrics]) -> None:
        for metrics in batch:
            profiler.record_query(metrics)
        profiler.fold()

    rivals = {
        "prometheus_client": (*prometheus_recorders(), 4.0),
        "OpenTelemetry SDK": (*otel_recorders(), 17.0),
    }
    everything: dict[str, list[float]] = {}
    times: dict[str, list[float]] = {}
    for seed in range(ROUNDS):  # in turns: a machine that is slow for a second is slow for all of them
        # blocks of 16,384 are sealed within a round
        everything.setdefault("ours", []).append(cpu_us(ours, 17, 1000 * seed + 100))
        times.setdefault("ours", []).append(cpu_us(ours, 17, 1000 * seed + 150, with_tasks=False))
        for name, (take_times, take_all, _) in rivals.items():
            everything.setdefault(name, []).append(cpu_us(take_all, 3, 1000 * seed + 200))
            times.setdefault(name, []).append(cpu_us(take_times, 3, 1000 * seed + 250))
    yield Figure("record + fold + eviction, CPU a record", median(everything["ours"]), "µs", 5.0)
    yield Figure("the same of records that tell only times by type and layer", median(times["ours"]), "µs")
    for name, (_, _, factor) in rivals.items():
        yield Figure(f"{name}, everything", median(everything[name]), "µs")
        yield Figure(f"{name}, only times by type and layer", median(times[name]), "µs")
        for what, costs, target in (
            ("everything", everything, factor),
            ("only times by type and layer", times, None),
        ):
            ratios = [theirs / own for theirs, own in zip(costs[name], costs["ours"], strict=True)]
            yield Figure(f"{name} against ours, {what}", median(ratios), "x", target, True)


def prometheus_recorders() -> tuple[Take, Take]:
    """Return what records times and a count, and what records all that we keep of a recall and its tasks."""
    from prometheus_client import CollectorRegistry, Counter, Histogram

    registry = CollectorRegistry()
    recalls = Histogram("recall_seconds", "recalls", ["type"], registry=registry)
    service = Histogram("service_seconds", "own times", ["layer"], registry=registry)
    counted = Counter("recalls", "recalls", ["type", "success", "cache_hit"], registry=registry)
    outcomes = Histogram("task_seconds", "own times", ["layer", "outcome"], registry=registry)
    queue = Histogram("queue_seconds", "waits", ["layer"], registry=registry)
    in_flight = Histogram("in_flight", "tasks at once", ["layer"], registry=registry)

    def take_recall(m: QueryMetrics) -> None:
        recalls.labels(m.query_type).observe((m.latency_ms or 0) / 1000)
        counted.labels(m.query_type, str(m.success), str(m.cache_hit)).inc()

    def take_times(batch: list[QueryMetrics]) -> None:
        for m in batch:
            take_recall(m)
            for layer, ms in m.layer_latencies.items():
                service.labels(layer).observe(ms / 1000)

    def take_all(batch: list[QueryMetrics]) -> None:
        for m in batch:
            take_recall(m)
            for task in m.tasks:
                outcomes.labels(task.layer, task.outcome).observe(task.service_ms / 1000)
                queue.labels(task.layer).observe(task.queue_ms / 1000)
                in_flight.labels(task.layer).observe(task.in_flight)

    return take_times, take_all


def otel_recorders() -> tuple[Take, Take]:
    """Return the same two for the OpenTelemetry SDK."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    meter = MeterProvider([InMemoryMetricReader()]).get_meter("benchmark")
    recalls, service = meter.create_histogram("recall", "ms"), meter.create_histogram("service", "ms")
    outcomes, queue = meter.create_histogram("task", "ms"), meter.create_histogram("queue", "ms")
    counted, in_flight = meter.create_counter("recalls"), meter.create_histogram("in_flight")

    def take_recall(m: QueryMetrics) -> None:
        recalls.record(m.latency_ms or 0, {"type": m.query_type})
        counted.add(1, {"type": m.query_type, "success": str(m.success), "cache_hit": str(m.cache_hit)})

    def take_times(batch: list[QueryMetrics]) -> None:
        for m in batch:
            take_recall(m)
            for layer, ms in m.layer_latencies.items():
                service.record(ms, {"layer": layer})

    def take_all(batch: list[QueryMetrics]) -> None:
        for m in batch:
            take_recall(m)
            for task in m.tasks:
                outcomes.record(task.service_ms, {"layer": task.layer, "outcome": task.outcome})
                queue.record(task.queue_ms, {"layer": task.layer})
                in_flight.record(task.in_flight, {"layer": task.layer})

    return take_times, take_all


ROUNDS = 5
"""In which the cost of a record is measured: the median counts."""

EXACT_TARGETS = {10_000: 0.1, 100_000: 0.3, 1_000_000: 1.5}


def reading(profiler: PerformanceProfiler, size: int) -> Iterator[Figure]:
    """Every getter after one new record."""
    progress(f"reading a window of {size:,}")
    now = time.time()
    coming = iter(list(records(4_000, now - 30, now, seed=size)))

    def one_more() -> None:
        profiler.record_query(next(coming))

    def everything() -> None:
        for layer in LAYERS:
            profiler.percentiles(FIVE, exact=False, layer=layer)
        for query_type in QUERY_TYPES:
            profiler.percentiles(FIVE, exact=False, query_type=query_type)

    questions: list[tuple[str, Callable[[], object], float]] = [
        (
            "get_layer_metrics, five exact percentiles",
            lambda: profiler.get_layer_metrics("graph"),
            EXACT_TARGETS[size],
        ),
        (
            "the same percentiles from the histogram",
            lambda: profiler.percentiles(FIVE, exact=False, layer="graph"),
            0.1,
        ),
        ("all layers and types from histograms", everything, 0.6),
        ("hour × weekday", lambda: profiler.hour_weekday("Europe/Berlin"), 3.0),
        ("cache report", profiler.cache_report, 3.0),
        ("co-occurrence", profiler.co_occurrence, 3.0),
        ("concurrency report", profiler.concurrency_report, 3.0),
        ("trending over an hour", profiler.trending, 3.0),
        ("slow queries", profiler.get_slow_queries, 6.0),
        ("slow records, whole", profiler.slow_records, 6.0),
    ]
    for name, ask, target in questions:
        ask()
        one_more()
        ask()
        yield Figure(f"{name}, {size:,}", median(timed(ask, 31, one_more)) * 1e3, "ms", target)
    start = time.perf_counter()
    profiler.time_series(300)
    yield Figure(f"time series, 288 buckets, cold, {size:,}", (time.perf_counter() - start) * 1e3, "ms", 60.0)
    warm = median(timed(lambda: profiler.time_series(300), 31, one_more)) * 1e3
    yield Figure(f"time series, unchanged prefix, {size:,}", warm, "ms", 2.0)
    gc.collect()
    yield Figure(f"collector pause holding {size:,}", median(timed(gc.collect, 5)) * 1e3, "ms", 30.0)


def accuracy() -> Iterator[Figure]:
    """Percentiles of merged histograms against the exact ones."""
    rng = np.random.default_rng(7)
    for name, ms in {
        "lognormal": rng.lognormal(3, 1, 200_000),
        "bimodal": np.concatenate([rng.normal(5, 0.5, 150_000), rng.normal(400, 20, 50_000)]).clip(0.1),
    }.items():
        parts = []
        for part in np.array_split(ms, 8):
            parts.append(LatencyHistogram())
            parts[-1].add_many(part)
        found, ordered = LatencyHistogram.merged(parts).quantiles(FIVE), np.sort(ms)
        exact = np.array([ordered[int(q * len(ordered))] for q in FIVE])
        yield Figure(
            f"merged histograms, worst error, {name}", float(np.abs(found / exact - 1).max() * 100), "%", 0.5
        )


def memory(size: int, texts: int) -> Iterator[Figure]:
    """Bytes that a full window holds a record, texts included; before any question was asked."""
    progress(f"memory of {size:,}")
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    profiler = filled(size, texts)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(profiler.metrics) == size
    yield Figure(f"memory a record, {size:,} of {texts:,} texts", held / size, "bytes", 100.0)


def threads() -> Iterator[Figure]:
    """Four threads recording at once: nothing lost, and as fast together as one alone."""
    progress("four threads")
    each, ready = 50_000, list(records(BATCH, time.time() - 10, time.time()))

    def run(profiler: PerformanceProfiler, calls: int) -> None:
        for i in range(calls):
            profiler.record_query(ready[i % BATCH])

    def rate(workers: int) -> tuple[float, int]:
        profiler = PerformanceProfiler(max_metrics=4 * each)
        crew = [threading.Thread(target=run, args=(profiler, 4 * each // workers)) for _ in range(workers)]
        start = time.perf_counter()
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
        passed = time.perf_counter() - start
        return 4 * each / passed, 4 * each - profiler.counters["recorded"]

    pairs = [(rate(1), rate(4)) for _ in range(5)]
    ratio = median([four / one for (one, _), (four, _) in pairs])
    yield Figure("four threads against one, records a second", ratio, "x", 0.8, at_least=True)
    yield Figure("records lost by four threads", sum(lost for _, (_, lost) in pairs), "", 0)


def main() -> int:
    asked = options(__doc__)
    sizes = (10_000, 100_000) if asked.quick else (10_000, 100_000, 1_000_000)
    figures = [*memory(sizes[-1], sizes[-1] // 100), *accuracy(), *threads()]
    progress("filling windows")
    profilers = {size: filled(size) for size in (1_000, *sizes)}
    read = [figure for size in sizes for figure in reading(profilers[size], size)]
    figures += [*recording(profilers), *whole_cost(profilers[10_000]), *read]
    return report(figures, asked)


if __name__ == "__main__":
    raise SystemExit(main())
