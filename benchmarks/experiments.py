"""Does an experiment of five minutes tell two configs apart, and only where they differ?

Recalls in virtual time, about thirty a second, under configs that take turns in blocks as managers take them:
queues and tasks under way go over from one block into the next. Each experiment is looked at after every pair
and ends when it is clear. The truth of two configs is what each of them gives alone on the same recalls.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness import Figure, options, progress, report
from scenarios import REMOTE_MS, Scenario, bursts, ten_slots

from athena_tuning.model import ConfigSet, Experiment, ExperimentVerdict, QueryMetrics, TuningConfig
from athena_tuning.tuning.experiments import assessment
from athena_tuning.tuning.experiments.block_pairs import BlockPairs
from athena_tuning.tuning.simulation.simulator import Simulation
from athena_tuning.tuning.trace import Trace

BASE, TRIED = 1, 2
PER_SECOND = 30.0
SAME, DIFFERENT, QUICK = 60, 20, 2
"""Experiments a case."""


@dataclass(frozen=True, slots=True)
class Case:
    """Two configs in a world; ``alike`` if they are the same in all that matters there."""

    name: str
    scenario: Scenario
    in_force: TuningConfig
    tried: TuningConfig
    alike: bool = False


def cases() -> list[Case]:
    """Return the worlds and what is tried in them."""
    calm = Scenario("remote, steady", REMOTE_MS, 1.2)
    bursty = replace(calm, name="remote, bursts", arrivals=bursts)
    slots = dict.fromkeys(REMOTE_MS, ten_slots)
    full = Scenario("ten slots, bursts", REMOTE_MS, 1.2, slow=slots, arrivals=bursts)
    at = TuningConfig(max_concurrent=6)
    same, serial = replace(at, rank_constant=61), replace(at, enable_parallel=False)
    fewer = replace(at, max_concurrent=2)
    return [
        *(Case(f"the same twice, {s.name}", s, at, same, alike=True) for s in (calm, bursty, full)),
        Case(f"one layer after another, {calm.name}", calm, at, serial),
        Case(f"layers at the same time, {bursty.name}", bursty, serial, at),
        Case(f"6 → 2 at once, {full.name}", full, at, fewer),
    ]


def configs(version: int, config: TuningConfig) -> ConfigSet:
    """Return a config as the one in force, by which recalls say what they ran under."""
    return ConfigSet(version, replace(ConfigSet().default, version=version, config=config))


def verdict_on(case: Case, seed: int) -> tuple[ExperimentVerdict, int]:
    """Run an experiment; return its verdict, and after how many pairs it came."""
    plan = Experiment("all", BASE, 0.0, seed=seed)
    sides = {True: configs(TRIED, case.tried), False: configs(BASE, case.in_force)}
    simulation = Simulation(trace_of(case, plan, seed), sides[False], case.scenario.slow)
    pairs, taken = BlockPairs(plan, TRIED), 0
    for block in range(2 * plan.pairs):
        simulation.apply(sides[plan.tries(block)])
        simulation.run(plan.starts_at(block + 1))
        pairs.count(records(simulation, taken))
        taken = len(simulation.finished)
        if block % 2:
            said = assessment.verdict(assessment.measures(pairs.pairs(plan.starts_at(block + 1))))
            if said is not ExperimentVerdict.OPEN:
                return said, block // 2 + 1
    return ExperimentVerdict.OPEN, plan.pairs


def trace_of(case: Case, plan: Experiment, seed: int) -> Trace:
    """Return recalls for a whole experiment."""
    return case.scenario.trace(int(1.5 * PER_SECOND * plan.seconds), seed)


def records(simulation: Simulation, first: int) -> Iterator[QueryMetrics]:
    """Yield what recalls recorded that have ended since."""
    for recall in simulation.finished[first:]:
        yield simulation.record(recall, 0.0)


def truth(case: Case) -> float:
    """Return the change of typical latency from one config to the other, each alone, as a log ratio."""
    plan = Experiment("all", BASE, 0.0)
    means = []
    for config in (case.in_force, case.tried):
        simulation = Simulation(trace_of(case, plan, 0), configs(BASE, config), case.scenario.slow)
        simulation.run(plan.seconds)
        known = [m.latency_ms for m in records(simulation, 0) if m.latency_ms and not m.refused]
        means.append(sum(map(math.log, known)) / len(known))
    return means[1] - means[0]


def figures(quick: bool) -> Iterator[Figure]:
    """Yield what is measured of each case."""
    for case in cases():
        progress(case.name)
        times = QUICK if quick else SAME if case.alike else DIFFERENT
        said = [verdict_on(case, seed) for seed in range(1, times + 1)]
        found = [verdict.value for verdict, _ in said if verdict is not ExperimentVerdict.OPEN]
        if case.alike:
            yield Figure(f"{case.name}: called different", 100 * len(found) / times, "%", 5.0)
            continue
        change = truth(case)
        better, worse = ExperimentVerdict.BETTER.value, ExperimentVerdict.WORSE.value
        right, wrong = (worse, better) if change > 0 else (better, worse)
        yield Figure(f"{case.name}: the truth, typical latency", 100 * math.expm1(change), "%")
        yield Figure(f"{case.name}: found", 100 * found.count(right) / times, "%", 80.0, at_least=True)
        yield Figure(f"{case.name}: called the other way round", 100 * found.count(wrong) / times, "%", 0.0)
        lasted = sorted(pairs for _, pairs in said)[times // 2] * 20.0
        yield Figure(f"{case.name}: lasted, median", lasted, "s")


if __name__ == "__main__":
    asked = options(__doc__)
    raise SystemExit(report(list(figures(asked.quick)), asked))
