"""Several managers before one backend: does one limit that they share by demand do as well as the best?

*Virtual.* Four managers of a discrete-event world that shares no code with the simulator (``world.py``) ask
one backend: thrashing, a knee, a pool, a lock convoy, none that minds. Load comes evenly, 70/10/10/10, or
with a share that wanders. The real profiler and tuner steer four times a second, from a limit of 5, on
recalls that reach the leader half a second late; the real sharing hands slots out, each worker looking every
40 ms. Against every fixed limit a manager, after warm-up (a third). All have the admission that real managers
have: a refused recall counts as infinitely late, and the share refused stands beside it. Where both p99 are
infinite, the shares refused are compared in their place.

*A limit each*, as existing stores have it: the leader must not make it worse than the default, because it
cannot tell whether the managers slow each other down.

*Real.* Four processes before a TCP server with a knee, through one SQLite store, with admission, between two
runs with the default limit of 5 each: how far those are apart is what a ratio to them may be chance by. With
``--quick`` p99 is the slowest of eighty recalls, which says whether it runs, and nothing of a bound.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from statistics import fmean

import knee_fleet
from harness import Figure, options, progress, quantile, report
from knee_server import Offered
from world import EPOCH, Backend, Convoy, Events, Free, Manager, Pool, Thrash

from athena_tuning.admission import QueueLaw
from athena_tuning.control.limit_share import LOOK_SECONDS, LimitShare
from athena_tuning.control.scope_watch import ceiling
from athena_tuning.model import (
    ConfigSet,
    ConfigVersion,
    Decision,
    LimitScope,
    Mode,
    QueryMetrics,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.store import MemoryStore
from athena_tuning.tuning import AutoTuner
from athena_tuning.tuning.estimation.interference import interference
from athena_tuning.tuning.simulation.what_if import with_config

MANAGERS = 4
DEFAULT = TuningConfig()
LIMITS: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 13, 20)
QUICK_LIMITS: tuple[int, ...] = (2, 3, 4, 5, 8, 13)
QUICK_CASES = (0, 4, 8)
REAL_RATE = 20.0
"""Recalls a second of all four: two fifths of what the server carries."""

EVERY = 0.25
LATE = 0.5
"""Seconds after which the leader has a recall."""

WORK_S, SIGMA = 0.02, 0.5
Weights = Callable[[float], tuple[float, ...]]


def even(_: float) -> tuple[float, ...]:
    """Return the same for each."""
    return (0.25,) * MANAGERS


def skewed(_: float) -> tuple[float, ...]:
    """Return seven tenths for one."""
    return (0.7, 0.1, 0.1, 0.1)


def wandering(seconds: float) -> tuple[float, ...]:
    """Return seven tenths that move from one manager to the next within ten seconds."""
    at = seconds / 10 % MANAGERS
    near = (max(0.0, 1 - min(abs(at - i), MANAGERS - abs(at - i))) for i in range(MANAGERS))
    return tuple(0.1 + 0.6 * n for n in near)


@dataclass(frozen=True, slots=True)
class Case:
    """A backend behind all managers, and who asks how much of it.

    Attributes:
        name: for the table.
        backend: makes it.
        rate: recalls a second of all managers together; each has two tasks.
        weights: each manager's part of them at a time.
    """

    name: str
    backend: Callable[[], Backend]
    rate: float
    weights: Weights

    def arrivals(self, seconds: float, seed: int) -> Iterator[tuple[float, int]]:
        """Yield when a recall comes, and to whom."""
        rng, now = random.Random(f"fleet {seed}"), 0.0
        while (now := now + rng.expovariate(self.rate)) < seconds:
            yield now, rng.choices(range(MANAGERS), self.weights(now))[0]


BACKENDS: dict[str, tuple[Callable[[], Backend], float]] = {
    "thrash beyond 8": (lambda: Thrash(8, 0.8), 130),
    "knee 10": (lambda: Thrash(10, 0.3), 165),
    "pool of 10": (lambda: Pool(10), 165),
    "lock convoy": (lambda: Convoy(0.2, 0.05), 90),
    "no contention": (Free, 200),
}
LOADS: dict[str, Weights] = {"even": even, "70/10/10/10": skewed, "wandering": wandering}
CASES = tuple(
    Case(f"{name}, {load}", backend, rate, weights)
    for name, (backend, rate) in BACKENDS.items()
    for load, weights in LOADS.items()
)


@dataclass(frozen=True, slots=True)
class Ran:
    """When recalls began (s), what they took (ms; refused: infinite), and the limit at the end."""

    begun: list[float]
    latency: list[float]
    limit: int

    def refused(self, after: float = 0.0) -> float:
        """Return the share refused of those that began after some seconds."""
        late = [math.isinf(ms) for at, ms in zip(self.begun, self.latency, strict=True) if at >= after]
        return fmean(late)

    def over(self, other: Ran, after: float = 0.0) -> float:
        """Return by how many times it is worse, by p99, or by the share refused where both are infinite."""
        mine, theirs = self.p99(after), other.p99(after)
        both = math.isinf(mine) and math.isinf(theirs)
        return self.refused(after) / other.refused(after) if both else mine / theirs

    def p99(self, after: float = 0.0) -> float:
        """Return the p99 of those that began after some seconds."""
        return quantile([ms for at, ms in zip(self.begun, self.latency, strict=True) if at >= after], 0.99)


class World:
    """Managers before one backend, under one fixed limit each, or steered.

    Args:
        case: which.
        seconds: for so long recalls come.
        seed: of arrivals and works.
        limit: of each manager.
        scope: steered, with a limit of this scope; None: it is fixed.
    """

    def __init__(
        self, case: Case, seconds: float, seed: int, limit: int = 5, scope: LimitScope | None = None
    ) -> None:
        self.events, self.seconds = Events(), seconds
        self._ended: list[tuple[float, QueryMetrics]] = []
        backend, mu = case.backend(), math.log(WORK_S) - SIGMA**2 / 2
        self.managers = [
            Manager(
                self.events,
                backend,
                lambda rng: rng.lognormvariate(mu, SIGMA),
                random.Random(f"{seed} {i}"),
                limit,
                lambda recall, i=i: self._over(i, recall),  # type: ignore[misc]
                QueueLaw(DEFAULT.overload_after_seconds, DEFAULT.overload_wait_seconds),
            )
            for i in range(MANAGERS)
        ]
        for at, manager in case.arrivals(seconds, seed):
            self.events.at(at, self.managers[manager].ask)
        self._steer = None if scope is None else Steering(self, limit, scope)

    def run(self) -> Ran:
        """Let all recalls come to their end."""
        self.events.run()
        each = [
            (tasks[0].asked, manager.latency(recall))
            for manager in self.managers
            for recall, tasks in enumerate(manager.tasks)
        ]
        begun, latency = zip(*sorted(each), strict=True)
        return Ran(list(begun), list(latency), self._steer.limit if self._steer else self.managers[0].limit)

    def ended(self, by: float) -> list[QueryMetrics]:
        """Take the records of recalls that ended until then."""
        taken = [record for at, record in self._ended if at <= by]
        self._ended = self._ended[len(taken) :]
        return taken

    def _over(self, manager: int, recall: int) -> None:
        if self._steer is not None:
            record = self.managers[manager].record(recall)
            self._ended.append((self.events.now, record._replace(query_id=f"m{manager}-{recall}")))


class Steering:
    """The leader's tuner, and each worker's share, as they are in a worker's background threads."""

    def __init__(self, world: World, limit: int, scope: LimitScope) -> None:
        self._world, events = world, world.events
        self._profiler = PerformanceProfiler(clock=lambda: EPOCH + events.now)
        latency = TuningStrategy.LATENCY
        self._tuner = AutoTuner(self._profiler, latency, clock=lambda: EPOCH + events.now)
        start = with_config(
            ConfigSet(),
            "all",
            max_concurrent=limit,
            strategy=latency,
            limit_scope=scope,
        )
        self._configs = replace(start, default=replace(start.default, mode=Mode.AUTO))
        self._tuner.in_force(self._configs)
        self._looked = -math.inf
        self._shares: list[tuple[LimitShare, Manager]] = []
        store = MemoryStore(clock=lambda: EPOCH + events.now, monotonic=lambda: events.now)
        for i, manager in enumerate(world.managers):
            share = self._share(store, i, manager)
            events.at(LOOK_SECONDS * i / MANAGERS, lambda share=share: self._look(share))  # type: ignore[misc]
        events.at(EVERY, self._step)

    @property
    def limit(self) -> int:
        """The limit in force."""
        return self._configs.default.config.max_concurrent

    def _share(self, store: MemoryStore, i: int, manager: Manager) -> LimitShare:
        def take() -> None:
            self._obey(share, manager)

        share = LimitShare(
            store,
            f"m{i}",
            lambda: self._configs.default.config,
            lambda: (manager.in_flight, manager.waiting),
            take,
            lambda: self._world.events.now,
        )
        self._shares.append((share, manager))
        return share

    def _obey(self, share: LimitShare, manager: Manager) -> None:
        config = self._configs.default.config
        manager.apply(share.slots(config), parallel=config.enable_parallel)

    def _look(self, share: LimitShare) -> None:
        share.look()
        events = self._world.events
        if events.now < self._world.seconds:
            events.at(events.now + LOOK_SECONDS, lambda: self._look(share))

    def _step(self) -> None:
        events = self._world.events
        for record in self._world.ended(events.now - LATE):
            self._profiler.record_query(record)
        self._profiler.fold()
        if events.now - self._looked >= 5:
            self._looked = events.now
            found = interference(self._tuner.recalls)
            self._tuner.hold_back(*ceiling(found, self._configs.default.config, MANAGERS))
        for made in self._tuner.step(self._configs, EPOCH + events.now):
            if made.after != made.before:
                self._apply(made)
        if events.now < self._world.seconds:
            events.at(events.now + EVERY, self._step)

    def _apply(self, made: Decision) -> None:
        at, now = self._configs.in_scope(made.scope), EPOCH + self._world.events.now
        version = ConfigVersion(
            self._configs.head + 1, at.version if at else 0, made.scope, made.after, Mode.AUTO,
            "tuner", made.summary, now,
        )  # fmt: skip
        self._configs = self._configs.with_version(version)
        self._tuner.in_force(self._configs)
        self._tuner.applied(made, version)
        for share, manager in self._shares:
            if made.after.max_concurrent < made.before.max_concurrent:
                manager.shed()
            self._obey(share, manager)


