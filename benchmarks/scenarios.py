"""Scenarios in virtual time: who asks what, how much work that is, how tasks slow each other down.

The true slowdowns are tables and kinks, not the family that the tuner fits. Figures for the embedded store
are measured ones: 332 / 507 / 416 / 474 / 396 recalls a second with 1 / 2 / 4 / 8 / 16 threads on two cores.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from athena_tuning.tuning.simulation.simulator import Slowdown
from athena_tuning.tuning.trace import Arrival, Trace

ASKED: Mapping[str, tuple[str, ...]] = {
    "temporal": ("episodic", "semantic"),
    "factual": ("semantic", "graph"),
    "relational": ("semantic", "graph"),
    "procedural": ("semantic", "procedural"),
    "prospective": ("semantic", "prospective"),
    "meta": ("semantic",),
    "planning": ("semantic", "procedural", "graph"),
}
EMBEDDED_MS = {"episodic": 1.4, "semantic": 0.73, "graph": 0.95, "prospective": 0.17, "procedural": 0.13}
REMOTE_MS = {"episodic": 20, "semantic": 12, "graph": 30, "prospective": 8, "procedural": 10}
RECORDED = Path(__file__).parents[2] / "shared" / "data" / "traces" / "azure_llm_2023.parquet"
_MEASURED = ((1, 332), (2, 507), (4, 416), (8, 474), (16, 396), (32, 380))

Arrivals = Callable[[random.Random, int, float], Iterator[float]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One world.

    Attributes:
        name: what it is called in the table.
        work_ms: median own work by layer.
        offered: mean tasks in flight that the load would cause if nothing slowed down.
        slow: true slowdown by layer.
        spread: σ of the log-normal works.
        arrivals: gaps between recalls in seconds, for a mean rate.
        questions: different texts of a Zipf law (s = 1.1), so that the cache can answer; 0: none repeats.
        later: offered load from the middle of the trace on; None: as before.
        clients: callers in the closed loop that throughput is measured with.
    """

    name: str
    work_ms: Mapping[str, float]
    offered: float
    slow: Mapping[str, Slowdown] = field(default_factory=dict)
    spread: float = 0.5
    arrivals: Arrivals | None = None
    questions: int = 0
    later: float | None = None
    clients: int = 16

    def trace(self, recalls: int, seed: int) -> Trace:
        """Return a trace of the scenario; the same seed gives the same trace."""
        rng = random.Random(f"{self.name}{seed}")
        types = list(ASKED)
        mean_work = sum(self._mean(layer) for layers in ASKED.values() for layer in layers) / len(ASKED)
        gaps = (self.arrivals or poisson)(rng, recalls, self.offered / mean_work)
        popular = _zipf(self.questions)
        arrivals, now = [], 0.0
        for i, gap in enumerate(itertools.islice(gaps, recalls)):
            faster = self.later / self.offered if self.later and i >= recalls // 2 else 1.0
            now += gap / faster
            text = ""
            query_type = rng.choice(types)
            if popular:
                which = bisect.bisect(popular, rng.random() * popular[-1])
                text, query_type = f"question {which}", types[which % len(types)]
            arrivals.append(
                Arrival(now, query_type, tuple((n, self._work(rng, n)) for n in ASKED[query_type]), text)
            )
        return Trace(tuple(arrivals))

    def _mean(self, layer: str) -> float:
        return self.work_ms[layer] / 1000 * math.exp(self.spread**2 / 2)

    def _work(self, rng: random.Random, layer: str) -> float:
        return self.work_ms[layer] / 1000 * math.exp(rng.gauss(0, self.spread))


def poisson(rng: random.Random, recalls: int, rate: float) -> Iterator[float]:
    """Yield gaps of independent arrivals."""
    return (rng.expovariate(rate) for _ in range(recalls))


def bursts(rng: random.Random, recalls: int, rate: float) -> Iterator[float]:
    """Yield gaps with calm and busy spells: four times the rate for a sixth of the time."""
    calm, busy = rate * 0.4, rate * 4.0
    left, now_rate = 0.0, calm
    for _ in range(recalls):
        if left <= 0:
            now_rate = busy if now_rate == calm else calm
            left = rng.expovariate(1.0) * (60 if now_rate == busy else 300) / rate
        gap = rng.expovariate(now_rate)
        left -= gap
        yield gap


