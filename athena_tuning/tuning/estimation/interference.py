"""Whether managers slow each other down: what others' tasks in flight add to what a manager's own explain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from athena_tuning.model import TaskOutcome
from athena_tuning.tuning.estimation.fleet_concurrency import Floats, Ints, running_at_start
from athena_tuning.tuning.estimation.measured_recall import MeasuredRecall
from athena_tuning.tuning.settings import INTERFERENCE, TELEMETRY


class Relation(StrEnum):
    """What is known of managers that share a store."""

    UNKNOWN = "unknown"
    SHARED = "shared"
    APART = "apart"


@dataclass(frozen=True, slots=True)
class Interference:
    """How much slower tasks are when the others' tasks make many in flight rather than few.

    Attributes:
        relation: what follows: SHARED where they surely slow each other down by more than 5 %, APART where
            they surely do not by 10 %, over others' tasks that at least doubled what was in flight.
        effect: log ratio of service times between the ninetieth and the tenth percentile of what others add.
        low: lower end of its interval.
        high: upper end.
        tasks: it rests on.
        most: tasks of all managers in flight at once that many tasks have met.
        why: in words.
    """

    relation: Relation = Relation.UNKNOWN
    effect: float = math.nan
    low: float = math.nan
    high: float = math.nan
    tasks: int = 0
    most: int = 1
    why: str = "no recalls were seen of several managers yet"


def interference(recalls: Sequence[MeasuredRecall]) -> Interference:
    """Return what recalls of several managers say of how these slow each other down.

    The logarithm of a task's service time is regressed on ``ln(all in flight / own in flight)`` as it
    started, within groups of the same layer and the same number of its own manager's tasks: what they explain
    is taken out first. The number at the start is used because a long task meets more others by being long.
    Neighbours in time are alike, so the interval is drawn from 20 stretches of consecutive tasks (a
    cluster-robust variance: Liang and Zeger, 1986).

    Args:
        recalls: of all managers, on clocks that agree to some ms. Those that ended in the last second are
            left out: what ran beside them may not be known yet.
    """
    newest = max((recall.ended for recall in recalls), default=0.0)
    tasks = [
        (recall.began + (t.offset_ms + t.queue_ms) / 1000, t) for recall in recalls for t in recall.tasks
    ]
    tasks.sort(key=lambda each: each[0])
    if not tasks:
        return Interference()
    start = np.array([at for at, _ in tasks])
    service = np.array([task.service_ms for _, task in tasks])
    own = np.array([max(task.in_flight, 1) for _, task in tasks])
    together = running_at_start(start, start + service / 1000, TELEMETRY.together_ms / 1000)
    known = start < newest - INTERFERENCE.settles_s
    known &= np.array([task.outcome is TaskOutcome.OK for _, task in tasks]) & (service > 0)
    levels, counts = np.unique(together[known], return_counts=True)
    met = levels[counts >= INTERFERENCE.level]
    most = int(met[-1]) if len(met) else 1
    names = {name: i for i, name in enumerate(sorted({task.layer for _, task in tasks}))}
    layer = np.array([names[task.layer] for _, task in tasks])
    group = (layer * 4096 + np.minimum(own, 4095))[known]
    x = np.log(np.maximum(together, own) / own)[known]
    return _judged(_slope(group, x, np.log(service[known])), x, int(known.sum()), most)


def _slope(group: Ints, x: Floats, y: Floats) -> tuple[float, float]:
    """Return the slope within groups, and its standard error by stretches of time."""
    if len(x) < INTERFERENCE.tasks:
        return math.nan, math.nan
    _, place = np.unique(group, return_inverse=True)
    size = np.bincount(place)
    x = x - (np.bincount(place, x) / size)[place]
    y = y - (np.bincount(place, y) / size)[place]
    spread = float((x**2).sum())
    if spread < 1e-9:
        return math.nan, math.nan
    slope = float((x * y).sum()) / spread
    stretch = np.arange(len(x)) * INTERFERENCE.stretches // len(x)
    sums = np.bincount(stretch, x * (y - slope * x))
    return slope, math.sqrt(float((sums**2).sum())) / spread


def _judged(found: tuple[float, float], x: Floats, tasks: int, most: int) -> Interference:
    slope, error = found
    if tasks < INTERFERENCE.tasks:
        why = f"{tasks} tasks were seen, {INTERFERENCE.tasks} are needed"
        return Interference(tasks=tasks, most=most, why=why)
    if not math.isfinite(slope):
        why = "what the others had in flight did not differ"
        return Interference(tasks=tasks, most=most, why=why)
    few, many = np.quantile(x, [0.1, 0.9])
    range_ = float(many - few)
    effect, half = slope * range_, INTERFERENCE.t * error * range_
    low, high = effect - half, effect + half
    words = f"tasks take {_percent(effect)} ({_percent(low)} to {_percent(high)}) where others make"
    words += f" {math.exp(range_):.1f} times as many in flight"
    relation = Relation.UNKNOWN
    if low > INTERFERENCE.shared:
        relation = Relation.SHARED
    elif range_ < INTERFERENCE.range:
        words += ", and that is too small a difference to tell"
    elif high < INTERFERENCE.apart:
        relation = Relation.APART
    else:
        words += ": that may be much or nothing"
    return Interference(relation, effect, low, high, tasks, most, words)


def _percent(log_ratio: float) -> str:
    return f"{math.expm1(log_ratio):+.0%}"
