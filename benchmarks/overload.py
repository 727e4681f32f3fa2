"""Twice as many recalls come as can be served: what is still answered, how fast, and when is it well again?

A refused recall counts as infinitely late. Capacity is what the best fixed limit carries. First in virtual
time, in three worlds (a knee at 10, thrashing beyond 8, a lock convoy); then with real threads against a TCP
server with a knee, in a process of its own.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from harness import Figure, options, progress, report
from knee_server import RealWorld
from scenarios import ASKED, EMBEDDED_MS, bursts, poisson, recorded, superposed, ten_slots, thrashing

from athena_tuning.model import TuningConfig
from athena_tuning.tuning.simulation.simulated_run import SimulatedRun
from athena_tuning.tuning.simulation.simulator import Simulation, Slowdown, in_force
from athena_tuning.tuning.trace import Arrival, Trace

WORK_MS = 20.0
SPREAD = 0.5
CALM = 0.8
IN_TIME_MS = 500.0
AFTER_SECONDS = 15.0
Floats = npt.NDArray[np.float64]


def convoy(n: int) -> float:
    """Slowdown where 15 % of each task run under one lock, dearer to hand over the more wait for it."""
    return max(1.0, n * 0.15 * (1 + 0.05 * (n - 1)))


@dataclass(frozen=True, slots=True)
class VirtualWorld:
    """A backend and the best fixed limit for it.

    Attributes:
        name: for the table.
        slow: slowdown of each layer with n tasks in flight.
    """

    name: str
    slow: Slowdown

    @property
    def limit(self) -> int:
        """The limit that carries most."""
        return max(range(1, 21), key=lambda n: (n / self.slow(n), -n))

    @property
    def capacity(self) -> float:
        """Recalls a second at that limit."""
        tasks = sum(map(len, ASKED.values())) / len(ASKED)
        seconds = tasks * WORK_MS / 1000 * math.exp(SPREAD**2 / 2)
        return self.limit / self.slow(self.limit) / seconds

    def run(self, trace: Trace, config: TuningConfig | None = None) -> SimulatedRun:
        """Run a trace at the best limit."""
        return self.begun(trace, config or TuningConfig(self.limit)).run().result()

    def begun(self, trace: Trace, config: TuningConfig) -> Simulation:
        """Return a simulation to go on with."""
        return Simulation(trace, config, dict.fromkeys(EMBEDDED_MS, self.slow), admission=True)


WORLDS = (
    VirtualWorld("knee 10", ten_slots),
    VirtualWorld("thrashes beyond 8", thrashing),
    VirtualWorld("lock convoy", convoy),
)


def trace(times: list[float], seed: int, background: float = 0.0) -> Trace:
    """Return recalls at some times, a share of them of low priority."""
    rng = random.Random(seed)
    types = list(ASKED)

    def arrival(at: float) -> Arrival:
        query_type = rng.choice(types)
        tasks = tuple((layer, WORK_MS / 1000 * math.exp(rng.gauss(0, SPREAD))) for layer in ASKED[query_type])
        return Arrival(at, query_type, tasks, background=rng.random() < background)

    return Trace(tuple(map(arrival, times)))


def times(gaps: Iterator[float], after: float = 0.0) -> list[float]:
    """Return the times that gaps lead to."""
    return [after + at for at in itertools.accumulate(gaps)]


def poisson_times(rate: float, seconds: float, seed: int, after: float = 0.0) -> list[float]:
    """Return independent arrivals."""
    return times(poisson(random.Random(seed), int(rate * seconds), rate), after)


def p99(latency_ms: Floats) -> float:
    """Return the p99 of those that were answered."""
    answered = np.sort(latency_ms[np.isfinite(latency_ms)])
    return float(answered[min(int(0.99 * len(answered)), len(answered) - 1)])


def well_after(began: list[float], good: list[bool]) -> float:
    """Return when the first 100 consecutive recalls began of which 97 are good, after the first of all."""
    counts = np.convolve(np.array(good, float), np.ones(100), "valid")
    at = np.flatnonzero(counts >= 97)
    return began[int(at[0])] - began[0] if len(at) else math.inf


def overload(world: VirtualWorld, seconds: float, seed: int) -> list[Figure]:
    """Twice the capacity, then calm again; beside it the same without admission."""
    capacity = world.capacity
    storm = poisson_times(2 * capacity, seconds, seed)
    calm = poisson_times(CALM * capacity, AFTER_SECONDS, seed + 1000, storm[-1])
    asked = trace(storm + calm, seed)
    quiet = world.run(trace(poisson_times(CALM * capacity, 60, seed + 2000), seed + 3000))
    run = world.run(asked)
    without = world.run(asked, TuningConfig(world.limit, overload_after_seconds=None))
    during, later = run.latency_ms[: len(storm)], run.latency_ms[len(storm) :]
    share = float((during <= IN_TIME_MS).sum()) / seconds / capacity * 100
    before = float((without.latency_ms[: len(storm)] <= IN_TIME_MS).sum()) / seconds / capacity * 100
    name = world.name
    return [
        Figure(f"{name}, 2x: in time, of capacity", share, "%", 90, True),
        Figure(f"{name}, 2x: the same where all wait", before, "%"),
        Figure(f"{name}, 2x: refused", float(np.isinf(during).mean()) * 100, "%"),
        Figure(f"{name}, 2x: p99 over the calm one", p99(during) / p99(quiet.latency_ms), "x", 2.5),
        Figure(f"{name}, 2x: well again after", well_after(calm, list(later <= IN_TIME_MS)), "s", 2.0),
        Figure(f"{name}, 0.8x: refused of 10,000", float(refused_calm(world, seed)), "", 0),
    ]


def refused_calm(world: VirtualWorld, seed: int) -> int:
    """Return how many of 10,000 are refused at 0.8 of capacity."""
    rate = CALM * world.capacity
    return int(world.run(trace(poisson_times(rate, 10_000 / rate, seed + 4000), seed)).refused.sum())


def with_bursts(world: VirtualWorld, seed: int, traces: int) -> list[Figure]:
    """Recorded arrivals at 0.8 of capacity, as many copies as it takes; and one copy, played faster.

    A burst is what a queue can even out: in no ten seconds do more come than can be served. Rushes are what
    it cannot. Of those refused in a rush, a queue would have answered next to none in time.
    """
    rate = CALM * world.capacity
    refused: dict[bool, list[float]] = {True: [], False: []}
    needless = 0
    for number in range(seed, seed + 3 * traces + 1):
        begins = times(superposed(random.Random(number), 10_000, rate))
        is_burst = most_in(begins, 10.0) <= 10 * world.capacity
        if len(refused[is_burst]) == traces:
            continue
        asked = trace(begins, number)
        run = world.run(asked)
        refused[is_burst].append(100 * float(run.refused.mean()))
        if run.refused.any():
            waiting = world.run(asked, TuningConfig(world.limit, overload_after_seconds=None))
            needless += int((run.refused & (waiting.latency_ms <= IN_TIME_MS)).sum())
        if min(map(len, refused.values())) == traces:
            break
    fast = trace(times(recorded(random.Random(seed), 10_000, rate)), seed)
    with_it = world.run(fast)
    without = world.run(fast, TuningConfig(world.limit, overload_after_seconds=None))
    late, late_without = ((r.latency_ms > IN_TIME_MS).mean() for r in (with_it, without))
    in_spells = trace(times(bursts(random.Random(seed), 10_000, rate)), seed)
    spells = world.run(in_spells)
    all_wait = world.run(in_spells, TuningConfig(world.limit, overload_after_seconds=None))
    spoilt = float((spells.latency_ms > IN_TIME_MS).mean() / (all_wait.latency_ms > IN_TIME_MS).mean())
    name, runs = world.name, sum(map(len, refused.values()))
    return [
        Figure(f"{name}, 0.8x recorded bursts: refused", float(np.mean(refused[True])), "%", 0.1),
        Figure(f"{name}, 0.8x recorded rushes: refused", float(np.mean(refused[False] or [0.0])), "%"),
        Figure(f"{name}, 0.8x recorded: refused though a queue would do", needless / runs / 100, "%", 0.1),
        Figure(f"{name}, 0.8x in spells of 4x: refused", 100 * float(spells.refused.mean()), "%"),
        Figure(f"{name}, the same: late or refused, over where all wait", spoilt, "x", 1.0),
        Figure(f"{name}, recorded, played faster: refused", 100 * float(with_it.refused.mean()), "%"),
        Figure(f"{name}, played faster: late or refused", 100 * float(late), "%"),
        Figure(f"{name}, played faster: over where all wait", float(late / late_without), "x", 1.0),
    ]


def most_in(begins: list[float], seconds: float) -> int:
    """Return how many begin within any stretch of so many seconds."""
    at = np.array(begins)
    return int((np.searchsorted(at, at + seconds) - np.arange(len(at))).max())


def priorities(world: VirtualWorld, seed: int) -> list[Figure]:
    """At 1.3 times the capacity, a third of it background: who is refused?"""
    asked = trace(poisson_times(1.3 * world.capacity, 30, seed), seed, background=0.35)
    refused = world.run(asked).refused
    low = np.array([arrival.background for arrival in asked.arrivals])
    return [
        Figure(f"{world.name}, 1.3x: refused of background", 100 * float(refused[low].mean()), "%"),
        Figure(f"{world.name}, 1.3x: refused of the others", 100 * float(refused[~low].mean()), "%", 1.0),
    ]


def deadlines(world: VirtualWorld, seed: int) -> list[Figure]:
    """At twice the capacity with a deadline of 0.3 s: are answers whole?"""
    asked = trace(poisson_times(2 * world.capacity, 30, seed), seed)
    config = TuningConfig(world.limit, deadline_seconds=0.3)
    rows = []
    for wanted, after, target in (("", config.overload_after_seconds, 5.0), (" where all wait", None, None)):
        run = world.run(asked, TuningConfig.from_dict({**config.to_dict(), "overload_after_seconds": after}))
        answered = ~run.refused & ~run.failed
        share = 100 * float(run.partial[answered].mean())
        rows.append(Figure(f"{world.name}, 2x, deadline: partial answers{wanted}", share, "%", target))
    return rows


def taken_back(seed: int) -> list[Figure]:
    """A step over the cliff for 10 s at 0.85 of capacity, taken back: how long does its backlog last?"""
    world = WORLDS[1]
    begins = poisson_times(0.85 * world.capacity, 25, seed)
    asked = trace(begins, seed)
    latencies: dict[str, Floats] = {}
    for name, steps in {"fixed": (), "step": ((1.0, 16), (6.0, world.limit))}.items():
        simulation = world.begun(asked, TuningConfig(world.limit))
        for at, limit in steps:
            simulation.run(at)
            simulation.apply(in_force(TuningConfig(limit)))
        latencies[name] = simulation.run().result().latency_ms
    after = np.array(begins) >= 7.0
    ratio = float(np.median(latencies["step"][after]) / np.median(latencies["fixed"][after]))
    return [Figure("a step from 8 to 16 taken back: median from 1 s after, over fixed 8", ratio, "x", 1.2)]


def real(asked_seconds: float) -> list[Figure]:
    """Real threads, sockets and a server with a knee."""
    with RealWorld() as world:
        capacity = world.measured_capacity(3.0)
        progress(f"real: {capacity:.0f} recalls/s at limit {world.limit}")
        calm = world.offer(CALM * capacity, max(6.0, asked_seconds / 4), seed=1)
        storm = world.offer(2 * capacity, asked_seconds, seed=2, then=(CALM * capacity, 6.0))
        during = [r for r in storm if r.began < asked_seconds]
        later = [r for r in storm if r.began >= asked_seconds]
        good = sum(r.latency_ms <= 1500 for r in during) / asked_seconds / capacity * 100
        refused = [r for r in during if math.isinf(r.latency_ms)]
        ratio = p99(np.array([r.latency_ms for r in during])) / p99(np.array([r.latency_ms for r in calm]))
        well = well_after([r.began for r in later], [r.latency_ms <= 1500 for r in later])
        told = [r.took_ms for r in refused]
        whole = asked_seconds >= 60  # the second in which it is found out is above 1 % of a shorter one
        rows = [
            Figure("real threads, 2x: within 1.5 s, of capacity", good, "%", 85, True),
            Figure("real threads, 2x: refused", 100 * len(refused) / len(during), "%"),
            Figure("real threads, 2x: p99 over the calm one", ratio, "x", 2.5 if whole else None),
            Figure("real threads, 2x: well again after", well, "s", 2.0),
            Figure("real threads, 2x: a refusal takes, median", float(np.median(told or [0.0])), "ms", 200),
            Figure(
                "real threads, 0.8x: refused",
                100 * sum(math.isinf(r.latency_ms) for r in calm) / len(calm),
                "%",
                0.1,
            ),
        ]
        waiting = world.offer(2 * capacity, asked_seconds / 2, seed=2, admission=False)
        good = sum(r.latency_ms <= 1500 for r in waiting) / (asked_seconds / 2) / capacity * 100
        return [*rows, Figure("real threads, 2x: within 1.5 s where all wait", good, "%")]


def main() -> int:
    """Run all parts and report."""
    asked = options(__doc__)
    seeds = (1,) if asked.quick else (1, 2, 3)
    parts: dict[str, list[Figure]] = {}
    for seed in seeds:
        for world in WORLDS:
            progress(f"{world.name}, seed {seed}: limit {world.limit}, {world.capacity:.0f} recalls/s")
            rows = overload(world, 60.0, seed) + with_bursts(world, 10 * seed, 1 if asked.quick else 4)
            rows += priorities(world, seed) + deadlines(world, seed)
            for row in rows:
                parts.setdefault(row.name, []).append(row)
        for row in taken_back(seed):
            parts.setdefault(row.name, []).append(row)
    figures = [_worst(rows) for rows in parts.values()]
    return report(figures + real(8.0 if asked.quick else 60.0), asked)


def _worst(rows: list[Figure]) -> Figure:
    """Return the row of the seed that did worst."""
    return (min if rows[0].at_least else max)(rows, key=lambda row: row.value)


if __name__ == "__main__":
    raise SystemExit(main())