def recorded(rng: random.Random, recalls: int, rate: float) -> Iterator[float]:
    """Yield gaps of real arrivals at a mean rate, from a place drawn at random; generated where absent."""
    if not RECORDED.exists():
        yield from bursts(rng, recalls, rate)
        return
    times = _recorded()
    first = rng.randrange(len(times))
    gaps = [max(0.0, b - a) for a, b in itertools.pairwise(times)]
    mean = (times[-1] - times[0]) / len(gaps)
    for i in range(recalls):
        yield gaps[(first + i) % len(gaps)] / mean / rate


def superposed(rng: random.Random, recalls: int, rate: float) -> Iterator[float]:
    """Yield gaps of as many copies of the real arrivals as the rate takes, each from a place of its own.

    Time passes as it did, so that a rush of minutes stays one of minutes. Generated where they are absent.
    """
    if not RECORDED.exists():
        yield from bursts(rng, recalls, rate)
        return
    times = _recorded()
    span = times[-1] - times[0]
    copies = max(1, round(rate * span / len(times)))
    shifts = [rng.random() * span for _ in range(copies)]
    joined = sorted((at - times[0] + shift) % span for shift in shifts for at in times)
    stretch = len(joined) / span / rate
    first = rng.randrange(len(joined))
    for i in range(first, first + recalls):
        gap = joined[(i + 1) % len(joined)] - joined[i % len(joined)]
        yield (gap if gap >= 0 else gap + span) * stretch


@functools.cache
def _recorded() -> list[float]:
    import pyarrow.parquet as pq

    found: list[float] = pq.read_table(RECORDED, columns=["ts"])["ts"].to_pylist()
    return found


def embedded(n: int) -> float:
    """Slowdown of an embedded store on two cores, from its measured throughput."""
    for (a, x), (b, y) in itertools.pairwise(_MEASURED):
        if n <= b:
            rate = x + (y - x) * (n - a) / (b - a)
            return max(1.0, n * _MEASURED[0][1] / rate)
    return n * _MEASURED[0][1] / _MEASURED[-1][1]


def ten_slots(n: int) -> float:
    """Slowdown of a backend that serves ten at a time."""
    return max(1.0, n / 10)


def thrashing(n: int) -> float:
    """Slowdown of a backend that is fine up to 8 and then loses more with each further task."""
    return 1.0 if n <= 8 else n / 8 + 0.04 * (n - 8) ** 2


def _zipf(questions: int) -> list[float]:
    return list(itertools.accumulate((i + 1) ** -1.1 for i in range(questions)))


def _all(slow: Slowdown) -> dict[str, Slowdown]:
    return dict.fromkeys(EMBEDDED_MS, slow)


SLOW_MS = {layer: 12.0 * ms for layer, ms in REMOTE_MS.items()}
MIXED_MS = {**EMBEDDED_MS, "graph": 25.0, "semantic": 15.0}
MIXED_SLOW = {layer: slow for layer, slow in _all(embedded).items() if layer not in ("graph", "semantic")}

FLAT = Scenario("flat", REMOTE_MS, 0.3)
"""Nothing waits and nothing slows down: every limit is as good as any."""

SCENARIOS = (
    Scenario("embedded light", EMBEDDED_MS, 0.3, _all(embedded)),
    Scenario("embedded heavy", EMBEDDED_MS, 1.25, _all(embedded)),
    Scenario("remote fast", REMOTE_MS, 3.8, clients=32),
    Scenario("remote slow", SLOW_MS, 8.0, clients=32),
    Scenario("mixed", MIXED_MS, 4.2, MIXED_SLOW, clients=32),
    Scenario("one slow layer", {**REMOTE_MS, "graph": 300.0}, 4.2, clients=32),
    Scenario("ten slots", REMOTE_MS, 7.0, _all(ten_slots), clients=32),
    Scenario("thrashes beyond 8", REMOTE_MS, 5.0, _all(thrashing), clients=32),
    Scenario("cache-heavy", REMOTE_MS, 9.0, questions=2000, clients=32),
    Scenario("bursty", REMOTE_MS, 3.0, arrivals=recorded, clients=32),
    Scenario("shift", REMOTE_MS, 1.5, later=9.0, clients=32),
)
