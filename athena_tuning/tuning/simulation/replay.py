"""Recorded recalls as they can be met again: their arrivals, and each layer's own work under a law."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from athena_tuning.model import ConfigSet, QueryMetrics, TaskOutcome
from athena_tuning.model.metrics import SECOND_CALL
from athena_tuning.tuning.estimation.contention import PossibleLaw
from athena_tuning.tuning.estimation.plan_evidence import PlanEvidence
from athena_tuning.tuning.estimation.telemetry import MeasuredRecall, Telemetry, measured, trace_of
from athena_tuning.tuning.settings import SEARCH, TELEMETRY, WHAT_IF
from athena_tuning.tuning.simulation.hedged import simulation_of
from athena_tuning.tuning.simulation.planned_recalls import PlannedRecalls, WayOf, unknown_way
from athena_tuning.tuning.simulation.simulator import Slowdown
from athena_tuning.tuning.trace import Arrival, Trace

Floats = npt.NDArray[np.float64]
Works = Sequence[tuple[tuple[str, float], ...]]
"""Of each recall the layers that it asks, with their own work in seconds."""

NEVER = 3600.0


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
    """

    laws: Mapping[str, PossibleLaw]
    which: npt.NDArray[np.intp]
    times: Floats
    works: Works
    dealt: npt.NDArray[np.intp]
    odds: int | None


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
        began = np.array([r.began for r in known])
        self._gaps = np.diff(began, prepend=began[0]) / speed
        fitted = {layer: PossibleLaw(law) for layer, law in self.contention.laws.items()}
        every = np.arange(len(known), dtype=np.intp)
        chance = np.random.default_rng(1)
        self._plans = PlannedRecalls(known, self._versions.tolist(), base, evidence, chance, way_of)
        self.recorded = Replicate(fitted, every, self._gaps.cumsum(), self._works(fitted), every, None)

    @property
    def counted_recalls(self) -> Sequence[MeasuredRecall]:
        """The recalls that figures are of."""
        return [self.recalls[i] for i in self.counted]

    def under(self, version: int) -> npt.NDArray[np.bool_]:
        """Return which of the counted recalls surely began under a config version or a later one."""
        return self._versions[self.counted] >= version

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
        return Replicate(laws, which, times, [works[i] for i in dealt], dealt, number)

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

    def outcome(self, configs: ConfigSet, replicate: Replicate) -> SimulatedOutcome:
        """Return what the recalls of a replicate meet under some configs; those of the scope only."""
        laws, which, times, works, dealt, odds = replicate
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
        slow = {layer: law(limit) for layer, law in laws.items()}
        matter: dict[str, Slowdown] = {
            layer: law for layer, law in laws.items() if slow[layer] > SEARCH.negligible
        }
        run = simulation_of(trace, configs, matter, admission=True, answered=self._answered).run().result()
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
            limit,
            calls[own],
            float(run.again.sum()) / max(1.0, float(run.calls.sum())),
        )

    def _works(self, laws: Mapping[str, PossibleLaw]) -> Works:
        """Return each recall's layers and own works, in seconds."""
        rng = self._rng
        missed = [recall for recall in self.recalls if recall.tasks]
        tails = _tails(missed)
        works: dict[int, tuple[tuple[str, float], ...]] = {}
        for recall, arrival in zip(missed, trace_of(missed, laws).arrivals, strict=True):
            works[id(recall)] = tuple(
                (layer, work + tails[layer].draw(rng) if t.outcome is TaskOutcome.TIMEOUT else work)
                for (layer, work), t in zip(arrival.tasks, recall.tasks, strict=True)
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


def with_drawn_tails(works: Works, rng: np.random.Generator) -> Works:
    """Return the works with each layer's largest fiftieth drawn from a tail that is possible.

    Beyond the threshold u times are Pareto, ``P(X > x) = (u/x)^α``, with Hill's estimate of α, which k of
    them know to ``α/√k``. What was seen ends at its largest; what comes does not. None is drawn beyond three
    times the largest: there nothing speaks for any law.

    Source: B. M. Hill, A simple general approach to inference about the tail of a distribution, 1975.
    """
    by_layer: dict[str, list[float]] = {}
    for recall in works:
        for layer, work in recall:
            if 0 < work < NEVER:
                by_layer.setdefault(layer, []).append(work)
    tails: dict[str, tuple[float, float, float]] = {}
    for layer, seen in by_layer.items():
        k = int(WHAT_IF.tail * len(seen))
        if k >= WHAT_IF.tail_least:
            ordered = np.sort(seen)
            u = float(ordered[-k - 1])
            alpha = k / max(float(np.log(ordered[-k:] / u).sum()), 1e-9)
            tails[layer] = u, alpha * max(0.3, 1 + rng.normal() / math.sqrt(k)), 3 * float(ordered[-1])
    return [tuple((layer, _tail_drawn(work, tails.get(layer), rng)) for layer, work in r) for r in works]


def _tail_drawn(work: float, tail: tuple[float, float, float] | None, rng: np.random.Generator) -> float:
    if tail is None or not tail[0] < work < NEVER:
        return work
    u, alpha, most = tail
    return float(min(u * (1 - rng.random()) ** (-1 / alpha), most))


class _Tail(NamedTuple):
    """How given-up tasks of a layer go on: a share comes after an exponential time, the rest never."""

    mean: float
    comes: float

    def draw(self, rng: np.random.Generator) -> float:
        return float(rng.exponential(self.mean)) if rng.random() < self.comes else NEVER


def _tails(recalls: Sequence[MeasuredRecall]) -> dict[str, _Tail]:
    """Estimate by layer how given-up tasks would have gone on.

    Beyond the upper quartile u of those that came back, times are taken as exponential with mean m, cut off
    at the timeout T. Of n such tasks ``n / (exp((T − u)/m) − 1)`` are expected to have reached T; what was
    given up beyond that number hangs.
    """
    came: dict[str, list[float]] = {}
    lost: dict[str, list[float]] = {}
    for recall in recalls:
        for t in recall.tasks:
            times_of = lost if t.outcome is TaskOutcome.TIMEOUT else came
            times_of.setdefault(t.layer, []).append(t.service_ms / 1000)
    tails = {}
    for layer, given_up in lost.items():
        times = np.array(came.get(layer, ()))
        above = times[times > np.quantile(times, 0.75)] if len(times) >= 10 else times[:0]
        if not len(above):
            tails[layer] = _Tail(1.0, 0.0)
            continue
        start = float(np.quantile(times, 0.75))
        cut = max(min(given_up), float(above.max())) - start
        mean = _mean_of_cut_off(float((above - start).mean()), cut)
        reach = len(above) / math.expm1(min(cut / mean, 700.0))
        tails[layer] = _Tail(mean, min(1.0, reach / len(given_up)))
    return tails


def _mean_of_cut_off(seen: float, cut: float) -> float:
    """Return the mean m of exponential times whose part below ``cut`` has the mean ``seen``.

    The m at which ``m − cut / (exp(cut/m) − 1)`` is ``seen``, by bisection; at most 10 times the cut.
    """
    low, high = 1e-3 * cut, 10 * cut
    for _ in range(40):
        middle = (low + high) / 2
        if middle - cut / math.expm1(min(cut / middle, 700.0)) < seen:
            low = middle
        else:
            high = middle
    return max(high, 1e-9)


def _version(record: QueryMetrics) -> int:
    """Return the config version in force when a recall began; -1 where that was another system's."""
    return record.config_version if record.source in ("live", "load") else -1


def _ended(record: QueryMetrics) -> float:
    return record.timestamp + (record.latency_ms or 0.0) / 1000
