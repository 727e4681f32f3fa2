"""What a limit that recalls wait for should become, before there is anything to search on."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from athena_tuning.model import Reason, TuningBounds
from athena_tuning.tuning.estimation.contention import ContentionLaw, capacity
from athena_tuning.tuning.estimation.telemetry import Seen, Telemetry
from athena_tuning.tuning.simulation.search import mean_work

CHECK = 15
"""Recalls between two looks, and tasks begun under the present limit that a look needs."""

SATURATED, FAR_BEHIND = 0.6, 2.0
"""Mean queue wait over mean service time from which the limit is what recalls wait for, and badly so."""

STEP_UP, LONG_STEP = 1.6, 2.5
"""How far up at once: of a limit that is waited for, and of one that is far behind."""

GROWTH, SURE_GROWTH = 1.05, 1.15
"""Capacity to gain: beyond what was seen, and within it, where the law says more than a try would."""

SAME = 0.98
"""Capacity from which fewer slots are as good as more."""

NEAR = 0.15
"""How far apart, in log ratio, two limits are at most to know one by the other."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Tasks that waited for a slot longer than they were served. Means in ms."""

    queue_ms: float
    service_ms: float
    tasks: int

    def capacity(self, limit: int) -> float:
        """Return tasks a second that ``limit`` slots got done."""
        return limit / self.service_ms * 1000


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


@dataclass(frozen=True, slots=True)
class Tried:
    """A step up that was taken: from which limit, and what its slots got done."""

    limit: int
    capacity: float

    def next(self, limit: int, seen: Waiting) -> int | None:
        """Return the limit that follows from what a step to ``limit`` gave, None if the step paid.

        More slots that get no more done are taken back; those that get less done than half of the step
        (in log ratio) promised are kept, and not more of them.
        """
        growth = seen.capacity(limit) / self.capacity
        if growth < GROWTH:
            return self.limit
        return limit if growth**2 < limit / self.limit else None


def better_limit(
    limit: int,
    seen: Waiting,
    work: Mapping[str, float],
    laws: Mapping[str, ContentionLaw],
    bounds: TuningBounds,
    explored: Collection[int] | None = None,
) -> Reason:
    """Return the limit with the most capacity between a step below and a step above the present one.

    Where the law knows one level only it knows no slope, so the step itself is the experiment: the next
    look has two levels. Down is as good as up: a limit that makes tasks slower than it adds slots is what
    they wait for, too. Where no other limit has more capacity, the least one within a step down that has
    as much is taken: its slots are free, and it shows what the levels below are like.

    Args:
        limit: in force.
        seen: how tasks waited.
        work: mean own work of one recall in seconds, by layer.
        laws: by layer.
        bounds: the range to choose from.
        explored: limits that were tried to see what they are like; None: do not try any.
    """
    step = STEP_UP if seen.queue_ms < FAR_BEHIND * seen.service_ms else LONG_STEP
    known = sorted({n for law in laws.values() for n in law.known})
    least = max(bounds.min_concurrent, math.floor(min([limit, *known]) / STEP_UP))
    top = max(limit, min(math.ceil(limit * step), bounds.max_concurrent))
    room = {n: capacity(n, work, laws) for n in {limit, *range(least, top + 1)}}
    best = max(sorted(room), key=lambda n: room[n])
    if len(known) < 2:
        best = top
    elif room[best] <= (SURE_GROWTH if best <= known[-1] else GROWTH) * room[limit]:
        best = _explored(limit, room, known, explored) or _least(limit, room)
    growth = room[best] / room[limit]
    return Reason(
        "max_concurrent",
        best,
        f"queue wait above service time: up to × {step:g} where capacity grows; × {growth:.2f} by the law",
        {"queue_ms": seen.queue_ms, "service_ms": seen.service_ms, "capacity_ratio": growth},
        seen.tasks,
        f"at most {best}" if best == bounds.max_concurrent else None,
    )


def _least(limit: int, room: Mapping[int, float]) -> int:
    least = math.floor(limit / STEP_UP)
    return min(n for n in room if least <= n <= limit and room[n] >= SAME * room[limit])


def _explored(
    limit: int, room: Mapping[int, float], known: Sequence[int], explored: Collection[int] | None
) -> int | None:
    """Return a limit above that nothing is known of and that could have more capacity, if there is one.

    The law draws a line between the levels it knows, and a knee in between lies above that line: at best a
    level is as fast as the known one below it.
    """
    if explored is None or limit not in known:
        return None
    slow = limit / room[limit]
    for n in sorted(room, reverse=True):
        near = any(abs(math.log(n / m)) < NEAR for m in known)
        if (
            limit < n <= limit * STEP_UP
            and n not in explored
            and not near
            and n / slow > GROWTH * room[limit]
        ):
            return n
    return None


class Reflex:
    """Looks every ``CHECK`` recalls whether the limit is waited for, and remembers its last step."""

    def __init__(self) -> None:
        self._looked = -CHECK
        self._tried: Tried | None = None
        self._explored: set[int] = set()
        self.waiting: Waiting | None = None
        self.taken_back = False

    def look(
        self, telemetry: Telemetry, limit: int, since: float, bounds: TuningBounds, *, explore: bool
    ) -> Reason | None:
        """Return what the limit should be, or None if it is too soon or nothing waits.

        Args:
            telemetry: what was seen.
            limit: in force.
            since: Unix seconds; since then.
            bounds: the range to choose from.
            explore: whether to try limits that only might be better.
        """
        self.taken_back = False
        if telemetry.position - self._looked < CHECK:
            return None
        recent = [s for s in telemetry.newest(4 * CHECK) if s.tasks]
        seen = self.waiting = waiting(recent, since, CHECK)
        if seen is None:
            return None
        self._looked = telemetry.position
        tried, self._tried = self._tried, None
        if tried is not None and limit > tried.limit:
            follows = tried.next(limit, seen)
            self.taken_back = follows == tried.limit
            if follows is not None:
                return self._measured(tried, limit, seen, follows)
        laws = telemetry.laws()
        work = mean_work(telemetry.trace(recent, laws))
        reason = better_limit(limit, seen, work, laws, bounds, self._explored if explore else None)
        if reason.value > limit:
            self._tried = Tried(limit, seen.capacity(limit))
            self._explored.add(reason.value)
        return reason

    def _measured(self, tried: Tried, limit: int, seen: Waiting, follows: int) -> Reason:
        growth = seen.capacity(limit) / tried.capacity
        rule = f"{limit / tried.limit:.1f} times the slots got × {growth:.2f} done"
        return Reason("max_concurrent", follows, rule, {"capacity_ratio": growth}, seen.tasks)
