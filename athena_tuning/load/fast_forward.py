"""Fast forward: hours or days of a workload in virtual time, in seconds.

What recalls cost is taken from evidence: real records, their layer times freed from the contention that they
met. When recalls come and what they ask is taken from a ``LoadSpec``. The tuner's simulator then runs them
under a config. Everything it makes is marked ``source="simulated"``.

Trust it for comparing configs and for exploring what the pages show; its latencies cannot hold what the
evidence did not (another layer, an outage, a limit far above any that was seen).
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from athena_tuning.interchange.export import BATCH, stored_records
from athena_tuning.load.mix import Questions
from athena_tuning.load.patterns import DAY_SECONDS
from athena_tuning.load.spec import LoadSpec
from athena_tuning.model import ConfigSet, LayerTask, QueryMetrics, TuningConfig
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.samples import sample_workloads
from athena_tuning.store import Store
from athena_tuning.tuning.estimation.contention import ContentionLaw
from athena_tuning.tuning.estimation.telemetry import Telemetry, trace_of
from athena_tuning.tuning.settings import TELEMETRY
from athena_tuning.tuning.simulation.search import slowdowns
from athena_tuning.tuning.simulation.simulator import Simulation
from athena_tuning.tuning.trace import Arrival, Trace

MOST_RECALLS = 1_000_000
LEAST_EVIDENCE = 200
_STEPS = 100

Progress = Callable[[float], None]

_Tasks = tuple[tuple[str, float], ...]


def mix_of(evidence: Sequence[QueryMetrics]) -> dict[str, float]:
    """Return the share of each query type among records that a fast forward can use."""
    counts: dict[str, float] = defaultdict(float)
    for m in evidence:
        counts[m.query_type] += 1
    usable = {m.query_type for m in evidence if _timed(m)}
    return {name: n / len(evidence) for name, n in sorted(counts.items()) if name in usable}


def fast_forward(
    evidence: Sequence[QueryMetrics],
    spec: LoadSpec,
    *,
    config: TuningConfig | ConfigSet | None = None,
    ending_at: float | None = None,
    progress: Progress | None = None,
) -> Iterator[QueryMetrics]:
    """Yield what a manager would record, oldest first.

    Args:
        evidence: records with layer times; the newest 4,000 are used.
        spec: arrivals, mix, repetition and seed; "day" keeps to the hours of the day here.
        config: what is in force; None: the defaults.
        ending_at: Unix seconds of the end of the run; None: now.
        progress: told the share that is simulated, 0 to 1, now and then.

    Raises:
        ValueError: if the evidence has no layer times for a type of the mix, or the spec has no end, is a
            replay or a closed loop, or means more than a million recalls.
    """
    if spec.duration_s is None or spec.pattern == "replay" or spec.closed:
        raise ValueError("a fast forward needs an open loop, and a pattern with a duration")
    if spec.rate_per_s * spec.duration_s > MOST_RECALLS:
        raise ValueError(f"a fast forward is of at most {MOST_RECALLS:,} recalls")
    work, laws = _measured(evidence)
    if missing := [name for name, weight in spec.mix.items() if weight > 0 and not work.get(name)]:
        raise ValueError(f"the evidence has no layer times for {', '.join(sorted(missing))}")
    begin = (time.time() if ending_at is None else ending_at) - spec.duration_s
    trace = Trace(tuple(_asks(spec, evidence, work, begin)))
    in_force = TuningConfig() if config is None else config
    limit = (in_force if isinstance(in_force, TuningConfig) else in_force.default.config).max_concurrent
    simulation = Simulation(trace, in_force, slowdowns(laws, limit))
    return _records(simulation, begin, spec.duration_s, progress)


def usual_evidence(store: Store) -> list[QueryMetrics]:
    """Return the newest recalls that the store's managers measured; if there are few, a sample workload."""
    measured = deque(
        (m for m in stored_records(store) if m.source == "live" and _timed(m)), maxlen=TELEMETRY.recalls
    )
    return list(measured) if len(measured) >= LEAST_EVIDENCE else sample_workloads.load_records("mixed")


