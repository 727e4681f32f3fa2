"""Works that were not seen to their end, or not often enough: how long the longest of them could be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from athena_tuning.model import TaskOutcome
from athena_tuning.tuning.estimation.telemetry import MeasuredRecall
from athena_tuning.tuning.settings import WHAT_IF

Works = Sequence[tuple[tuple[str, float], ...]]
"""Of each recall the layers that it asks, with their own work in seconds."""

NEVER = 3600.0
"""Seconds for which a call that hangs works."""


def with_drawn_tails(works: Works, rng: np.random.Generator) -> Works:
    """Return the works with each layer's largest fiftieth drawn from a tail that is possible.

    Beyond the threshold u times are Pareto, ``P(X > x) = (u/x)^α``, with Hill's estimate of α, which k of
    them know to ``α/√k``. What was seen ends at its largest; what comes does not. None is drawn beyond three
    times the largest: there nothing speaks for any law.

    Source: B. M. Hill, A simple general approach to inference about the tail of a distribution, 1975.
    """
    tails = {
        layer: tail._replace(alpha=tail.alpha * max(0.3, 1 + rng.normal() / math.sqrt(tail.works)))
        for layer, tail in pareto_tails(works).items()
    }
    return [tuple((layer, _tail_drawn(work, tails.get(layer), rng)) for layer, work in r) for r in works]


class ParetoTail(NamedTuple):
    """The largest works of a layer, ``P(X > x) = (threshold/x)^alpha`` (s), and how many they are."""

    threshold: float
    alpha: float
    largest: float
    works: int


def pareto_tails(works: Works) -> dict[str, ParetoTail]:
    """Return the tail of each layer that has works enough, with Hill's estimate of alpha."""
    by_layer: dict[str, list[float]] = {}
    for recall in works:
        for layer, work in recall:
            if 0 < work < NEVER:
                by_layer.setdefault(layer, []).append(work)
    tails = {}
    for layer, seen in by_layer.items():
        k = int(WHAT_IF.tail * len(seen))
        if k >= WHAT_IF.tail_least:
            ordered = np.sort(seen)
            u = float(ordered[-k - 1])
            index = k / max(float(np.log(ordered[-k:] / u).sum()), 1e-9)
            tails[layer] = ParetoTail(u, index, float(ordered[-1]), k)
    return tails


def _tail_drawn(work: float, tail: ParetoTail | None, rng: np.random.Generator) -> float:
    if tail is None or not tail.threshold < work < NEVER:
        return work
    return float(min(tail.threshold * (1 - rng.random()) ** (-1 / tail.alpha), 3 * tail.largest))


class GivenUpTail(NamedTuple):
    """How given-up tasks of a layer go on: a share comes after an exponential time, the rest never."""

    mean: float
    comes: float

    def draw(self, rng: np.random.Generator) -> float:
        """Return how much longer one would have taken, in seconds."""
        return float(rng.exponential(self.mean)) if rng.random() < self.comes else NEVER


def given_up_tails(recalls: Sequence[MeasuredRecall]) -> dict[str, GivenUpTail]:
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
            tails[layer] = GivenUpTail(1.0, 0.0)
            continue
        start = float(np.quantile(times, 0.75))
        cut = max(min(given_up), float(above.max())) - start
        mean = _mean_of_cut_off(float((above - start).mean()), cut)
        reach = len(above) / math.expm1(min(cut / mean, 700.0))
        tails[layer] = GivenUpTail(mean, min(1.0, reach / len(given_up)))
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
