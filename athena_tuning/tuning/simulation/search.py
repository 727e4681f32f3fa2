"""Looks for the best config by simulation: every candidate on the recalls that were really asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from athena_tuning.model import Candidate, TuningBounds, TuningConfig, TuningStrategy
from athena_tuning.tuning.estimation.contention import ContentionLaw, capacity
from athena_tuning.tuning.settings import SEARCH
from athena_tuning.tuning.simulation.objective import Score, objective, score
from athena_tuning.tuning.simulation.simulated_run import SimulatedRun, joined
from athena_tuning.tuning.simulation.simulator import Simulation, Slowdown
from athena_tuning.tuning.trace import Trace, mean_work

Laws = Mapping[str, ContentionLaw]
Steps = Generator[int, None, "SearchResult"]
"""A search in slices: yields how many recalls it has just simulated."""
Scoring = Generator[int, None, Score]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search came to.

    Attributes:
        candidates: best first.
        best: the one to take; None: stay.
        bound: what limited the grid, if something did.
        recalls: that were simulated.
        base: what the incumbent achieved.
        achieved: what the best did; None where there is none.
        typical_change: of the best, the log ratio of typical latency: under the fitted law, then the least
            and the most under all laws.
    """

    candidates: tuple[Candidate, ...]
    best: Candidate | None
    bound: str | None
    recalls: int
    base: Score | None = None
    achieved: Score | None = None
    typical_change: tuple[float, float, float] | None = None


