"""Does tuning help where nobody tuned it? Worlds whose laws share no code with the simulator.

Backends are places where tasks stand in line or get into each other's way (``world.py``). The real profiler
and tuner steer them four times a second, against every fixed limit of a sweep. They are not looked at while
constants are chosen.

*Objectives*: LATENCY p99; THROUGHPUT recalls a second while 16 callers wait for their answers; COST slot time
a recall, plus what p99 exceeds 1.25 times the default's by, in log ratio; BALANCED 0.7, 0.2 and 0.1 of these.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from statistics import fmean, median

from harness import Figure, options, progress, quantile, report
from world import EPOCH, Backend, Convoy, Events, Free, Manager, Neighbour, Pool, Thrash, poisson

from athena_tuning.model import (
    ConfigSet,
    ConfigVersion,
    Decision,
    Mode,
    TuningBounds,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.tuning import AutoTuner
from athena_tuning.tuning.simulation.what_if import with_config

LATENCY, THROUGHPUT = TuningStrategy.LATENCY, TuningStrategy.THROUGHPUT
COST, BALANCED = TuningStrategy.COST, TuningStrategy.BALANCED
STRATEGIES = tuple(TuningStrategy)
LIMITS = (2, 3, 4, 5, 6, 8, 10, 13, 16, 20)
FAR_LIMITS = (*LIMITS, 25, 32, 40, 50, 64, 80, 100, 128)
EVERY = 0.25
Matrix = dict[TuningStrategy, dict[TuningStrategy, float]]
"""By strategy that a run ended under, its objectives by strategy."""


@dataclass(frozen=True, slots=True)
class Place:
    """A world.

    Attributes:
        name: what it is called.
        backend: makes it.
        rate: recalls a second.
        mean_s: mean own work of a task.
        sigma: of the log-normal works.
        clients: callers that wait for their answers; None: they come at the rate.
        most: upper bound of the limit.
    """

    name: str
    backend: Callable[[], Backend]
    rate: float
    mean_s: float = 0.02
    sigma: float = 0.5
    clients: int | None = None
    most: int = 20


PLACES = (
    Place("no contention", Free, 110),
    Place("pool of 6", lambda: Pool(6), 125),
    Place("lock convoy", lambda: Convoy(0.2, 0.05), 90),
    Place("thrashes beyond 8", lambda: Thrash(8, 0.8), 130),
    Place("heavy tail", lambda: Pool(16), 100, sigma=1.5),
    Place("noisy neighbour", lambda: Neighbour(Pool(10), 2.0, 12.0, 31.0), 85),
)
TRADING = (
    Place("lock that is held for a third", lambda: Convoy(0.33, 0.01), 55),
    Place("two cores", lambda: Thrash(2, 0.0), 35),
    Place("thrashes beyond 8", lambda: Thrash(8, 0.8), 100),
)
"""Worlds in which strategies have something to trade: of these the matrix is."""

CALLERS = Place("16 callers, thrashes", lambda: Thrash(5, 0.9), 0, mean_s=0.2, clients=16)
FAR = Place("remote, 900/s", Free, 900, mean_s=0.025, most=256)


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a run: latencies in ms, ends and changes in seconds, the config at the end."""

    begun: tuple[float, ...]
    latency: tuple[float, ...]
    slot_ms: float
    changes: tuple[float, ...]
    last: TuningConfig

    def done(self, begin: float, end: float) -> float:
        """Return recalls a second that ended within some seconds."""
        ends = (b + ms / 1000 for b, ms in zip(self.begun, self.latency, strict=True))
        return sum(begin <= at < end for at in ends) / (end - begin)


def run(
    place: Place,
    seconds: float,
    seed: int,
    limit: int = 5,
    strategy: TuningStrategy | None = None,
    *,
    parallel: bool = True,
) -> Ran:
    """Run a world under a fixed limit, or as a tuner with a strategy steers it from there."""
    events, ended = Events(), list[int]()

    def over(recall: int) -> None:
        ended.append(recall)
        if place.clients and events.now < seconds:
            manager.ask()

    mu = math.log(place.mean_s) - place.sigma**2 / 2
    rng = random.Random(seed)
    manager = Manager(events, place.backend(), lambda r: r.lognormvariate(mu, place.sigma), rng, limit, over)
    manager.parallel = parallel
    for i in range(place.clients or 0):
        events.at(i / 1000, manager.ask)
    if not place.clients:
        for at in poisson(int(place.rate * seconds), place.rate, seed):
            events.at(at, manager.ask)
    steered = Steered(place, events, manager, ended, seconds, limit, strategy) if strategy else None
    events.run()
    slots = [1000 * sum(t.ended - t.started for t in tasks) for tasks in manager.tasks]
    return Ran(
        tuple(tasks[0].asked for tasks in manager.tasks),
        tuple(manager.latency(recall) for recall in range(len(manager.tasks))),
        fmean(slots),
        tuple(steered.changes) if steered else (),
        steered.configs.default.config if steered else TuningConfig(limit),
    )


