"""Recorded recalls as they can be met again: their arrivals, and each layer's own work under a law."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from athena_tuning.model import ConfigSet, QueryMetrics, TaskOutcome
from athena_tuning.tuning.estimation.contention import ContentionLaw
from athena_tuning.tuning.estimation.telemetry import Seen, Telemetry
from athena_tuning.tuning.simulation.search import NEGLIGIBLE, Laws
from athena_tuning.tuning.simulation.simulator import Simulation, Slowdown
from athena_tuning.tuning.trace import Ask, Trace

Floats = npt.NDArray[np.float64]
Works = Sequence[tuple[tuple[str, float], ...]]
"""Of each recall the layers that it asks, with their own work in seconds."""

LEAST = 50
"""Recalls with task telemetry below which nothing is simulated."""

LAWS = 5
"""Contention laws a config is simulated under: the fitted one, and refits as it could have come out."""

NEVER = 3600.0


class Met(NamedTuple):
    """What each recall met under one config and one law; times in ms.

    ``busy_ms`` is the slot time if the limit were always reached: what capacity follows from.
    """

    latency_ms: Floats
    slot_ms: Floats
    busy_ms: Floats
    failed: npt.NDArray[np.bool_]
    partial: npt.NDArray[np.bool_]
    limit: int

    def only(self, counted: npt.NDArray[np.intp]) -> Met:
        """Return the columns of some of the recalls."""
        return Met(
            self.latency_ms[counted],
            self.slot_ms[counted],
            self.busy_ms[counted],
            self.failed[counted],
            self.partial[counted],
            self.limit,
        )


class Past:
    """Recorded recalls in order, with each one's own works under every law.

    Attributes:
        recalls: those that say what they took, oldest first.
        counted: places of those that figures are of.
        latency_ms: what each really took.
        seconds: time that they span.
        given_up: tasks that were given up at a timeout.
        laws: the fitted contention, then refits of it.
        works: own works under each of the laws.

    Args:
        records: recalls in any order.
        scope: count recalls of this type only; "all" counts all.
        speed: bring them so many times as fast.
        rng: of refits, and of what given-up tasks would have taken.

    Raises:
        ValueError: if fewer than ``LEAST`` recalls carry task telemetry, or none is of the scope's type.
    """

    def __init__(
        self, records: Sequence[QueryMetrics], scope: str, speed: float, rng: np.random.Generator
    ) -> None:
        telemetry = Telemetry()
        for record in sorted(records, key=_ended):
            telemetry.add(record)
        known = sorted((s for s in telemetry.seen if s.tasks or s.hit), key=lambda s: s.began)
        if telemetry.measured < LEAST:
            raise ValueError(
                f"{telemetry.measured} recalls say what their layers did, and {LEAST} are needed to simulate"
            )
        self.recalls = known
        self.counted = np.array([i for i, s in enumerate(known) if scope in ("all", s.query_type)], np.intp)
        if not len(self.counted):
            raise ValueError(f"none of {len(known)} recalls is of type {scope}")
        self.latency_ms = np.array([s.latency_ms for s in known])
        self.seconds = known[-1].began - known[0].began
        self.given_up = sum(t.outcome is TaskOutcome.TIMEOUT for s in known for t in s.tasks)
        self.laws: list[Laws] = [telemetry.laws()]
        self.laws += [telemetry.refitted(rng) for _ in range(LAWS - 1)] if telemetry.laws() else []
        self._times = [(s.began - known[0].began) / speed for s in known]
        self.works = [self._works(telemetry, laws, rng) for laws in self.laws]

    def met(self, configs: ConfigSet, laws: Laws, works: Works) -> Met:
        """Return what the recalls meet under some configs."""
        n = len(self.recalls)
        cached = [s.hit and configs.for_type(s.query_type).enable_cache for s in self.recalls]
        asked = [i for i in range(n) if not cached[i]]
        trace = Trace(tuple(Ask(self._times[i], self.recalls[i].query_type, works[i]) for i in asked))
        limit = configs.default.config.max_concurrent
        kept = {layer: _Kept(law) for layer, law in laws.items()}
        matter: dict[str, Slowdown] = {layer: law for layer, law in kept.items() if law(limit) > NEGLIGIBLE}
        run = Simulation(trace, configs, matter).run().result()
        slow = {layer: law(limit) for layer, law in kept.items()}
        no = np.zeros(n, bool)
        met = Met(self.latency_ms.copy(), np.zeros(n), np.zeros(n), no, no.copy(), limit)
        met.latency_ms[asked], met.slot_ms[asked] = run.latency_ms, run.held_ms
        met.failed[asked], met.partial[asked] = run.failed, run.partial
        for i in asked:
            config = configs.for_type(self.recalls[i].query_type)
            skipped = config.skipped_layers if config.layer_selection_enabled else frozenset()
            met.busy_ms[i] = 1000 * sum(
                min(work * slow.get(layer, 1.0), config.timeout_for(layer))
                for layer, work in works[i]
                if layer not in skipped
            )
        return met.only(self.counted)

    def _works(self, telemetry: Telemetry, laws: Laws, rng: np.random.Generator) -> Works:
        """Return each recall's layers and own works, in seconds."""
        missed = [s for s in self.recalls if s.tasks]
        tails = _tails(missed)
        works: dict[int, tuple[tuple[str, float], ...]] = {}
        for s, ask in zip(missed, telemetry.trace(missed, laws).asks, strict=True):
            works[id(s)] = tuple(
                (layer, work + tails[layer].draw(rng) if t.outcome is TaskOutcome.TIMEOUT else work)
                for (layer, work), t in zip(ask.tasks, s.tasks, strict=True)
            )
        like: dict[str, list[Seen]] = {}
        for s in missed:
            for key in (s.text, s.query_type, ""):
                like.setdefault(key, []).append(s)
        for s in self.recalls:
            if id(s) not in works:
                found = like.get(s.text) or like.get(s.query_type) or like[""]
                works[id(s)] = works[id(found[rng.integers(len(found))])]
        return [works[id(s)] for s in self.recalls]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A law kept from running away: beyond what it may be asked, capacity stays at least what it was there.

    A refit on two or three in flight may well say sixty times slower at fifteen; nothing seen speaks for it.
    """

    law: ContentionLaw

    def __call__(self, n: float) -> float:
        most = self.law.trusted
        factor = self.law.factor(n)
        return factor if n <= most else min(factor, self.law.factor(most) * n / most)


class _Tail(NamedTuple):
    """How given-up tasks of a layer go on: a share comes after an exponential time, the rest never."""

    mean: float
    comes: float

    def draw(self, rng: np.random.Generator) -> float:
        return float(rng.exponential(self.mean)) if rng.random() < self.comes else NEVER


def _tails(recalls: Sequence[Seen]) -> dict[str, _Tail]:
    """Estimate by layer how given-up tasks would have gone on.

    Beyond the upper quartile u of those that came back, times are taken as exponential with mean m, cut off
    at the timeout T. Of n such tasks ``n / (exp((T − u)/m) − 1)`` are expected to have reached T; what was
    given up beyond that number hangs.
    """
    came: dict[str, list[float]] = {}
    lost: dict[str, list[float]] = {}
    for s in recalls:
        for t in s.tasks:
            shelf = lost if t.outcome is TaskOutcome.TIMEOUT else came
            shelf.setdefault(t.layer, []).append(t.service_ms / 1000)
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


def _ended(record: QueryMetrics) -> float:
    return record.timestamp + (record.latency_ms or 0.0) / 1000