class Simulations:
    """What configs achieve on some recalls. Each is simulated once, however many objectives judge it.

    Of several pieces, each runs by itself, from an empty queue: what was between them is not known, and idle
    it was hardly ever. What its first fifth meets does not count.

    Args:
        traces: recalls with their own works: one piece, or several, the newest last.
        laws: fitted contention.
        refits: the same, refitted on what could have been seen.

    Attributes:
        recalls: in all pieces.
        traces: see above.
        rough: for a first look at many configs, the newest third of it; where that is most of it, all. Of
            several pieces, the newest, and of those before it every fourth.
        refits: numbers of the refits, for ``of``.
    """

    def __init__(self, traces: Sequence[Trace], laws: Laws, refits: Sequence[Laws] = ()) -> None:
        self.traces = traces
        self.recalls = sum(map(len, traces))
        self.rough = traces[::-4][::-1]
        if len(traces) == 1:
            few = max(SEARCH.rough, self.recalls // 3)
            self.rough = traces if self.recalls <= 1.5 * few else (Trace(traces[0].arrivals[-few:]),)
        self.refits = range(1, len(refits) + 1)
        self._laws = (laws, *refits)
        self._work = {id(some): mean_work(some) for some in (self.traces, self.rough)}
        self._known: dict[tuple[TuningConfig, int, int], Score] = {}
        self._unlimited: dict[tuple[Any, ...], tuple[int, SimulatedRun]] = {}

    def of(self, config: TuningConfig, law: int = 0, *, rough: bool = False) -> Scoring:
        """Return a config's score, simulated in slices if it is not known.

        Args:
            config: what to run; its strategy does not matter.
            law: 0, or one of ``refits``.
            rough: on ``rough`` in place of the whole trace.
        """
        traces = self.rough if rough else self.traces
        key = replace(config, strategy=TuningStrategy.BALANCED), law, id(traces)
        if key not in self._known:
            run = yield from self._run(traces, key[0], law)
            work = self._work[id(traces)]
            self._known[key] = score(run, capacity(config.max_concurrent, work, self._laws[law]))
        return self._known[key]

    def _run(
        self, traces: Sequence[Trace], config: TuningConfig, law: int
    ) -> Generator[int, None, SimulatedRun]:
        """Simulate in slices, but for a limit that is not reached: the run under another such one is its."""
        slow = slowdowns(self._laws[law], config.max_concurrent)
        key = replace(config, max_concurrent=1), law, id(traces), frozenset(slow)
        ample, run = self._unlimited.get(key, (math.inf, None))
        if run is not None and config.max_concurrent >= ample:
            return run
        runs, amples = [], []
        for trace in traces:
            simulation = Simulation(trace, config, slow, admission=True)
            for i in range(SEARCH.slice, len(trace), SEARCH.slice):
                simulation.run(trace.arrivals[i].time)
                yield SEARCH.slice
            runs.append(simulation.run().result())
            amples.append(simulation.ample)
            yield len(trace) % SEARCH.slice or SEARCH.slice
        run = joined(runs)
        reached = [ample for ample in amples if ample is not None]
        if len(reached) == len(amples):
            self._unlimited[key] = max(reached), run
        return run


def candidates(incumbent: TuningConfig, bounds: TuningBounds, most: int) -> list[TuningConfig]:
    """Return the configs to consider: other limits up to ``most`` within the bounds."""
    limits = (n for n in SEARCH.limits if bounds.min_concurrent <= n <= min(bounds.max_concurrent, most))
    return [replace(incumbent, max_concurrent=n) for n in limits if n != incumbent.max_concurrent]


def other_way(config: TuningConfig) -> TuningConfig:
    """Return the config with the layers of a recall in turn in place of side by side, or the reverse."""
    return replace(config, enable_parallel=not config.enable_parallel)


def search(
    simulations: Simulations,
    incumbent: TuningConfig,
    grid: Sequence[TuningConfig],
    strategy: TuningStrategy,
    *,
    banned: Callable[[TuningConfig], bool] | None = None,
    gain: float = SEARCH.gain,
    thorough: bool = True,
    bound: str | None = None,
) -> Steps:
    """Simulate the incumbent and every candidate, and take the best if its gain is sure.

    A gain counts if it is at least ``gain`` in the objective and stays a gain under laws as they could have
    come out by chance. Of candidates within 0.03 of the best the one nearest to the incumbent is taken.
    All of the grid runs on the newest third of the trace, and the best two of it on the whole.

    Args:
        simulations: of the recalls; searches for several strategies share them.
        incumbent: the config in force.
        grid: what else to consider; the best of it and the incumbent are tried with the layers of a
            recall the other way too, in turn or side by side.
        strategy: what is wanted.
        banned: configs that must not be taken.
        gain: least gain, as a log ratio.
        thorough: whether it is to be decided on; else the best of the grid alone runs on the whole, under
            half of the refits.
        bound: what limits the grid, for the explanation.
    """
    recalls = simulations.recalls
    refits = simulations.refits[: SEARCH.refits if thorough else SEARCH.refits // 2]
    finalists = yield from _finalists(simulations, incumbent, grid, strategy)
    finalists = finalists if thorough else finalists[:1]
    base = yield from simulations.of(incumbent)
    values = [(0.0, incumbent)]
    for config in finalists:
        achieved = yield from simulations.of(config)
        values.append((objective(strategy, achieved, base), config))
    if any(len(recall.tasks) > 1 for trace in simulations.traces for recall in trace.arrivals):
        least, config = min(values, key=lambda v: v[0])
        for turned in {other_way(config), other_way(incumbent)}:
            if (yield from _roughly(simulations, turned, incumbent, strategy)) < least:
                achieved = yield from simulations.of(turned)
                values.append((objective(strategy, achieved, base), turned))
    values = [v for v in values if v[1] != incumbent and not (banned and banned(v[1]))]
    values.sort(key=lambda v: (v[0], _distance(v[1], incumbent)))
    top = [c for v, c in values if v <= values[0][0] + SEARCH.tie] if values else []
    if not top or values[0][0] > -gain:
        near = tuple(Candidate(c, v, v, v) for v, c in values[:3] if math.isfinite(v))
        return SearchResult(near, None, bound, recalls, base)
    chosen = min(top, key=lambda c: _distance(c, incumbent))
    explained: list[Candidate] = []
    achieved = yield from simulations.of(chosen)
    typical = [math.log(achieved.typical_ms / base.typical_ms)]
    for config in _three(chosen, values):
        predicted = next(v for v, c in values if c is config)
        spread = [predicted]
        for other in refits if config is chosen else ():
            reference = yield from simulations.of(incumbent, other)
            under = yield from simulations.of(config, other)
            spread.append(objective(strategy, under, reference))
            if spread[-1] >= -gain / 2:
                break
            typical.append(math.log(under.typical_ms / reference.typical_ms))
        explained.append(Candidate(config, predicted, min(spread), max(spread)))
    best = explained[0] if explained[0].high < -gain / 2 else None
    if best is None:
        return SearchResult(tuple(explained), None, bound, recalls, base)
    change = typical[0], min(typical), max(typical)
    return SearchResult(tuple(explained), best, bound, recalls, base, achieved, change)


def _roughly(
    simulations: Simulations, config: TuningConfig, incumbent: TuningConfig, strategy: TuningStrategy
) -> Generator[int, None, float]:
    """Return a config's objective by the newest third of the trace."""
    base = yield from simulations.of(incumbent, rough=True)
    achieved = yield from simulations.of(config, rough=True)
    return objective(strategy, achieved, base)


def _finalists(
    simulations: Simulations, incumbent: TuningConfig, grid: Sequence[TuningConfig], strategy: TuningStrategy
) -> Generator[int, None, list[TuningConfig]]:
    values = []
    for config in grid:
        value = yield from _roughly(simulations, config, incumbent, strategy)
        values.append((value, _distance(config, incumbent), config))
    return [config for *_, config in sorted(values, key=lambda v: v[:2])[: SEARCH.finalists]]


def slowdowns(laws: Laws, limit: int) -> dict[str, Slowdown]:
    """Return the laws that matter up to ``limit``; one within 2 % of 1 costs time and changes nothing.

    Layers that slow down alike get the same law: a simulation takes as long as there are different ones.
    """
    different = {law.shape: law.factor for law in laws.values()}
    matter = {shape: factor for shape, factor in different.items() if factor(limit) > SEARCH.negligible}
    return {layer: matter[law.shape] for layer, law in laws.items() if law.shape in matter}


def _three(chosen: TuningConfig, values: Sequence[tuple[float, TuningConfig]]) -> list[TuningConfig]:
    others = [c for v, c in values if c is not chosen and math.isfinite(v)]
    return [chosen, *others[:2]]


def _distance(config: TuningConfig, incumbent: TuningConfig) -> float:
    ratio = abs(math.log(config.max_concurrent / incumbent.max_concurrent))
    return ratio + 0.1 * (config.enable_parallel is not incumbent.enable_parallel)