class Steered:
    """A tuner that looks at a manager four times a second."""

    def __init__(
        self,
        place: Place,
        events: Events,
        manager: Manager,
        ended: list[int],
        seconds: float,
        limit: int,
        strategy: TuningStrategy,
    ) -> None:
        self._events, self._manager, self._ended, self._seconds = events, manager, ended, seconds
        self._read = 0
        self.changes: list[float] = []
        self.decisions: list[Decision] = []
        profiler = PerformanceProfiler(clock=lambda: EPOCH + events.now)
        bounds = TuningBounds(max_concurrent=place.most)
        self._profiler = profiler
        self._tuner = AutoTuner(profiler, strategy, bounds=bounds, clock=lambda: EPOCH + events.now)
        start = with_config(
            ConfigSet(), "all", max_concurrent=limit, strategy=strategy, overload_after_seconds=None
        )
        self.configs = replace(start, default=replace(start.default, mode=Mode.AUTO))
        self._tuner.in_force(self.configs)
        events.at(EVERY, self._look)

    def _look(self) -> None:
        now = EPOCH + self._events.now
        for recall in self._ended[self._read :]:
            self._profiler.record_query(self._manager.record(recall))
        self._read = len(self._ended)
        self._profiler.fold()
        for made in self._tuner.step(self.configs, now):
            self.decisions.append(made)
            if made.after != made.before:
                at = self.configs.in_scope(made.scope)
                version = ConfigVersion(
                    self.configs.head + 1, at.version if at else 0, made.scope, made.after, Mode.AUTO,
                    "tuner", made.summary, now,
                )  # fmt: skip
                self.configs = self.configs.with_version(version)
                self._tuner.in_force(self.configs)
                self._tuner.applied(made, version)
                config = self.configs.default.config
                if (config.max_concurrent, config.enable_parallel) != (
                    self._manager.limit, self._manager.parallel
                ):  # fmt: skip
                    self.changes.append(self._events.now)
                    self._manager.apply(config.max_concurrent, parallel=config.enable_parallel)
        if self._events.now < self._seconds:
            self._events.at(self._events.now + EVERY, self._look)


def p99(ran: Ran, after: float = 0.0) -> float:
    """Return the p99 of recalls that began after some seconds."""
    return quantile([ms for at, ms in zip(ran.begun, ran.latency, strict=True) if at >= after], 0.99)


def most_within(ran: Ran, recalls: int = 1000) -> int:
    """Return the most changes within any so many recalls in a row."""
    begun = ran.begun
    return max(
        sum(begun[i] <= at < begun[min(i + recalls, len(begun) - 1)] for at in ran.changes)
        for i in range(0, max(len(begun) - recalls, 1), 50)
    )


def worlds(job: tuple[Place, int, float]) -> list[Figure]:
    """p99 over the best fixed limit, whole and after warm-up, and how often it changed."""
    place, seed, seconds = job
    fixed = [run(place, seconds, seed, limit) for limit in LIMITS]
    tuned = run(place, seconds, seed, strategy=LATENCY)
    warm = seconds / 3
    whole = p99(tuned) / min(map(p99, fixed))
    after = p99(tuned, warm) / min(p99(f, warm) for f in fixed)
    return [
        Figure(f"{place.name}: p99 over the best fixed, whole run", whole, "x", 3.0),
        Figure(f"{place.name}: after warm-up", after, "x", 1.5),
        Figure(f"{place.name}: changes in any 1,000 recalls", most_within(tuned), "", 4),
    ]


def callers(job: tuple[int, float]) -> float:
    """Return the worst 15 s after the first 10 s, over what the default gets done."""
    seed, seconds = job
    tuned, default = run(CALLERS, seconds, seed, strategy=THROUGHPUT), run(CALLERS, seconds, seed)
    worst = min(tuned.done(t, t + 15) for t in range(10, int(seconds) - 15, 5))
    return worst / default.done(10, seconds)


