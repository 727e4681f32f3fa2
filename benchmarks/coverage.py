"""Does an interval hold what it says? Forecasts and trials against the truth of a world of its own.

Each trial draws a backend (none that minds, a pool, a lock convoy, heavy tails), a load and two limits. Some
1,500 recalls are recorded under the one limit, in half of the trials with a stretch under others before, as
after steps of the tuner; what-if forecasts the other limit; and the truth is 20,000 fresh recalls of the
same world under either (10,000 with ``--quick``). "Typical" is the geometric mean of latencies, capacity
what the backend gets done when recalls always wait. Then the change is tried and judged, and in an A/A
trial nothing is changed.

A gain has to be found where the other limit's number in flight was met before. Beyond, nothing that was seen
tells a backend with room from a full one, so no interval that holds what it says is without 0 there: such a
limit is to be tried, which the last rows are about.

Loads are below 0.9 of the capacity under both limits: beyond, p99 has no value that it settles at.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from statistics import fmean

from harness import Figure, options, progress, quantile, report
from world import EPOCH, Backend, Convoy, Free, Pool, Works, World, poisson

from athena_tuning.model import (
    Action,
    ConfigSet,
    Decision,
    TuningBounds,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.tuning.estimation.telemetry import Telemetry
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.canary import Canary, Rates, Trial, Verdict
from athena_tuning.tuning.policies.paired_comparison import PairedComparison
from athena_tuning.tuning.simulation.what_if import Estimate, what_if, with_config
from athena_tuning.tuning.slices import run_through

KINDS = ("no contention", "pool", "convoy", "heavy tail")
FIGURES = ("typical", "p99", "capacity")
RECORDED, TRUTH, QUICK_TRUTH, SATURATED = 1500, 20_000, 10_000, 4000
NOTHING, GAIN = 0.02, -math.log(0.85)
WIDEST = math.log(2)
"""Half of an interval's width (log ratio) up to which it counts as a forecast."""


@dataclass(frozen=True, slots=True)
class Case:
    """A world, a load, and the limits: those before, the one in force and the one that is asked about.

    ``capacities`` are recalls a second while recalls always wait, under the limit in force and the other.
    """

    kind: str
    number: int
    connections: int
    share: float
    handover: float
    sigma: float
    rate: float
    before: tuple[int, ...]
    limit: int
    other: int
    capacities: tuple[float, float] = (math.nan, math.nan)

    @property
    def backend(self) -> Callable[[], Backend]:
        """How the backend is made."""
        if self.kind == "convoy":
            return lambda: Convoy(self.share, self.handover)
        return (lambda: Pool(self.connections)) if self.connections else Free

    @property
    def works(self) -> Works:
        """Log-normal with a mean of 20 ms."""
        mu = math.log(0.02) - self.sigma**2 / 2
        return lambda rng: rng.lognormvariate(mu, self.sigma)

    def run(self, recalls: int, seed: int, limit: int) -> World:
        """Run fresh recalls at the case's load under one limit."""
        return World(self.backend, self.works).run(poisson(recalls, self.rate, seed), seed, limit)

    def capacity(self, limit: int) -> float:
        """Return recalls a second while recalls always wait."""
        ends = World(self.backend, self.works).run([0.0] * SATURATED, 7, limit).ends()
        first, last = SATURATED // 10, SATURATED * 9 // 10
        return (last - first) / (ends[last] - ends[first])

    def recorded(self) -> World:
        """Run what is recorded: first under the limits before, then under the one in force."""
        arrivals = poisson(RECORDED, self.rate, self.number)
        limits = (*self.before, self.limit)
        changes = [(arrivals[i * 250], limit) for i, limit in enumerate(limits) if i]
        return World(self.backend, self.works).run(arrivals, self.number, limits[0], changes)


@dataclass(frozen=True, slots=True)
class Result:
    """One trial: whether each interval held the truth, and what was said of the gain."""

    kind: str
    held: dict[str, bool]
    given: bool
    truth: float
    seen: bool
    surely_better: bool
    confirmed: bool
    same_better: bool
    same_rolled_back: bool


