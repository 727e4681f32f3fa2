"""What load, imports, fast forward and ``measure`` cost, and whether arrivals come as they were asked for.

The generator asks a manager that does nothing, so that what is measured is the generator; imports read files
that are made here, in the forms that exports and others write. ``--quick`` takes smaller files and shorter
runs.

Times on a busy machine shift together: a bare append and a plain ``json.loads`` of the same lines are
measured beside what is to be told, to compare runs by.
"""

from __future__ import annotations

import csv
import itertools
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from harness import Figure, median, no_gc, options, progress, report, timed

from athena_tuning.interchange import Import
from athena_tuning.interchange.export import export_records
from athena_tuning.load.bursts import Burstiness
from athena_tuning.load.fast_forward import fast_forward, mix_of
from athena_tuning.load.patterns import bursty, spacing
from athena_tuning.load.run import LoadRun
from athena_tuning.load.spec import LoadSpec
from athena_tuning.model import LayerTask, QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.samples.sample_workloads import load_records

LAYERS = ("episodic", "semantic", "graph")
T0 = 1_700_000_000
DAY_S = 86_400.0
_PEAK = """
import sys
from pathlib import Path
from athena_tuning.interchange import Import
print(sum(1 for _ in Import(sys.argv[1]).records()))
print(*[line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")])
"""
"""Prints the peak of the process (Linux); ``getrusage`` would tell that of the parent, if it was higher."""


