"""What a limit that recalls wait for should become, before there is anything to search on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from athena_tuning.model import Reason, TuningBounds
from athena_tuning.tuning.contention import ContentionLaw, capacity
from athena_tuning.tuning.telemetry import Seen

SATURATED, FAR_BEHIND = 0.6, 2.0
"""Mean queue wait over mean service time from which the limit is what recalls wait for, and badly so."""

STEP_UP, LONG_STEP = 1.6, 2.5
"""How far up at once: of a limit that is waited for, and of one that is far behind."""

GROWTH, SURE_GROWTH = 1.05, 1.15
"""Capacity to gain: beyond what was seen, and within it, where the law says more than a try would."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Tasks that waited for a slot longer than they were served. Means in ms."""

    queue_ms: float
    service_ms: float
    tasks: int


def waiting(recent: Sequence[Seen], since: float, least: int) -> Waiting | None:
    """Return how tasks waited under the present limit, or None if they did not, or too few are known.

    Args:
        recent: recalls.
        since: Unix seconds; tasks that started before say nothing about the present limit.
        least: tasks needed.
    """
    tasks = [t for s in recent for t in s.tasks if s.began + (t.offset_ms + t.queue_ms) / 1000 >= since]
    if len(tasks) < least:
        return None
    queue = sum(t.queue_ms for t in tasks) / len(tasks)
    service = sum(t.service_ms for t in tasks) / len(tasks)
    return Waiting(queue, service, len(tasks)) if queue >= SATURATED * service else None


def better_limit(
    limit: int,
    seen: Waiting,
    work: Mapping[str, float],
    laws: Mapping[str, ContentionLaw],
    bounds: TuningBounds,
) -> Reason:
    """Return the limit with the most capacity up to a step above the present one.

    Where the law knows one level only it knows no slope, so the step itself is the experiment: the next
    look has two levels. Down is as good as up: a limit that makes tasks slower than it adds slots is what
    they wait for, too.
    """
    step = STEP_UP if seen.queue_ms < FAR_BEHIND * seen.service_ms else LONG_STEP
    top = max(limit, min(math.ceil(limit * step), bounds.max_concurrent))
    room = {n: capacity(n, work, laws) for n in {limit, *range(bounds.min_concurrent, top + 1)}}
    best = max(sorted(room), key=lambda n: room[n])
    if max((law.levels for law in laws.values()), default=0) < 2:
        best = top
    else:
        known = best <= max(law.largest for law in laws.values())
        best = best if room[best] > (SURE_GROWTH if known else GROWTH) * room[limit] else limit
    growth = room[best] / room[limit]
    return Reason(
        "max_concurrent",
        best,
        f"queue wait above service time: up to × {step:g} where capacity grows; × {growth:.2f} by the law",
        {"queue_ms": seen.queue_ms, "service_ms": seen.service_ms, "capacity_ratio": growth},
        seen.tasks,
        f"at most {best}" if best == bounds.max_concurrent else None,
    )