def far(job: tuple[int, float]) -> list[Figure]:
    """At 900/s on a remote layer with bounds up to 256: p99 over the best of a sweep to 128."""
    seed, seconds = job
    warm = seconds / 2
    best = min(p99(run(FAR, seconds, seed, limit), warm) for limit in FAR_LIMITS[10:])
    tuned = run(FAR, seconds, seed, strategy=LATENCY)
    return [Figure("remote, 900/s: p99 over the best of a sweep to 128", p99(tuned, warm) / best, "x", 1.5)]


@cache
def _reference(place: Place, seconds: float, seed: int) -> tuple[float, float, float]:
    return _achieved(place, seconds, seed, TuningConfig())


def _achieved(place: Place, seconds: float, seed: int, config: TuningConfig) -> tuple[float, float, float]:
    """Return p99, recalls a second of 16 callers, and slot time, all under the config at the end."""
    open_, closed = (
        run(
            replace(place, clients=clients),
            seconds,
            seed,
            config.max_concurrent,
            parallel=config.enable_parallel,
        )
        for clients in (None, 16)
    )
    return p99(open_), closed.done(2, seconds), open_.slot_ms


def matrix(job: tuple[Place, int, float]) -> Matrix:
    """Return each strategy's objective (log ratio to the default) at the point where each strategy ends."""
    place, seed, seconds = job
    objectives: Matrix = {}
    reference = _reference(place, seconds / 4, seed)
    for strategy in STRATEGIES:
        where = replace(place, clients=16) if strategy is THROUGHPUT else place
        last = run(where, seconds, seed, strategy=strategy).last
        achieved = _achieved(place, seconds / 4, seed, last)
        latency, rate, slots = (math.log(a / b) for a, b in zip(achieved, reference, strict=True))
        objectives[strategy] = {
            LATENCY: latency,
            THROUGHPUT: -rate + max(0.0, latency - math.log(1.5)),
            COST: slots + max(0.0, latency - math.log(1.25)),
            BALANCED: 0.7 * latency - 0.2 * rate + 0.1 * slots,
        }
        progress(f"{place.name}, {strategy}: ends at {last.max_concurrent}")
    return objectives


def matrix_figures(found: dict[str, Matrix]) -> list[Figure]:
    """How far each strategy's end is behind the best by its own objective, and the others' by it."""
    rows = []
    for wanted in STRATEGIES:
        behind = {
            name: {
                ended: 100 * math.expm1(ends[ended][wanted] - min(ends[e][wanted] for e in STRATEGIES))
                for ended in STRATEGIES
            }
            for name, ends in found.items()
        }
        rows += [
            Figure(f"{name}: {wanted} behind the best by its own", ends[wanted], "%", 1.0)
            for name, ends in behind.items()
        ]
        rows += [
            Figure(
                f"{ended} by what {wanted} wants, most in any world",
                max(ends[ended] for ends in behind.values()),
                "%",
                5.0,
                True,
            )
            for ended in STRATEGIES
            if ended is not wanted
        ]
    return rows


def main() -> int:
    """Run all parts and report."""
    asked = options(__doc__)
    seconds, seeds = (60.0, (1,)) if asked.quick else (180.0, (1, 2, 3))
    figures: list[Figure] = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        jobs = [(i, seed, seconds) for seed in seeds for i in range(len(PLACES))]
        by_name: dict[str, list[Figure]] = {}
        for rows in pool.map(_world, jobs):
            progress(rows[0].name)
            for row in rows:
                by_name.setdefault(row.name, []).append(row)
        figures += [max(rows, key=lambda row: row.value) for rows in by_name.values()]
        ratios = list(pool.map(callers, [(seed, 60.0) for seed in range(1, 4 if asked.quick else 6)]))
        name = "16 callers: worst 15 s after 10 s, over the default, median"
        figures.append(Figure(name, median(ratios), "x", 0.9, True))
        figures += far((1, 12.0 if asked.quick else 40.0))
        ends = pool.map(_matrix, [(i, 1, seconds) for i in range(len(TRADING))])
        figures += matrix_figures({place.name: each for place, each in zip(TRADING, ends, strict=True)})
    return report(figures, asked)


def _world(job: tuple[int, int, float]) -> list[Figure]:
    return worlds((PLACES[job[0]], *job[1:]))


def _matrix(job: tuple[int, int, float]) -> Matrix:
    return matrix((TRADING[job[0]], *job[1:]))


if __name__ == "__main__":
    raise SystemExit(main())