class NoOp:
    """A manager that answers at once, and notes when it was asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def recall(self, query: str, *, k: int) -> Mapping[str, Any]:
        """Answer nothing."""
        self.asked.append(time.monotonic())
        return {"_success": True, "_cache_hit": False, "_config_version": 1}


def generator(quick: bool) -> Iterator[Figure]:
    """The rate that the generator reaches, how late it asks, and what a recall costs it."""
    seconds = 2.0 if quick else 20.0
    for rate, target in ((1_000, 0.99), (2_000, None), (4_000, None)):
        progress(f"generator, {rate:,}/s")
        before = _cpu()
        run = LoadRun(NoOp(), LoadSpec(rate_per_s=rate, duration_s=seconds, seed=1)).start()
        run.wait()
        came = run.summary()
        cost = (_cpu() - before) / came.finished * 1e6
        name = f"generator, {rate:,}/s asked for"
        least = rate * 0.95 if target else None
        yield Figure(f"{name}: offered", came.offered_per_s, "/s", least, at_least=True)
        yield Figure(f"{name}: achieved against offered", came.finished / came.offered, "x", target, True)
        yield Figure(f"{name}: asked late, p99", came.late_p99_ms, "ms")
        yield Figure(f"{name}: CPU a recall", cost, "µs")


def accuracy(quick: bool) -> Iterator[Figure]:
    """How far arrivals are from what was asked: on paper over hours, and as a run really makes them."""
    progress("arrivals")
    hours, seeds = (2, range(4)) if quick else (6, range(12))
    for cv, dispersion in ((1.3, 50.0), (1.8, 100.0), (2.5, 200.0), (3.0, 500.0)):
        found = [
            spacing(bursty(20.0, hours * 3600.0, np.random.default_rng(seed), Burstiness(cv, dispersion)),
                    hours * 3600.0)
            for seed in seeds
        ]  # fmt: skip
        name = f"bursty, CV {cv:g}, dispersion {dispersion:g} over 60 s"
        off = {
            "CV": median([abs(s.cv / cv - 1) for s in found]),
            "dispersion": median([abs(s.dispersion / dispersion - 1) for s in found]),
            "rate": median([abs(s.rate_per_s / 20.0 - 1) for s in found]),
        }
        for figure, share in off.items():
            yield Figure(f"{name}: {figure} off by, p50 of seeds", share * 100, "%", 10.0)
    yield from _as_run(6.0 if quick else 60.0)


def _as_run(seconds: float) -> Iterator[Figure]:
    progress("arrivals, as a run makes them")
    window = 0.1
    spec = LoadSpec("bursty", rate_per_s=500, duration_s=seconds, cv=1.8, dispersion=20.0, window_s=window)
    times = list(spec.arrivals())
    intended = spacing(times, seconds, window)
    manager = NoOp()
    LoadRun(manager, spec).start().wait()
    asked = sorted(manager.asked)
    achieved = spacing([times[0] + at - asked[0] for at in asked], seconds, window)
    for figure, got, wanted, aim in (
        ("CV", achieved.cv, intended.cv, spec.cv),
        ("dispersion", achieved.dispersion, intended.dispersion, spec.dispersion or 0.0),
        ("rate", achieved.rate_per_s, intended.rate_per_s, spec.rate_per_s),
    ):
        yield Figure(
            f"a run of {seconds:g} s: {figure} against intended", abs(got / wanted - 1) * 100, "%", 10.0
        )
        yield Figure(
            f"a run of {seconds:g} s: {figure} against asked for", abs(got / aim - 1) * 100, "%", 10.0
        )


def imports(folder: Path, quick: bool) -> Iterator[Figure]:
    """Rows a second of each format, and the memory that a large file takes."""
    rows = 30_000 if quick else 300_000
    made = list(_records(rows))
    for name, target, path in _files(folder, made):
        progress(f"import of {name}")
        count = rows
        seconds = timed(lambda path=path: deque(Import(path).records(), maxlen=0), 3)  # type: ignore[misc]
        yield Figure(f"import, {name}", count / median(seconds), "rows/s", target, at_least=True)
    lines = (folder / "foreign.jsonl").read_bytes().splitlines()
    plain = timed(lambda: deque(map(json.loads, lines), maxlen=0), 3)
    yield Figure("json.loads of the same foreign lines", len(lines) / median(plain), "rows/s")
    yield from _memory(folder, (15, 60) if quick else (100, 1000))


def _memory(folder: Path, sizes: tuple[int, int]) -> Iterator[Figure]:
    peaks = []
    for megabytes in sizes:
        progress(f"import of {megabytes} MB")
        path = folder / f"large{megabytes}.jsonl"
        line = json.dumps({"ts": T0, "latency_ms": 5.5, "query": "x" * 180, "request_id": "%012d"}) + "\n"
        with path.open("w") as file:
            for n in range(megabytes * 1_000_000 // len(line)):
                file.write(line.replace("%012d", f"{n:012d}"))
        done = subprocess.run([sys.executable, "-c", _PEAK, path], check=True, capture_output=True, text=True)
        peaks.append(int(done.stdout.split()[2]) / 1024)
        path.unlink()
    yield Figure(f"import of {sizes[1]} MB JSON lines: peak of the process", peaks[1], "MB", 400.0)
    yield Figure(f"import: peak at {sizes[1]} MB against {sizes[0]} MB", peaks[1] / peaks[0], "x", 3.0)


def forward() -> Iterator[Figure]:
    """A day in virtual time."""
    progress("fast forward")
    evidence = load_records("mixed")
    spec = LoadSpec("day", rate_per_s=1.0, duration_s=DAY_S, mix=mix_of(evidence))
    counts: list[int] = []
    seconds = timed(lambda: counts.append(sum(1 for _ in fast_forward(evidence, spec))), 3)
    yield Figure("fast forward of 24 h at 1 query/s", median(seconds), "s", 5.0)
    yield Figure("fast forward: recalls made", counts[0], "")


def measuring(quick: bool) -> Iterator[Figure]:
    """What ``measure`` adds to a query of three layers, beside a bare append."""
    progress("measure")
    profiler = PerformanceProfiler()
    measure = profiler.measure

    def measured() -> None:
        with measure("who owns it?", "factual") as query:
            with query.layer("episodic"):
                pass
            with query.layer("semantic"):
                pass
            with query.layer("graph"):
                pass

    bare: deque[int] = deque()
    repeats = 41 if quick else 121
    cost = median([_per_call(measured, profiler.fold) for _ in range(repeats)])
    append = median([_per_call(lambda: bare.append(1), bare.clear) for _ in range(repeats)])
    yield Figure("measure, a query with three layers, p50", cost, "µs", 3.0)
    yield Figure("measure: against a bare append in a function", cost / append, "x")


def _per_call(work: Callable[[], object], after: Callable[[], object], calls: int = 500) -> float:
    """Return µs a call."""
    with no_gc():
        start = time.perf_counter()
        for _ in itertools.repeat(None, calls):
            work()
        took = time.perf_counter() - start
    after()
    return took / calls * 1e6


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _records(n: int) -> Iterator[QueryMetrics]:
    rng = random.Random(1)
    for i in range(n):
        times = [rng.lognormvariate(2, 0.8) for _ in LAYERS]
        tasks = tuple(LayerTask(name, 0.1, 0.2, ms, 2) for name, ms in zip(LAYERS, times, strict=True))
        timed_layers = dict(zip(LAYERS, times, strict=True))
        yield QueryMetrics(
            f"query-{i:09d}",
            f"what was decided about topic {i % 5000}?",
            ("factual", "temporal", "planning")[i % 3],
            T0 + i * 0.05,
            max(times),
            None,
            i % 4 == 0,
            5,
            list(LAYERS),
            timed_layers,
            True,
            None,
            True,
            2,
            tasks=tasks,
            config_version=1,
        )  # fmt: skip


def _files(folder: Path, made: list[QueryMetrics]) -> Iterator[tuple[str, float | None, Path]]:
    """Write each format; yield its name, the rate it must reach and the file."""
    for name, target, suffix in (
        ("our Parquet", 100_000.0, "parquet"),
        ("our JSON lines", 30_000.0, "jsonl"),
        ("our CSV", None, "csv"),
    ):
        path = folder / f"own.{suffix}"
        export_records(made, path)
        yield name, target, path
    rows = [
        {
            "ts": m.timestamp,
            "request_id": m.query_id,
            "endpoint": m.query_type,
            "query": m.query_text,
            "duration_ms": m.latency_ms,
            "status": 200,
            "cache_hit": m.cache_hit,
        }
        for m in made
    ]
    yield "a foreign Parquet", 100_000.0, _parquet(folder / "foreign.parquet", rows)
    lines = folder / "foreign.jsonl"
    lines.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    yield "foreign JSON lines", 30_000.0, lines
    table = folder / "foreign.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    yield "a foreign CSV", None, table
    traces = folder / "traces.json"
    traces.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": _spans(m)}]} for m in made]}))
    yield "OTLP/JSON, four spans a row", None, traces


def _parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def _spans(m: QueryMetrics) -> list[dict[str, Any]]:
    start = int(m.timestamp * 1e9)

    def span(own: int, name: str, ms: float) -> dict[str, Any]:
        parent = {"parentSpanId": f"{0:016x}1"} if own > 1 else {}
        end = {"endTimeUnixNano": str(start + int(ms * 1e6))}
        head = {"traceId": m.query_id, "spanId": f"{0:016x}{own}", "name": name}
        return {**head, **parent, "startTimeUnixNano": str(start), **end}

    layers = [span(own, name, ms) for own, (name, ms) in enumerate(m.layer_latencies.items(), 2)]
    return [span(1, "ask", m.latency_ms or 0.0), *layers]


def main() -> int:
    asked = options(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        figures = [
            *generator(asked.quick),
            *accuracy(asked.quick),
            *imports(Path(folder), asked.quick),
            *forward(),
            *measuring(asked.quick),
        ]
    return report(figures, asked)


if __name__ == "__main__":
    raise SystemExit(main())