def store_forward(records: Iterable[QueryMetrics], store: Store) -> int:
    """Put simulated records into a store, as a worker of their own; return how many.

    Raises:
        StoreError: if the store does not take them.
    """
    worker = f"forward-{uuid.uuid4().hex[:12]}"
    waiting = iter(records)
    number = count = 0
    while batch := list(islice(waiting, BATCH)):
        number, count = number + 1, count + len(batch)
        store.append_metrics(worker, number, batch)
    return count


def _records(
    simulation: Simulation, begin: float, seconds: float, progress: Progress | None
) -> Iterator[QueryMetrics]:
    for step in range(1, _STEPS + 1):
        simulation.run(seconds * step / _STEPS)
        if progress is not None:
            progress(step / _STEPS)
    ended = sorted(simulation.finished)
    name = f"{begin:.0f}"
    for recall in ended:
        m = simulation.record(recall, begin)
        yield m._replace(query_id=f"{name}-{m.query_id}")


def _measured(
    evidence: Sequence[QueryMetrics],
) -> tuple[Mapping[str, Sequence[_Tasks]], Mapping[str, ContentionLaw]]:
    """Return what recalls of each type cost by themselves, and how layers slow down with company."""
    usable = sorted(filter(None, map(_timed, evidence)), key=lambda m: m.timestamp)[-TELEMETRY.recalls :]
    profiler = PerformanceProfiler(window_hours=24 * 365 * 50, max_metrics=max(1, len(usable)))
    for m in usable:
        profiler.record_query(m)
    telemetry = Telemetry().after(profiler.metrics)
    laws = telemetry.laws
    work: dict[str, list[_Tasks]] = defaultdict(list)
    for arrival in trace_of(telemetry.recalls, laws).arrivals:
        work[arrival.query_type].append(arrival.tasks)
    return work, laws


def _timed(m: QueryMetrics) -> QueryMetrics | None:
    """Return the record with a task for each layer time; None if it has none."""
    if m.cache_hit or not (m.tasks or m.layer_latencies):
        return None
    tasks = m.tasks or tuple(LayerTask(layer, 0.0, 0.0, ms, 1) for layer, ms in m.layer_latencies.items())
    latency = max(task.service_ms for task in tasks) if m.latency_ms is None else m.latency_ms
    return m._replace(tasks=tasks, latency_ms=latency, success=True if m.success is None else m.success)


def _asks(
    spec: LoadSpec, evidence: Sequence[QueryMetrics], work: Mapping[str, Sequence[_Tasks]], begin: float
) -> Iterator[Arrival]:
    texts: dict[str, dict[str, None]] = defaultdict(dict)
    for m in evidence:
        texts[m.query_type][m.query_text or m.query_type] = None
    questions = iter(
        Questions(
            {name: list(known) for name, known in texts.items()},
            spec.mix,
            repetition=spec.repetition,
            seed=spec.seed,
        )
    )
    rng = np.random.default_rng([spec.seed, 2])
    for at in _arrivals(spec, begin):
        query_type, text = next(questions)
        pool = work[query_type]
        yield Arrival(at, query_type, pool[int(rng.random() * len(pool))], text)


def _arrivals(spec: LoadSpec, begin: float) -> Sequence[float]:
    """Return the spec's arrivals; a day's rhythm is turned so that its hours are those of the day here."""
    times = np.fromiter(spec.arrivals(), np.float64)
    duration = spec.duration_s or 0.0
    if spec.pattern == "day" and duration >= DAY_SECONDS:
        since_midnight = (begin + time.localtime(begin).tm_gmtoff) % DAY_SECONDS
        times = np.sort((times - since_midnight) % duration)
    ordered: list[float] = times.tolist()
    return ordered