def virtual(job: tuple[int, int, float, tuple[int, ...]]) -> list[Figure]:
    """p99 with one limit over the best fixed one a manager, and with a limit each over the default."""
    number, seed, seconds, limits = job
    case, warm = CASES[number], seconds / 3
    fixed = {limit: World(case, seconds, seed, limit).run() for limit in limits}
    best = min(fixed, key=lambda limit: fixed[limit].p99(warm))
    shared = World(case, seconds, seed, scope=LimitScope.FLEET).run()
    each = World(case, seconds, seed, scope=LimitScope.MANAGER).run()
    progress(
        f"{case.name}, seed {seed}: best {best} each {fixed[best].p99(warm):.0f} ms, default "
        f"{fixed[5].p99(warm):.0f}, shared {shared.limit}: {shared.p99(warm):.0f} (whole run "
        f"{shared.p99():.0f}, {shared.refused():.1%} refused), each {each.limit}: {each.p99(warm):.0f}"
    )
    refused = 100 * shared.refused(warm)
    best_refused = 100 * fixed[best].refused(warm)
    return [
        Figure(f"{case.name}: one limit, p99 over the best", shared.over(fixed[best], warm), "x", 1.5),
        Figure(f"{case.name}: one limit, refused", refused, "%"),
        Figure(f"{case.name}: the best of each, refused", best_refused, "%"),
        Figure(f"{case.name}: whole run", shared.p99() / min(ran.p99() for ran in fixed.values()), "x"),
        Figure(f"{case.name}: a limit each, over the default", each.over(fixed[5], warm), "x", 1.1),
        Figure(f"{case.name}: a limit each, refused", 100 * each.refused(warm), "%"),
    ]


