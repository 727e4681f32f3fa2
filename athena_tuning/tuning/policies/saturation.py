"""What a limit that recalls wait for should become, before there is anything to search on."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from athena_tuning.model import Reason, TuningBounds, TuningStrategy
from athena_tuning.tuning.estimation.contention import ContentionLaw, capacity
from athena_tuning.tuning.estimation.telemetry import MeasuredRecall, Telemetry, trace_of
from athena_tuning.tuning.settings import SATURATION


@dataclass(frozen=True, slots=True)
class Waiting:
    """How tasks waited for a slot and were served, means in ms, and how many ran at once in the mean."""

    queue_ms: float
    service_ms: float
    tasks: int
    in_flight: float = 0.0

    def capacity(self, limit: int) -> float:
        """Return tasks a second that ``limit`` slots got done."""
        return limit / self.service_ms * 1000

    @property
    def done(self) -> float:
        """Tasks a second that got done, by those that ran at once (Little's law)."""
        return self.in_flight / self.service_ms * 1000

    def is_waited_for(self, strategy: TuningStrategy) -> bool:
        """Whether tasks wait so long that the limit is what recalls wait for, as the strategy sees it."""
        return self.queue_ms >= SATURATION.waiting[strategy] * self.service_ms > 0


def waiting(recent: Sequence[MeasuredRecall], since: float, least: int) -> Waiting | None:
    """Return how tasks waited under the present limit, or None if too few are known.

    Args:
        recent: recalls.
        since: Unix seconds; tasks that started before say nothing about the present limit.
        least: tasks needed.
    """
    tasks = [
        task
        for recall in recent
        for task in recall.tasks
        if recall.began + (task.offset_ms + task.queue_ms) / 1000 >= since
    ]
    if len(tasks) < least:
        return None
    queue = sum(task.queue_ms for task in tasks) / len(tasks)
    service = sum(task.service_ms for task in tasks) / len(tasks)
    passed = max(r.ended for r in recent) - max(since, min(r.began for r in recent))
    return Waiting(queue, service, len(tasks), service * len(tasks) / max(1000 * passed, 1e-3))


@dataclass(frozen=True, slots=True)
class LimitStep:
    """A step that was taken: from which limit, and what its slots got done."""

    limit: int
    capacity: float

    def growth(self, limit: int, seen: Waiting) -> float:
        """Return how many times as much the slots of ``limit`` got done."""
        return seen.capacity(limit) / self.capacity

    def has_lost(self, seen: Waiting) -> bool:
        """Whether more tasks at once than before got less done, though none may wait any more.

        Callers that wait for their answers ask less often where they are slow, and the queue of a step over
        a cliff is empty. Where load has fallen, fewer run at once than before, and nothing follows.
        """
        more = seen.in_flight >= SATURATION.more * self.limit
        return more and seen.done < SATURATION.lost * self.capacity

    def next(self, limit: int, seen: Waiting) -> int | None:
        """Return the limit that follows from what a step to ``limit`` gave, None if the step paid.

        More slots that get no more done are taken back; those that get less done than half of the step
        (in log ratio) promised are kept, and not more of them. Fewer slots are taken back if they get less
        done.
        """
        growth = self.growth(limit, seen)
        if limit < self.limit:
            return self.limit if growth < SATURATION.lost_by_fewer else None
        if growth < SATURATION.growth:
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
    as much is taken: its slots are free, and it shows what the levels below are like. Where that is known and
    the wait is no longer than a burst makes it, the limit stays: fewer slots would only make bursts longer.

    Args:
        limit: in force.
        seen: how tasks waited.
        work: mean own work of one recall in seconds, by layer.
        laws: by layer.
        bounds: the range to choose from.
        explored: limits that were tried to see what they are like; None: do not try any.
    """
    far = seen.queue_ms >= SATURATION.far_behind * seen.service_ms
    step = SATURATION.long_step if far else SATURATION.step
    known = sorted({n for law in laws.values() for n in law.known})
    least = max(bounds.min_concurrent, math.floor(min([limit, *known]) / SATURATION.step))
    top = max(limit, min(math.ceil(limit * step), bounds.max_concurrent))
    room = {n: capacity(n, work, laws) for n in {limit, *range(least, top + 1)}}
    best = max(sorted(room), key=lambda n: room[n])
    needed = SATURATION.sure_growth if known and best <= known[-1] else SATURATION.growth
    if len(known) < 2:
        best = top
    elif room[best] <= needed * room[limit]:
        best = _explored(limit, room, known, explored) or _least(limit, room, [] if far else known)
    growth = room[best] / room[limit]
    return Reason(
        "max_concurrent",
        best,
        f"queue wait above service time: up to × {step:g} where capacity grows; × {growth:.2f} by the law",
        {"queue_ms": seen.queue_ms, "service_ms": seen.service_ms, "capacity_ratio": growth},
        seen.tasks,
        f"at most {best}" if best == bounds.max_concurrent else None,
    )


def _least(limit: int, room: Mapping[int, float], known: Sequence[int]) -> int:
    """Return the least limit within a step down that has as much capacity and is not near a known one."""
    least = math.floor(limit / SATURATION.step)
    same = [n for n in room if least <= n < limit and room[n] >= SATURATION.same * room[limit]]
    return min((n for n in same if not _near_one(n, known)), default=limit)


def _near_one(limit: int, known: Sequence[int]) -> bool:
    return any(abs(math.log(limit / n)) < SATURATION.near for n in known)


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
        unknown = n not in explored and not _near_one(n, known)
        promising = n / slow > SATURATION.growth * room[limit]
        if limit < n <= limit * SATURATION.step and unknown and promising:
            return n
    return None


@dataclass(frozen=True, slots=True)
class SaturationMemory:
    """What is remembered of limits that were waited for.

    Attributes:
        looked_at: recalls by the last look.
        step: the last step up, if it has not been looked at.
        explored: limits that were tried to see what they are like.
        taken_back: whether the last look took a step back.
        paid: how many times as much the last step got done, if the last look found that it paid.
    """

    looked_at: int = -SATURATION.check
    step: LimitStep | None = None
    explored: frozenset[int] = frozenset()
    taken_back: bool = False
    paid: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """How tasks wait, and what the limit should therefore be."""

    waiting: Waiting
    reason: Reason


def look(
    telemetry: Telemetry,
    memory: SaturationMemory,
    limit: int,
    since: float,
    bounds: TuningBounds,
    *,
    strategy: TuningStrategy,
    explore: bool,
) -> tuple[SaturationMemory, Look | None]:
    """Look, every 15 recalls, whether the limit is waited for, and what a step up has brought.

    None if it is too soon, or nothing waits and the last step has done no harm.

    Args:
        telemetry: what was measured.
        memory: of earlier looks.
        limit: in force.
        since: Unix seconds; since then.
        bounds: the range to choose from.
        strategy: what is wanted: COST lets recalls wait longer before it adds slots.
        explore: whether to try limits that only might be better.
    """
    memory = replace(memory, taken_back=False, paid=None)
    if telemetry.position - memory.looked_at < SATURATION.check:
        return memory, None
    recent = telemetry.newest(4 * SATURATION.check)
    seen = waiting(recent, since, SATURATION.check)
    if seen is None:
        return memory, None
    taken = memory.step
    if taken is not None and limit > taken.limit and taken.has_lost(seen):
        memory = replace(memory, looked_at=telemetry.position, step=None, taken_back=True)
        return memory, Look(seen, _measured(taken, limit, seen, taken.limit))
    if not seen.is_waited_for(strategy):
        return memory, None
    memory = replace(memory, looked_at=telemetry.position, step=None)
    if taken is not None and limit != taken.limit:
        follows = taken.next(limit, seen)
        if follows is not None:
            memory = replace(memory, taken_back=follows == taken.limit)
            return memory, Look(seen, _measured(taken, limit, seen, follows))
        memory = replace(memory, paid=taken.growth(limit, seen) if limit > taken.limit else None)
    laws = telemetry.laws
    work = trace_of(recent, laws).mean_work
    reason = better_limit(limit, seen, work, laws, bounds, memory.explored if explore else None)
    if reason.value != limit:
        step = LimitStep(limit, seen.capacity(limit))
        memory = replace(memory, step=step, explored=memory.explored | {max(limit, reason.value)})
    return memory, Look(seen, reason)


def _measured(taken: LimitStep, limit: int, seen: Waiting, follows: int) -> Reason:
    growth = (seen.done if taken.has_lost(seen) else seen.capacity(limit)) / taken.capacity
    rule = f"{limit / taken.limit:.1f} times the slots got × {growth:.2f} done"
    return Reason("max_concurrent", follows, rule, {"capacity_ratio": growth}, seen.tasks)