def drawn(kind: str, number: int) -> Case:
    """Return a case that settles under either limit."""
    rng = random.Random(f"{kind} {number}")
    while True:
        limit = rng.choice((3, 4, 5, 6, 8, 10, 13))
        most = max(limit + 1, int(1.5 * limit))
        other = rng.choice([n for n in range(max(2, limit // 2), most + 1) if n != limit])
        case = Case(
            kind,
            number,
            connections=rng.choice((4, 6, 8, 10, 12))
            if kind == "pool"
            else rng.choice((0, 10))
            if kind == "heavy tail"
            else 0,
            share=rng.uniform(0.05, 0.25),
            handover=rng.uniform(0.0, 0.15),
            sigma=1.8 if kind == "heavy tail" else rng.uniform(0.3, 0.8),
            rate=1.0,
            before=rng.choice(((), (), (5,), (4, 8), (6, 10))),
            limit=limit,
            other=other,
        )
        capacities = case.capacity(limit), case.capacity(other)
        if min(capacities) > 0:
            return replace(case, rate=min(capacities) * rng.uniform(0.3, 0.88), capacities=capacities)


def trial(job: tuple[str, int, int]) -> Result:
    """Forecast and try one case of a kind, by its number, against a truth of so many recalls."""
    kind, number, fresh = job
    case = drawn(kind, number)
    world = case.recorded()
    records = world.records()
    base = _configs(case.limit, len(case.before))
    forecast = run_through(
        what_if(records, base, {"other": _configs(case.other)}, strategy=TuningStrategy.LATENCY)
    )
    (other,) = forecast.outcomes
    truth = _truth(case, fresh)
    estimates = {"typical": other.typical_change, "p99": other.p99_change, "capacity": other.capacity_change}
    tried = _tried(case, case.other)
    same = _tried(case, case.limit)
    return Result(
        case.kind,
        {name: estimates[name].low - 1e-9 <= truth[name] <= estimates[name].high + 1e-9 for name in FIGURES},
        given=not other.beyond and _width(other.p99_change) <= WIDEST,
        truth=truth["p99"],
        seen=case.other <= max((case.limit, *case.before)),
        surely_better=other.surely_better,
        confirmed=tried is not None and tried[0] is Verdict.GOOD,
        same_better=same is not None and same[0] is Verdict.GOOD and same[1],
        same_rolled_back=same is not None and same[0] is Verdict.BAD,
    )


def _truth(case: Case, fresh: int) -> dict[str, float]:
    """Return log ratios of the other limit to the one in force, over the same fresh recalls."""
    seed = 1_000_000 + case.number
    was, then = (case.run(fresh, seed, limit).latencies() for limit in (case.limit, case.other))
    return {
        "typical": fmean(map(math.log, then)) - fmean(map(math.log, was)),
        "p99": math.log(quantile(then, 0.99) / quantile(was, 0.99)),
        "capacity": math.log(case.capacities[1] / case.capacities[0]),
    }


def _tried(case: Case, limit: int) -> tuple[Verdict, bool] | None:
    """Try a limit after a thousand recalls; return the verdict, and whether it was surely better."""
    arrivals = poisson(1000 + 1100, case.rate, 5_000_000 + case.number)
    changed = arrivals[1000]
    world = World(case.backend, case.works).run(arrivals, case.number, case.limit, [(changed, limit)])
    before, after = TuningConfig(case.limit), TuningConfig(limit, timeout_seconds=11.0)
    made = Decision("d", EPOCH, "model", "all", Action.CANARY, before, after, "", 0)
    judge, telemetry, canary = PairedComparison(), Telemetry(), Canary()
    ended = sorted(world.records(), key=lambda m: m.timestamp + (m.latency_ms or 0) / 1000)
    for i in range(0, len(ended), 25):
        telemetry = telemetry.after(ended[i : i + 25])
        now = ended[min(i + 24, len(ended) - 1)].timestamp
        evidence = Evidence(
            _configs(limit), TuningStrategy.LATENCY, TuningBounds(), 10, 100, now, telemetry=telemetry
        )
        if not canary.trials:
            if now < EPOCH + changed:
                continue
            rates = Rates.of(telemetry.recalls)
            canary = canary.begun(Trial(made, judge.name, EPOCH + changed, telemetry.position, rates))
        judgement, going = judge.judge(evidence, canary.trials[judge.name])
        canary = canary.begun(going)
        if judgement.verdict is not Verdict.OPEN:
            return judgement.verdict, judgement.high < 0
    return None


def _configs(limit: int, version: int = 0) -> ConfigSet:
    configs = with_config(
        ConfigSet(), "all", max_concurrent=limit, timeout_seconds=600.0, overload_after_seconds=None
    )
    return replace(configs, head=version, default=replace(configs.default, version=version))


def _width(estimate: Estimate) -> float:
    return (estimate.high - estimate.low) / 2


def figures(results: Sequence[Result]) -> list[Figure]:
    """Return what is promised beside what was seen."""
    flat = [r for r in results if abs(r.truth) < NOTHING]
    gains = [r for r in results if r.truth <= -GAIN]
    known = [r for r in gains if r.seen]
    rows = []
    for name in FIGURES:
        share = _share([r.held[name] for r in results])
        rows += [
            Figure(f"coverage, {name}", share, "%", 90, True),
            Figure(f"coverage, {name}, no more than", share, "%", 99),
        ]
    rows += [
        Figure(
            f"coverage, {name}, {kind}",
            _share([r.held[name] for r in results if r.kind == kind]),
            "%",
            90,
            True,
        )
        for kind in KINDS
        for name in FIGURES
    ]
    return [
        *rows,
        Figure(
            f"surely better where nothing changes ({len(flat)} trials)",
            _share([r.surely_better for r in flat]),
            "%",
            2.5,
        ),
        Figure("a forecast is given", _share([r.given for r in results]), "%", 80, True),
        Figure(
            f"a gain of 15 % is found surely better ({len(known)} trials)",
            _share([r.surely_better for r in known]),
            "%",
            80 if known else None,
            True,
        ),
        Figure(
            f"the same at limits that were not seen ({len(gains) - len(known)} trials)",
            _share([r.surely_better for r in gains if not r.seen]),
            "%",
        ),
        Figure("a gain of 15 % is confirmed once tried", _share([r.confirmed for r in gains]), "%", 80, True),
        Figure("the same config is confirmed as better", _share([r.same_better for r in results]), "%", 5),
        Figure("the same config is rolled back", _share([r.same_rolled_back for r in results]), "%", 2),
    ]


def _share(what: Sequence[bool]) -> float:
    return 100 * sum(what) / len(what) if what else math.nan


def main() -> int:
    """Run all trials and report."""
    asked = options(__doc__)
    trials, fresh = (40, QUICK_TRUTH) if asked.quick else (240, TRUTH)
    jobs = [(kind, i, fresh) for i in range(trials // len(KINDS)) for kind in KINDS]
    results = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for done, result in enumerate(pool.map(trial, jobs), 1):
            results.append(result)
            if done % 20 == 0:
                progress(f"{done}/{len(jobs)} trials")
    return report(figures(results), asked)


if __name__ == "__main__":
    raise SystemExit(main())
