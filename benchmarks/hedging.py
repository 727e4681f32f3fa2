"""What second calls of slow layers bring, and what they cost where they bring nothing.

*Virtual*: worlds whose backends share no code with the tuner's simulator (``world.py``), the same arrivals
and works with and without second calls; medians over seeds. Layers are functions: a slower call cannot be
cancelled and keeps its slot. *Real*: the executor, coroutines on an event loop that sleep for as long.
*Forecast*: what-if on the recalls of the calm worlds without second calls, against what then came.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness import Figure, median, options, progress, quantile, report
from world import LAYERS, Backend, Convoy, Events, Free, Manager, Pool, Task, Thrash, Works, poisson

from athena_tuning.hedging import HedgingBudget, HedgingDelays, has_room
from athena_tuning.model import ConfigSet, QueryMetrics
from athena_tuning.recall.execution.executor import ParallelLayerExecutor
from athena_tuning.recall.execution.task import QueryTask
from athena_tuning.tuning.simulation.what_if import what_if, with_config
from athena_tuning.tuning.slices import run_through

QUANTILE = 0.95


def blips(rng: random.Random) -> float:
    """Draw 20 ms; one call in a hundred takes twenty times as long."""
    return 0.02 * rng.lognormvariate(-0.045, 0.3) * (20 if rng.random() < 0.01 else 1)


def heavy(rng: random.Random) -> float:
    """Draw 20 ms in the mean, σ = 1.5."""
    return 0.02 * rng.lognormvariate(-1.125, 1.5)


def usual(rng: random.Random) -> float:
    """Draw 20 ms in the mean, σ = 0.5."""
    return 0.02 * rng.lognormvariate(-0.125, 0.5)


def shards(rng: random.Random) -> float:
    """Draw 20 ms; the call goes to one of eight shards, of which one takes five times as long."""
    return usual(rng) * (5 if rng.random() < 1 / 8 else 1)


@dataclass(frozen=True, slots=True)
class Place:
    """A world: a backend, its works, how busy ten slots are, and the least gain that is wanted of p99.

    Of ``same_again`` a second call takes as long as the first: the question is slow, not the call.
    """

    name: str
    works: Works
    busy: float
    least: float
    backend: Callable[[], Backend] = Free
    same_again: bool = False

    @property
    def rate(self) -> float:
        """Recalls a second."""
        rng = random.Random("mean")
        mean = sum(self.works(rng) for _ in range(50_000)) / 50_000
        return self.busy * LIMIT / (mean * len(LAYERS))


LIMIT = 10
PLACES = (
    Place("1 % blips", blips, 0.3, 2.0),
    Place("σ = 1.5", heavy, 0.3, 2.0),
    Place("slow shard", shards, 0.3, 0.98),
    Place("slow questions", blips, 0.3, 0.98, same_again=True),
    Place("no tail", usual, 0.3, 0.98),
    Place("pool of 6", usual, 0.4, 0.98, lambda: Pool(6)),
    Place("lock convoy", usual, 0.25, 0.98, lambda: Convoy(0.2, 0.05)),
    Place("thrashes beyond 8", usual, 0.6, 0.98, lambda: Thrash(8, 0.8)),
    Place("80 % busy, 1 % blips", blips, 0.8, 0.98),
    Place("80 % busy, σ = 1.5", heavy, 0.8, 0.98),
    Place("80 % busy, no tail", usual, 0.8, 0.98),
    Place("95 % busy", usual, 0.95, 0.98),
)


class HedgedManager(Manager):
    """Calls slow tasks a second time, as far as budget and room allow."""

    def __init__(self, *args: Any, place: Place, seed: int) -> None:
        super().__init__(*args)
        self.again = 0
        self._place = place
        self._second = random.Random(f"second {seed}")
        self._delays = HedgingDelays(QUANTILE)
        self._budget = HedgingBudget(left=0.0)

    def _start(self, task: Task) -> None:
        super()._start(task)
        self._look(task, self._delays.of(task.layer))

    def _look(self, task: Task, after: float) -> None:
        if after < float("inf"):
            self._events.at(self._events.now + after, lambda: self._call_again(task, after))

    def _call_again(self, task: Task, after: float) -> None:
        if task.ended:
            return
        if not has_room(self._busy, len(self._line), self.limit) or not self._budget.take():
            self._look(task, after)
            return
        self._busy += 1
        self.again += 1
        work = task.work if self._place.same_again else self._works(self._second)
        self._backend.serve(self._events, work, lambda: self._over(task))

    def _over(self, task: Task) -> None:
        if task.ended:  # the slower of two, which has kept its slot
            self._busy -= 1
            self._give_out()
            return
        self._budget.earn()
        self._delays.learn(task.layer, self._events.now - task.started)
        super()._over(task)


@dataclass(frozen=True, slots=True)
class Ran:
    """The p99 in ms, second calls for each first one, and the records."""

    p99: float
    again: float
    records: list[QueryMetrics]


def run(place: Place, recalls: int, seed: int, *, hedged: bool) -> Ran:
    """Run a world with second calls, or without."""
    events, rng = Events(), random.Random(seed)
    at: tuple[Any, ...] = (events, place.backend(), place.works, rng, LIMIT)
    manager = HedgedManager(*at, place=place, seed=seed) if hedged else Manager(*at)
    for arrival in poisson(recalls, place.rate, seed):
        events.at(arrival, manager.ask)
    events.run()
    latency = [manager.latency(recall) for recall in range(recalls)]
    again = manager.again / (recalls * len(LAYERS)) if isinstance(manager, HedgedManager) else 0.0
    order = sorted(range(recalls), key=lambda recall: max(t.ended for t in manager.tasks[recall]))
    return Ran(quantile(latency, 0.99), again, [manager.record(recall) for recall in order])


def virtual(recalls: int, seeds: int) -> list[Figure]:
    """Return what second calls bring in each world."""
    figures, most = [], 0.0
    for place in PLACES:
        pairs = [[run(place, recalls, seed, hedged=h) for h in (False, True)] for seed in range(seeds)]
        gain = median([without.p99 / with_.p99 for without, with_ in pairs])
        again = median([with_.again for _, with_ in pairs])
        most = max(most, *(with_.again for _, with_ in pairs))
        before, after = (median([pair[i].p99 for pair in pairs]) for i in (0, 1))
        figures += [
            Figure(f"virtual · {place.name}: p99 without over with", gain, "x", place.least, True),
            Figure(f"virtual · {place.name}: p99 without second calls", before, "ms"),
            Figure(f"virtual · {place.name}: p99 with", after, "ms"),
            Figure(f"virtual · {place.name}: second calls", 100 * again, "%"),
        ]
        progress(f"{place.name}: {gain:.2f}, {again:.1%} again")
        if place.least > 1 or place.same_again:
            figures += forecast(place, pairs[0][0], pairs[0][1])
    return [*figures, Figure("virtual: second calls, most of any run", 100 * most, "%", 5.0)]


def forecast(place: Place, without: Ran, with_: Ran) -> list[Figure]:
    """Return what what-if says of second calls, by the recalls that came without them."""
    base = with_config(ConfigSet(), "all", max_concurrent=LIMIT, timeout_seconds=60.0)
    hedged = with_config(base, "all", hedged_layers=frozenset(LAYERS))
    [outcome] = run_through(what_if(without.records[-4000:], base, {"hedged": hedged})).outcomes
    said = outcome.p99_ms
    return [
        Figure(f"forecast · {place.name}: p99 with", said.value, "ms", low=said.low, high=said.high),
        Figure(f"forecast · {place.name}: p99 that then came", with_.p99, "ms"),
        Figure(f"forecast · {place.name}: second calls", 100 * outcome.second_calls.value, "%"),
    ]


async def _recalls(place: Place, recalls: int, hedged: bool) -> tuple[list[float], int]:
    rng, second, calls = random.Random(7), random.Random(8), dict[tuple[int, str], int]()

    async def ask(recall: int, layer: str, work: float) -> int:
        calls[recall, layer] = calls.get((recall, layer), 0) + 1
        await asyncio.sleep(work if calls[recall, layer] == 1 else place.works(second))
        return recall

    async def one(recall: int, works: list[float]) -> None:
        began = time.monotonic()
        known = executor.second_calls
        await executor.arun(
            [
                QueryTask(
                    layer,
                    ask,
                    (recall, layer, work),
                    on_caller_loop=True,
                    second_after=known.delay(layer) if hedged else None,
                )
                for layer, work in zip(LAYERS, works, strict=True)
            ]
        )
        latency.append(1000 * (time.monotonic() - began))

    latency = list[float]()
    with ParallelLayerExecutor(LIMIT) as executor:
        begin, under_way = time.monotonic(), set[asyncio.Task[None]]()
        for recall, arrival in enumerate(poisson(recalls, place.rate, 3)):
            works = [place.works(rng) for _ in LAYERS]
            await asyncio.sleep(max(0.0, begin + arrival - time.monotonic()))
            under_way.add(asyncio.create_task(one(recall, works)))
        await asyncio.gather(*under_way)
        return latency, executor.second_calls.counts["asked"]


def real(recalls: int) -> list[Figure]:
    """Return what second calls bring on a real event loop."""

    async def side_by_side() -> list[tuple[list[float], int]]:
        runs = (_recalls(place, recalls, hedged=h) for place in PLACES[:2] for h in (False, True))
        return await asyncio.gather(*runs)

    ran, figures = asyncio.run(side_by_side()), []
    for i, place in enumerate(PLACES[:2]):
        (without, _), (with_, again) = ran[2 * i : 2 * i + 2]
        gain = quantile(without, 0.99) / quantile(with_, 0.99)
        figures += [
            Figure(f"real · {place.name}: p99 without over with", gain, "x", place.least, True),
            Figure(f"real · {place.name}: second calls", 100 * again / (recalls * len(LAYERS)), "%", 5.0),
        ]
    return figures


def main() -> int:
    """Run what was asked for and report."""
    asked = options(__doc__)
    figures = virtual(4000 if asked.quick else 20_000, 3 if asked.quick else 9)
    return report([*figures, *real(800 if asked.quick else 5000)], asked)


if __name__ == "__main__":
    raise SystemExit(main())
