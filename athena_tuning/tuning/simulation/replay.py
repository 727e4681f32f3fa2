"""Recorded recalls as they can be met again: their arrivals, and each layer's own work under a law."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median_low
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from athena_tuning.model import ConfigSet, QueryMetrics, TaskOutcome
from athena_tuning.model.metrics import SECOND_CALL
from athena_tuning.tuning.estimation.connection_pool import standing_in_line
from athena_tuning.tuning.estimation.contention import PossibleLaw
from athena_tuning.tuning.estimation.plan_evidence import PlanEvidence
from athena_tuning.tuning.estimation.telemetry import MeasuredRecall, Telemetry, measured, trace_of
from athena_tuning.tuning.settings import SEARCH, TELEMETRY, WHAT_IF
from athena_tuning.tuning.simulation.hedged import simulation_of
from athena_tuning.tuning.simulation.planned_recalls import PlannedRecalls, WayOf, unknown_way
from athena_tuning.tuning.simulation.simulated_run import SimulatedRun
from athena_tuning.tuning.simulation.simulator import Slowdown
from athena_tuning.tuning.simulation.work_tails import Works, given_up_tails, pareto_tails, with_drawn_tails
from athena_tuning.tuning.trace import Arrival, Trace

Floats = npt.NDArray[np.float64]


class SimulatedOutcome(NamedTuple):
    """What each recall met under one config and one law; times in ms, infinite where it was refused.

    ``busy_ms`` is the slot time if the limit were always reached: what capacity follows from. ``calls`` are
    the layers that were asked, 0 where the cache answered.
    """

    latency_ms: Floats
    slot_ms: Floats
    busy_ms: Floats
    failed: npt.NDArray[np.bool_]
    partial: npt.NDArray[np.bool_]
    refused: npt.NDArray[np.bool_]
    limit: int
    calls: Floats
    second_calls: float
    """For each first call."""


class Replicate(NamedTuple):
    """Recalls as they could come again.

    Attributes:
        laws: a possible contention.
        which: places of the recalls, in the order in which they come.
        times: seconds at which they come.
        works: own works of each of them under the laws.
        dealt: places of the recalls whose works they are.
        odds: seed of the odds of second rounds; None: the likeliest ones.
        connections: tasks that the backend serves at once while others stand in line; None: it knows no line.
    """

    laws: Mapping[str, PossibleLaw]
    which: npt.NDArray[np.intp]
    times: Floats
    works: Works
    dealt: npt.NDArray[np.intp]
    odds: int | None
    connections: int | None = None


class RecordedWorkload:
    """Recorded recalls in order, with each one's own works under every law.

    Attributes:
        recalls: those that say what they took, oldest first.
        counted: places of those that figures are of.
        latency_ms: what each really took; infinite where it was refused.
        refused: whether those that figures are of were refused.
        seconds: time that they span.
        given_up: tasks that were given up at a timeout.
        contention: what is known of it.
        connections: of the backend, where tasks that met were seen to stand in line behind them; else None.
        recorded: the recalls as they came, under the fitted laws.

    Args:
        records: recalls in any order.
        scope: count recalls of this type only; "all" counts all.
        speed: bring them so many times as fast.
        rng: of laws and recalls that are drawn, and of what given-up tasks would have taken.
        base: the configs in force.
        evidence: on what second rounds of a plan are called for.
        way_of: tells the ways of questions, where a config decides by question.

    Raises:
        ValueError: if fewer than 50 recalls carry task telemetry, or none is of the scope's type.
    """

    def __init__(
        self,
        records: Sequence[QueryMetrics],
        scope: str,
        speed: float,
        rng: np.random.Generator,
        base: ConfigSet,
        evidence: PlanEvidence,
        way_of: WayOf = unknown_way,
    ) -> None:
        newest = sorted(records, key=_ended)[-TELEMETRY.recalls :]
        telemetry = Telemetry().after(newest)
        telling = sum(bool(recall.tasks) for recall in telemetry.recalls)
        if telling < WHAT_IF.least:
            raise ValueError(
                f"{telling} recalls say what their layers did, and {WHAT_IF.least} are needed to simulate"
            )
        pairs = [(r, _version(m)) for r, m in zip(map(measured, newest), newest, strict=True) if r]
        pairs = sorted((p for p in pairs if p[0].tasks or p[0].hit or p[0].refused), key=lambda p: p[0].began)
        self.recalls = known = [recall for recall, _ in pairs]
        self._versions = np.array([version for _, version in pairs])
        kinds = {kind: i for i, kind in enumerate({(r.query_type, r.hit) for r in known})}
        self._kinds = np.array([kinds[r.query_type, r.hit] for r in known])
        self._counts = np.array([scope in ("all", r.query_type) for r in known])
        self.counted = np.flatnonzero(self._counts)
        if not len(self.counted):
            raise ValueError(f"none of {len(known)} recalls is of type {scope}")
        self.latency_ms = np.array([r.latency_ms for r in known])
        self.refused = np.array([known[i].refused for i in self.counted])
        self.seconds = known[-1].began - known[0].began
        self._answered = frozenset(
            task.layer.removesuffix(SECOND_CALL) for recall in known for task in recall.second
        )
        self.given_up = sum(t.outcome is TaskOutcome.TIMEOUT for r in known for t in r.tasks)
        self.contention = telemetry.contention
        self._rng = rng
        self._unlimited: dict[Hashable, tuple[int, SimulatedRun]] = {}
        began = np.array([r.began for r in known])
        self._gaps = np.diff(began, prepend=began[0]) / speed
        fitted = {layer: PossibleLaw(law) for layer, law in self.contention.laws.items()}
        every = np.arange(len(known), dtype=np.intp)
        self._in_line, self.connections = _in_line(known)
        chance = np.random.default_rng(1)
        self._plans = PlannedRecalls(known, self._versions.tolist(), base, evidence, chance, way_of)
        self.recorded = Replicate(
            fitted, every, self._gaps.cumsum(), self._works(fitted), every, None, self.connections
        )

    @property
    def counted_recalls(self) -> Sequence[MeasuredRecall]:
        """The recalls that figures are of."""
        return [self.recalls[i] for i in self.counted]

    @property
    def tail_index(self) -> float:
        """The least of the layers' tail indices; infinite where no tail is known."""
        return min((tail.alpha for tail in pareto_tails(self.recorded.works).values()), default=math.inf)

    def under(self, version: int) -> npt.NDArray[np.bool_]:
        """Return which of the counted recalls surely began under a config version or a later one."""
        return self._versions[self.counted] >= version

    def as_it_was(self, base: ConfigSet) -> SimulatedOutcome:
        """Return what the recalls, as they were recorded, meet under configs that came in force on the way.

        What an earlier limit left behind is met by the simulation, too, and is not taken for its own error.
        """
        return self.outcome(base, self.recorded, self._limits_before(base))

    def _limits_before(self, base: ConfigSet) -> list[tuple[float, int]]:
        """Return the limits until the base was in force, and its own, with the seconds at which they began.

        A limit that is not known is how many ran as one that had waited began.
        """
        versions, limit = np.maximum.accumulate(self._versions), base.default.config.max_concurrent
        changes = np.flatnonzero(np.diff(np.minimum(versions, base.default.version), prepend=-2)).tolist()
        tasks = [(r.began + (t.offset_ms + t.queue_ms) / 1000, t) for r in self.recalls for t in r.tasks]
        waited = [(at, t.in_flight) for at, t in tasks if t.queue_ms > TELEMETRY.together_ms]
        bounds = [*(self.recalls[first].began for first in changes), math.inf]
        found = []
        for first, (since, until) in zip(changes, pairwise(bounds), strict=True):
            if versions[first] >= base.default.version:
                limit = base.default.config.max_concurrent
            elif until < math.inf:
                limit = median_low([n for at, n in waited if since <= at < until] or [limit])
            found.append((float(self.recorded.times[first]), limit))
        return found

    def why_unknown(self, configs: ConfigSet) -> str:
        """Return why nobody can tell what recalls would ask under some configs; "" if one can."""
        return self._plans.why_unknown(configs)

    def replicate(self, number: int) -> Replicate:
        """Return recalls as they could come again, under another law that is possible.

        Stretches of neighbours come in another order, so that a burst stays a burst; within a stretch works
        are dealt anew among recalls of a type, so that which of them met is left to chance; and works beyond
        the largest fiftieth of a layer's are drawn from its tail.
        """
        n = len(self.recalls)
        size = min(n, WHAT_IF.recalls)
        length = -(-size // WHAT_IF.blocks)
        around = self.counted[self._rng.integers(0, len(self.counted), -(-size // length))]
        starts = (around - self._rng.integers(0, length, len(around))).clip(0, n - length)
        within = np.arange(length)[None, :]
        seconds = float(self._gaps[(starts[:, None] + within).reshape(-1)[:size]].sum())
        which = (self._after_a_pause(starts, length)[:, None] + within).reshape(-1)[:size]
        times = self._gaps[which].cumsum()
        times *= seconds / max(float(times[-1]), 1e-9)
        laws = self.contention.possible(self._rng, number)
        works = with_drawn_tails(self._works(laws), self._rng)
        dealt = self._dealt(which, np.arange(size) // length)
        dealt_works = [works[i] for i in dealt]
        return Replicate(laws, which, times, dealt_works, dealt, number, self.connections)

    def _after_a_pause(self, starts: npt.NDArray[np.intp], length: int) -> npt.NDArray[np.intp]:
        """Return starts of stretches moved on to where nobody had asked for longer than on average.

        A burst that is cut in two and put behind another one would be a burst that nobody has seen.
        """
        pauses = np.append(np.flatnonzero(self._gaps >= self._gaps.mean()), len(self._gaps))
        moved = pauses[np.searchsorted(pauses, starts)]
        return np.where(moved - starts < length, moved, starts).clip(0, len(self._gaps) - length)

    def _dealt(self, which: npt.NDArray[np.intp], stretch: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Return whose work each recall has: that of another of its type in its stretch."""
        kinds = self._kinds[which]
        places = np.lexsort((np.arange(len(which)), kinds, stretch))
        dealt = np.empty_like(which)
        dealt[places] = which[np.lexsort((self._rng.random(len(which)), kinds, stretch))]
        return dealt

    def outcome(
        self, configs: ConfigSet, replicate: Replicate, limits: Sequence[tuple[float, int]] = ()
    ) -> SimulatedOutcome:
        """Return what the recalls of a replicate meet under some configs; those of the scope only.

        Args:
            configs: in force.
            replicate: the recalls.
            limits: that were in force in their place, and the seconds at which they began.
        """
        laws, which, times, works, dealt, odds, connections = replicate
        recalls, n = [self.recalls[i] for i in which], len(which)
        cached = [r.hit and configs.for_type(r.query_type).enable_cache for r in recalls]
        misses = [i for i in range(n) if not cached[i]]
        planned = self._plans.under(configs, dealt.tolist(), works, odds)
        trace = Trace(
            tuple(
                Arrival(float(times[i]), recalls[i].query_type, planned[i].tasks, rounds=planned[i].rounds)
                for i in misses
            )
        )
        limit = configs.default.config.max_concurrent
        slow = {} if connections else {layer: law(limit) for layer, law in laws.items()}
        matter: dict[str, Slowdown] = {
            layer: laws[layer] for layer, factor in slow.items() if factor > SEARCH.negligible
        }
        run = self._run(trace, configs, matter, replicate, limits)
        no = np.zeros(n, bool)
        latency, slots, busy, calls = self.latency_ms[which], np.zeros(n), np.zeros(n), np.zeros(n)
        failed, partial, refused = no, no.copy(), no.copy()
        latency[misses], slots[misses], calls[misses] = run.latency_ms, run.held_ms, run.calls
        failed[misses], partial[misses], refused[misses] = run.failed, run.partial, run.refused
        for i in misses:
            config = configs.for_type(recalls[i].query_type)
            skipped = config.skipped_layers if config.layer_selection_enabled else frozenset()
            busy[i] = 1000 * sum(
                min(work * slow.get(layer, 1.0), config.timeout_for(layer))
                for layer, work in planned[i].tasks
                if layer not in skipped
            )
        own = self._counts[which]
        return SimulatedOutcome(
            latency[own],
            slots[own],
            busy[own],
            failed[own],
            partial[own],
            refused[own],
            min(limit, connections or limit),
            calls[own],
            float(run.again.sum()) / max(1.0, float(run.calls.sum())),
        )

    def _run(
        self,
        trace: Trace,
        configs: ConfigSet,
        slowdown: Mapping[str, Slowdown],
        replicate: Replicate,
        limits: Sequence[tuple[float, int]],
    ) -> SimulatedRun:
        """Simulate, but for a limit that no task has to wait for: the run under another such one is its."""
        simulation = simulation_of(
            trace,
            configs,
            slowdown,
            admission=True,
            connections=replicate.connections,
            answered=self._answered,
        )
        for seconds, other in limits:
            simulation.run(seconds)
            simulation.apply(with_limit(configs, other))
        if limits:
            return simulation.run().result()
        limit, others = configs.default.config.max_concurrent, with_limit(configs, 1)
        key = replicate.odds, frozenset(slowdown), others.default.config, frozenset(others.by_type.items())
        ample, run = self._unlimited.get(key, (math.inf, None))
        if run is None or limit < ample:
            run = simulation.run().result()
            if simulation.ample is not None:
                self._unlimited[key] = simulation.ample, run
        return run

    def _works(self, laws: Mapping[str, PossibleLaw]) -> Works:
        """Return each recall's layers and own works, in seconds."""
        rng = self._rng
        missed = [recall for recall in self.recalls if recall.tasks]
        tails = given_up_tails(missed)
        works: dict[int, tuple[tuple[str, float], ...]] = {}
        own = self._in_line or [arrival.tasks for arrival in trace_of(missed, laws).arrivals]
        for recall, tasks in zip(missed, own, strict=True):
            works[id(recall)] = tuple(
                (layer, work + tails[layer].draw(rng) if t.outcome is TaskOutcome.TIMEOUT else work)
                for (layer, work), t in zip(tasks, recall.tasks, strict=True)
            )
        like: dict[str, list[MeasuredRecall]] = {}
        for recall in missed:
            for key in (recall.text, recall.query_type, ""):
                like.setdefault(key, []).append(recall)
        for recall in self.recalls:
            if id(recall) not in works:
                same = like.get(recall.text) or like.get(recall.query_type) or like[""]
                works[id(recall)] = works[id(same[rng.integers(len(same))])]
        return [works[id(recall)] for recall in self.recalls]


def with_limit(configs: ConfigSet, limit: int) -> ConfigSet:
    """Return the configs with another limit."""
    config = replace(configs.default.config, max_concurrent=limit)
    return replace(configs, default=replace(configs.default, config=config))


def _in_line(recalls: Sequence[MeasuredRecall]) -> tuple[Works, int | None]:
    """Return the works of those that have tasks, and the connections, where tasks stood in line."""
    missed = [recall for recall in recalls if recall.tasks]
    spans = [
        (recall.began + (t.offset_ms + t.queue_ms) / 1000, t.service_ms / 1000, i, j)
        for i, recall in enumerate(missed)
        for j, t in enumerate(recall.tasks)
    ]
    spans.sort(key=lambda span: span[0])
    start, took = (np.array([span[at] for span in spans]) for at in (0, 1))
    line = standing_in_line(start, start + took, [missed[i].tasks[j].layer for *_, i, j in spans])
    if line is None:
        return (), None
    works = [[(t.layer, 0.0) for t in recall.tasks] for recall in missed]
    for (*_, i, j), work in zip(spans, line.works.tolist(), strict=True):
        works[i][j] = works[i][j][0], work
    return [tuple(tasks) for tasks in works], line.connections


def _version(record: QueryMetrics) -> int:
    """Return the config version in force when a recall began; -1 where that was another system's."""
    return record.config_version if record.source in ("live", "load") else -1


def _ended(record: QueryMetrics) -> float:
    return record.timestamp + (record.latency_ms or 0.0) / 1000
