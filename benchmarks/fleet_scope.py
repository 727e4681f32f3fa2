"""Is what the leader says of managers, whether they slow each other down, true, and how soon is it said?

Four managers of ``world.py``, at a limit of 5 each: with one backend behind all of them, and with one behind
each, in which case the proposal of one limit for all would be false. The leader looks every five seconds, at
the newest recalls that it keeps. Each of the backends with every load of ``fleet.py``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from statistics import median

from fleet import LOADS, MANAGERS, SIGMA, WORK_S, Case
from harness import Figure, options, progress, report
from world import Backend, Convoy, Events, Free, Manager, Pool, Thrash

from athena_tuning.tuning.estimation.interference import Relation, interference
from athena_tuning.tuning.estimation.measured_recall import MeasuredRecall, measured
from athena_tuning.tuning.settings import TELEMETRY

LIMIT = 5
LOOK_SECONDS = 5
SHARED = {
    "thrash beyond 8": (lambda: Thrash(8, 0.8), 100),
    "knee 10": (lambda: Thrash(10, 0.3), 165),
    "pool of 10": (lambda: Pool(10), 165),
    "lock convoy": (lambda: Convoy(0.2, 0.05), 80),
}
APART = {
    "thrashes beyond 3": (lambda: Thrash(3, 0.8), 80),
    "pool of 3": (lambda: Pool(3), 100),
    "lock convoy": (lambda: Convoy(0.2, 0.05), 100),
    "no contention": (Free, 120),
}
Job = tuple[bool, str, str, int, float]


def relations(job: Job) -> list[Relation]:
    """Return what is known at each look."""
    shared, name, load, seed, seconds = job
    make, rate = (SHARED if shared else APART)[name]
    case = Case(name, make, rate, LOADS[load])
    ended = sorted(_recalls(case, shared, seconds, seed), key=lambda recall: recall.ended)
    begin = min(recall.began for recall in ended)
    found = []
    for at in range(LOOK_SECONDS, int(seconds) + 1, LOOK_SECONDS):
        known = [recall for recall in ended if recall.ended <= begin + at][-TELEMETRY.recalls :]
        found.append(interference(known).relation)
    return found


def _recalls(case: Case, shared: bool, seconds: float, seed: int) -> Iterator[MeasuredRecall]:
    events, mu = Events(), math.log(WORK_S) - SIGMA**2 / 2
    one: Backend = case.backend()
    managers = [
        Manager(
            events,
            one if shared else case.backend(),
            lambda rng: rng.lognormvariate(mu, SIGMA),
            random.Random(f"{seed} {i}"),
            LIMIT,
        )
        for i in range(MANAGERS)
    ]
    for at, number in case.arrivals(seconds, seed):
        events.at(at, managers[number].ask)
    events.run()
    for manager in managers:
        for asked in range(len(manager.tasks)):
            recall = measured(manager.record(asked))
            if recall is not None:
                yield recall


def figures(jobs: list[Job], found: list[list[Relation]]) -> list[Figure]:
    """Return how often it was false, and after how many seconds it was right."""
    rows = []
    for shared, places in ((False, APART), (True, SHARED)):
        for name in places:
            looks = [each for job, each in zip(jobs, found, strict=True) if job[:2] == (shared, name)]
            where = f"{name}, {'one backend' if shared else 'one each'}"
            if not shared:
                false = sum(Relation.SHARED in each for each in looks)
                known = sum(Relation.APART in each for each in looks)
                rows += [
                    Figure(f"{where}: false proposals, of {len(looks)} runs", false, "", 0.05 * len(looks)),
                    Figure(f"{where}: known not to mind each other", 100 * known / len(looks), "%"),
                ]
                continue
            soon = [_seconds(each, Relation.SHARED) for each in looks]
            wrong = sum(Relation.APART in each for each in looks)
            rows += [
                Figure(f"{where}: proposed after, median", median(soon), "s"),
                Figure(f"{where}: not proposed", 100 * sum(map(math.isinf, soon)) / len(looks), "%"),
                Figure(f"{where}: said not to mind, of {len(looks)} runs", wrong, "", 0.05 * len(looks)),
            ]
    return rows


def _seconds(looks: list[Relation], wanted: Relation) -> float:
    return (looks.index(wanted) + 1) * LOOK_SECONDS if wanted in looks else math.inf


def main() -> int:
    """Run all and report."""
    asked = options(__doc__)
    seeds, seconds, loads = (3, 30.0, ["even"]) if asked.quick else (20, 40.0, list(LOADS))
    jobs: list[Job] = [
        (shared, name, load, seed, seconds)
        for shared, places in ((False, APART), (True, SHARED))
        for name in places
        for load in loads
        for seed in range(seeds)
    ]
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(relations, jobs))
    progress(f"{len(jobs)} runs")
    return report(figures(jobs, found), asked)


if __name__ == "__main__":
    raise SystemExit(main())
