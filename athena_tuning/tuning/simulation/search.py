"""Looks for the best config by simulation: every candidate on the recalls that were really asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from athena_tuning.model import Candidate, TuningBounds, TuningConfig, TuningStrategy
from athena_tuning.tuning.estimation.contention import ContentionLaw, capacity
from athena_tuning.tuning.settings import SEARCH
from athena_tuning.tuning.simulation.objective import Score, objective, p99_for, score
from athena_tuning.tuning.simulation.piecewise_run import PiecewiseRun
from athena_tuning.tuning.simulation.simulated_run import SimulatedRun
from athena_tuning.tuning.simulation.simulator import Slowdown
from athena_tuning.tuning.trace import Trace, mean_work

Laws = Mapping[str, ContentionLaw]
Steps = Generator[int, None, "SearchResult"]
"""A search in slices: yields how many recalls it has just simulated."""
Scoring = Generator[int, None, Score]
MaybeScoring = Generator[int, None, Score | None]


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
        self._slower: dict[tuple[TuningConfig, int, int], float] = {}
        self._begun: dict[tuple[TuningConfig, int, int], PiecewiseRun] = {}
        self._plain: dict[TuningConfig, TuningConfig] = {}
        self._unlimited: dict[tuple[Any, ...], tuple[int, SimulatedRun]] = {}

    def of(self, config: TuningConfig, law: int = 0, *, rough: bool = False) -> Scoring:
        """Return a config's score, simulated in slices if it is not known.

        Args:
            config: what to run; its strategy does not matter.
            law: 0, or one of ``refits``.
            rough: on ``rough`` in place of the whole trace.
        """
        found = yield from self.unless_slower(config, math.inf, law, rough=rough)
        if found is None:
            raise RuntimeError(f"{config} was not simulated to its end")
        return found

    def unless_slower(
        self, config: TuningConfig, p99_ms: float, law: int = 0, *, rough: bool = False
    ) -> MaybeScoring:
        """Return a config's score, or None as soon as its p99 is surely above ``p99_ms``: see ``of``.

        What was simulated by then is not lost: it goes on from there where somebody asks again.
        """
        traces = self.rough if rough else self.traces
        key = self._key(config), law, id(traces)
        if key in self._known:
            return self._known[key]
        if self._slower.get(key, -math.inf) >= p99_ms:
            return None
        run = yield from self._run(traces, key, p99_ms)
        if run is None:
            self._slower[key] = p99_ms
            return None
        self._known[key] = score(run, self.capacity(config, law, rough=rough))
        return self._known[key]

    def capacity(self, config: TuningConfig, law: int = 0, *, rough: bool = False) -> float:
        """Return recalls a second by the law, while recalls always wait."""
        work = self._work[id(self.rough if rough else self.traces)]
        return capacity(config.max_concurrent, work, self._laws[law])

    @property
    def own_work(self) -> float:
        """Own work of the mean recall of ``rough``, in seconds."""
        return sum(self._work[id(self.rough)].values())

    def _key(self, config: TuningConfig) -> TuningConfig:
        """Return the config without its strategy, which no recall minds."""
        if config not in self._plain:
            self._plain[config] = replace(config, strategy=TuningStrategy.BALANCED)
        return self._plain[config]

    def _run(
        self, traces: Sequence[Trace], key: tuple[TuningConfig, int, int], p99_ms: float
    ) -> Generator[int, None, SimulatedRun | None]:
        """Simulate in slices, but for a limit that is not reached: the run under another such one is its."""
        config, law, pieces = key
        slow = slowdowns(self._laws[law], config.max_concurrent)
        same = replace(config, max_concurrent=1), law, pieces, frozenset(slow)
        ample, run = self._unlimited.get(same, (math.inf, None))
        if run is not None and config.max_concurrent >= ample:
            return run
        if p99_ms <= 0:
            return None
        begun = self._begun.setdefault(key, PiecewiseRun(traces, config, slow))
        run = yield from begun.unless_slower(p99_ms)
        if run is not None:
            del self._begun[key]
            if begun.ample is not None:
                self._unlimited[same] = begun.ample, run
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
    All of the grid runs on the newest third of the trace, as long as it can be one of the best two, and these
    on the whole.

    Args:
        simulations: of the recalls; searches for several strategies share them.
        incumbent: the config in force.
        grid: what else to consider; the best of it and the incumbent are tried with the layers of a
            recall the other way too, in turn or side by side.
        strategy: what is wanted.
        banned: configs that must not be taken.
        gain: least gain, as a log ratio.
        thorough: whether it is to be decided on; else the best of the grid alone runs on the whole, half of
            the refits on the rough, and what gains nothing is not told.
        bound: what limits the grid, for the explanation.
    """
    recalls = simulations.recalls
    refits = simulations.refits[: SEARCH.refits if thorough else SEARCH.refits // 2]
    worst = math.inf if thorough else -gain / 2
    finalists = yield from _finalists(simulations, incumbent, grid, strategy, worst)
    finalists = finalists if thorough else finalists[:1]
    base = yield from simulations.of(incumbent)
    values = [(0.0, incumbent)]
    for config in finalists:
        achieved = yield from simulations.of(config)
        values.append((objective(strategy, achieved, base), config))
    if any(len(recall.tasks) > 1 for trace in simulations.traces for recall in trace.arrivals):
        least, config = min(values, key=lambda v: v[0])
        least = min(least, worst)
        for turned in {other_way(config), other_way(incumbent)}:
            if (yield from _roughly(simulations, turned, incumbent, strategy, least)) < least:
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
            reference = yield from simulations.of(incumbent, other, rough=not thorough)
            under = yield from simulations.of(config, other, rough=not thorough)
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
    simulations: Simulations,
    config: TuningConfig,
    incumbent: TuningConfig,
    strategy: TuningStrategy,
    worst: float = math.inf,
) -> Generator[int, None, float]:
    """Return a config's objective by the newest third of the trace; infinite if it is surely above worst."""
    base = yield from simulations.of(incumbent, rough=True)
    least = SEARCH.work_done * simulations.own_work
    most = p99_for(strategy, worst, base, simulations.capacity(config, rough=True), least)
    achieved = yield from simulations.unless_slower(config, most, rough=True)
    return math.inf if achieved is None else objective(strategy, achieved, base)


def _finalists(
    simulations: Simulations,
    incumbent: TuningConfig,
    grid: Sequence[TuningConfig],
    strategy: TuningStrategy,
    worst: float,
) -> Generator[int, None, list[TuningConfig]]:
    """Return the best of the grid below ``worst``; what can be none of them is not simulated to its end."""
    best: list[tuple[float, float, TuningConfig]] = []
    for config in sorted(grid, key=lambda config: _distance(config, incumbent)):
        last = min(worst, best[-1][0]) if len(best) == SEARCH.finalists else worst
        value = yield from _roughly(simulations, config, incumbent, strategy, last)
        if value < worst or worst == math.inf:
            best.append((value, _distance(config, incumbent), config))
            best = sorted(best, key=lambda v: v[:2])[: SEARCH.finalists]
    return [config for *_, config in best]


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