def real(seconds: float, loads: dict[str, tuple[float, ...]], bound: float | None) -> list[Figure]:
    """Four processes, steered with either scope, between two runs with the default limit of each."""
    figures = []
    for name, weights in loads.items():
        due = knee_fleet.arrivals(REAL_RATE, seconds, weights, seed=1)
        default, _ = knee_fleet.run(TuningConfig(), Mode.PINNED, due)
        steered = {s: knee_fleet.run(TuningConfig(limit_scope=s), Mode.AUTO, due) for s in LimitScope}
        again, _ = knee_fleet.run(TuningConfig(), Mode.PINNED, due)
        yardstick = _p99([*default, *again], seconds / 3)
        apart = max(_p99(ran, seconds / 3) for ran in (default, again)) / yardstick
        figures += [
            Figure(f"real, {name}, the default each, twice: p99", yardstick, "ms"),
            Figure(f"real, {name}, the default each: the slower one over both", apart, "x"),
            Figure(f"real, {name}, the default each: refused", _refused([*default, *again]), "%"),
        ]
        for scope, (came, limit) in steered.items():
            words = f"real, {name}, {'one limit' if scope is LimitScope.FLEET else 'a limit each'}"
            ratio = _p99(came, seconds / 3) / yardstick
            figures += [
                Figure(f"{words}: p99 over the default", ratio, "x", bound),
                Figure(f"{words}: refused", _refused(came), "%"),
            ]
            progress(f"{words}: limit {limit} at the end")
    return figures


def _p99(came: list[Offered], after: float) -> float:
    return quantile([recall.latency_ms for recall in came if recall.began >= after], 0.99)


def _refused(came: list[Offered]) -> float:
    return 100 * sum(math.isinf(recall.latency_ms) for recall in came) / len(came)


def main() -> int:
    """Run all parts and report."""
    asked = options(__doc__)
    if asked.quick:
        figures = real(6.0, {"even": even(0)}, None)
        jobs = [(number, 1, 36.0, QUICK_LIMITS) for number in QUICK_CASES]
    else:
        figures = real(40.0, {"even": even(0), "70/10/10/10": skewed(0)}, 1.1)
        jobs = [(number, seed, 60.0, LIMITS) for number in range(len(CASES)) for seed in (1, 2, 3)]
    parts: dict[str, list[Figure]] = {}
    with ProcessPoolExecutor() as pool:
        for rows in pool.map(virtual, jobs):
            for row in rows:
                parts.setdefault(row.name, []).append(row)
    worst = [max(rows, key=lambda row: row.value) for rows in parts.values()]
    ratios = [row.value for name, rows in parts.items() if "one limit, p99" in name for row in rows]
    mean = math.exp(fmean(map(math.log, ratios)))
    return report([*worst, Figure("virtual: one limit, geometric mean", mean, "x", 1.15), *figures], asked)


if __name__ == "__main__":
    raise SystemExit(main())
