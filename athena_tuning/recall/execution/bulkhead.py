"""Bulkheads: how many of the shared slots a layer may hold, so that none takes the others down with it."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection
from itertools import islice
from typing import Generic, TypeVar

W = TypeVar("W")

IN_USE_SECONDS = 60.0
"""A layer that nobody asked for so long needs no slot kept free."""

NEED_SECONDS = 10.0
"""Time constant of a layer's need: the average of what happened about so long ago until now."""

OVERDUE_TIMES = 5.0
OVERDUE_SECONDS = 0.2
"""A call is overdue after so many times its layer's mean service time, and at least so many seconds."""


class LayerSlots(Generic[W]):
    """What one layer holds and waits for, and what it has needed so far.

    Guarded by the lock of the limit that it is a part of. Times are monotonic seconds.

    Attributes:
        held: who holds a slot, and since when; the oldest first.
        queue: who waits for one, with a number that says who came first.
        given: slots given so far.
        asked: when a slot was last asked for.
        mean_seconds: typical service time of calls that returned in time; None before the first.
    """

    __slots__ = ("_began", "_busy", "_updated", "asked", "given", "held", "mean_seconds", "queue")

    def __init__(self, now: float) -> None:
        self.held: dict[W, float] = {}
        self.queue: OrderedDict[W, int] = OrderedDict()
        self.given = 0
        self.asked = self._began = self._updated = now
        self.mean_seconds: float | None = None
        self._busy = 0.0

    def served(self, seconds: float, now: float) -> None:
        """Note a call that returned in time."""
        self._busy = self._busy * math.exp((self._updated - now) / NEED_SECONDS) + seconds / NEED_SECONDS
        self._updated = now
        mean = seconds if self.mean_seconds is None else self.mean_seconds
        self.mean_seconds = mean + 0.1 * (seconds - mean)

    def need(self, now: float) -> float:
        """Return the slots that its returned calls kept busy of late, on average."""
        if not self._busy:
            return 0.0
        known = -math.expm1((self._began - now) / NEED_SECONDS)  # less than 1 until it is known for long
        return self._busy * math.exp((self._updated - now) / NEED_SECONDS) / max(known, 0.05)

    def in_use(self, now: float) -> bool:
        """Whether it is one of the layers that recalls ask."""
        return bool(self.held or self.queue) or now - self.asked < IN_USE_SECONDS

    def is_stuck(self, now: float) -> bool:
        """Whether its calls do not come back: none ever did, or over half of those under way are overdue."""
        if not self.held:
            return False
        if self.mean_seconds is None:
            return True
        overdue = max(OVERDUE_TIMES * self.mean_seconds, OVERDUE_SECONDS)
        oldest = next(iter(self.held.values()))
        return now - oldest > overdue and now - self._middle() > overdue

    def _middle(self) -> float:
        return next(islice(self.held.values(), len(self.held) // 2, None))


def may_take(slots: LayerSlots[W], everybody: Collection[LayerSlots[W]], limit: int, now: float) -> bool:
    """Whether a layer may take one more of the free slots.

    A layer that holds none may. With others in use it never holds all; it leaves free what they need on
    average, but an equal share and a quarter of the limit are its own in any case, so that layers which are
    all busy lend each other what is idle. Layers whose calls do not come back hold half of the slots at most,
    all together.

    Args:
        slots: the layer's.
        everybody: those of all layers, its own among them.
        limit: slots that there are.
        now: monotonic seconds.
    """
    held = len(slots.held)
    if held == 0:
        return True
    if held < limit // len(everybody) + limit // 4 and not slots.is_stuck(now):
        return True  # its own in any case, however many are in use: the rest need not be looked at
    others = [other for other in everybody if other is not slots and other.in_use(now)]
    if not others:
        return True
    if held >= limit - 1:
        return False
    if slots.is_stuck(now):
        stuck = held + sum(len(other.held) for other in others if other.is_stuck(now))
        return stuck < max(1, limit // 2)
    needed = math.ceil(sum(other.need(now) for other in others) + 0.25)
    return held < max(limit - needed, limit // (len(others) + 1) + limit // 4)
