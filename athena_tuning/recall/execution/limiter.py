"""The one limit on layer tasks in flight, shared by all recalls of a manager."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from athena_tuning.recall.execution.bulkhead import IN_USE_SECONDS, LayerSlots, may_take


class Waiter(Protocol):
    """Something that wants a slot."""

    @property
    def layer_name(self) -> str:
        """For which layer."""

    def granted(self, in_flight: int) -> bool:
        """Take the slot. Called from any thread; must neither block nor raise.

        Args:
            in_flight: slots taken by now, this one included.

        Returns:
            False if the slot is no longer wanted; then it goes to somebody else.
        """


@dataclass(frozen=True, slots=True)
class SlotLedger:
    """Slots since the start: ``given == returned + held`` whenever nothing is being given or returned.

    Attributes:
        given: slots that somebody took.
        returned: slots that came back.
        held: slots that are out, by layer.
        waiting: waiters without a slot, by layer.
    """

    given: int
    returned: int
    held: dict[str, int]
    waiting: dict[str, int]


class SharedLimit:
    """A resizable number of slots for several layers.

    Nobody blocks here: a waiter is told when it has its slot, in the thread that freed one, so that threads
    and event loops wait alike. After a shrink the slots that are too many run out as they are released.

    First come, first served, within what ``bulkhead.may_take`` allows a layer: a layer that holds its equal
    share lets those below theirs go first.

    Who holds a slot is a fact about the waiter, not a number that is counted up and down: giving it back
    twice is harmless, and an exception between two steps (a signal handler's) leaves nothing that ``holders``
    does not show.

    Invariants: ``in_flight`` grows only while it is below ``limit``; nobody waits who might have a free slot.

    Args:
        limit: slots there may be.
        clock: monotonic seconds.

    Examples:
        >>> class Print:
        ...     layer_name = "semantic"
        ...     def granted(self, in_flight):
        ...         print("slot", in_flight)
        ...         return True
        >>> limit, first, second = SharedLimit(1), Print(), Print()
        >>> limit.acquire(first)
        slot 1
        >>> limit.acquire(second); limit.waiting
        1
        >>> limit.release(first)
        slot 1
        True
        >>> limit.release(first)
        False
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._limit = _checked(limit)
        self._clock = clock
        self._layers: dict[str, LayerSlots[Waiter]] = {}
        self._in_flight = self._waiting = 0
        self._returned = 0
        self._forgotten = 0
        self._numbers = count()

    @property
    def limit(self) -> int:
        """Slots there may be."""
        return self._limit

    @property
    def in_flight(self) -> int:
        """Slots taken."""
        return self._in_flight

    @property
    def is_full(self) -> bool:
        """Whether all slots are taken."""
        return self._in_flight >= self._limit

    @property
    def waiting(self) -> int:
        """Waiters without a slot."""
        return self._waiting

    @property
    def returned(self) -> int:
        """Slots that came back since the start."""
        return self._returned

    def ledger(self) -> SlotLedger:
        """Return what was given and returned so far, and what is out now."""
        with self._lock:
            return SlotLedger(
                self._forgotten + sum(slots.given for slots in self._layers.values()),
                self._returned,
                {name: len(slots.held) for name, slots in self._layers.items() if slots.held},
                {name: len(slots.queue) for name, slots in self._layers.items() if slots.queue},
            )

    def holders(self) -> list[tuple[Waiter, float]]:
        """Return who holds a slot, and since when in monotonic seconds."""
        with self._lock:
            holders = [held for slots in self._layers.values() for held in slots.held.items()]
            self._in_flight = len(holders)  # an interrupted step may have left it one off
            self._waiting = sum(len(slots.queue) for slots in self._layers.values())
            return holders

    def acquire(self, waiter: Waiter, now: float | None = None) -> None:
        """Give ``waiter`` a slot now, or queue it. ``now``: the clock's time, if it was just read."""
        if now is None:
            now = self._clock()
        with self._lock:
            slots = self._layers.get(waiter.layer_name)
            if slots is None:
                slots = self._add_layer(waiter.layer_name, now)
            slots.asked = now
            is_free = self._in_flight < self._limit and not slots.queue
            if not is_free or (slots.held and not self._may_take(slots, now)):
                slots.queue[waiter] = next(self._numbers)
                self._waiting += 1
                return
            in_flight = self._take(slots, waiter, now)
        if not waiter.granted(in_flight):
            self.release(waiter)

    def acquire_idle(self, waiter: Waiter, may_take: Callable[[int, int, int], bool]) -> bool:
        """Give ``waiter`` a slot now if there is room beyond need, or not at all; return whether it has one.

        Args:
            waiter: who wants it.
            may_take: decides last, by slots taken, waiters, and slots there may be; this lock is held.
        """
        now = self._clock()
        with self._lock:
            slots = self._layers.get(waiter.layer_name)
            if slots is None or not self._may_take(slots, now):
                return False
            if not may_take(self._in_flight, self._waiting, self._limit):
                return False
            in_flight = self._take(slots, waiter, now)
        if waiter.granted(in_flight):
            return True
        self.release(waiter)
        return False

    def release(self, waiter: Waiter, *, in_time: bool = False, now: float | None = None) -> bool:
        """Take a slot back, for the next in the queue if there is one.

        Args:
            waiter: who had it.
            in_time: whether its call returned before anybody lost patience; then it tells how long calls of
                its layer take.
            now: the clock's time, if it was just read.

        Returns:
            False if it has none.
        """
        if now is None:
            now = self._clock()
        with self._lock:
            if not self._take_back(waiter, now, in_time):
                return False
            waiting = self._waiting
        if waiting:
            self._give_out(now)
        return True

    def withdraw(self, waiter: Waiter) -> bool:
        """Take a waiter out of the queue; False if it is not there, for instance because it has its slot."""
        with self._lock:
            slots = self._layers.get(waiter.layer_name)
            if slots is None or slots.queue.pop(waiter, None) is None:
                return False
            self._waiting -= 1
            return True

    def resize(self, limit: int) -> None:
        """Set the number of slots; it holds for the next grant.

        Raises:
            ValueError: if ``limit`` is below 1.
        """
        checked = _checked(limit)
        with self._lock:
            self._limit = checked
        self._give_out(self._clock())

    def give_out(self) -> None:
        """Give free slots to whom they may be given by now: a bulkhead's bounds change with time."""
        self._give_out(self._clock())

    def _give_out(self, now: float) -> None:
        while self._waiting:
            with self._lock:
                slots = self._next(now)
                if slots is None:
                    return
                waiter = next(iter(slots.queue))
                in_flight = self._take(slots, waiter, now)
                if slots.queue.pop(waiter, None) is not None:
                    self._waiting -= 1
            if not waiter.granted(in_flight):
                with self._lock:
                    self._take_back(waiter, now, in_time=False)

    def _next(self, now: float) -> LayerSlots[Waiter] | None:
        """Return the layer whose first waiter comes next; None if nobody may have a slot now."""
        if self._in_flight >= self._limit:
            return None
        waiting = [slots for slots in self._layers.values() if slots.queue]
        if not waiting:
            return None
        active = sum([1 for slots in self._layers.values() if slots.queue or slots.held])
        share = max(1, self._limit // active)
        firsts = [(len(s.held) >= share, next(iter(s.queue.values())), s) for s in waiting]
        if self._may_take(first := min(firsts)[2], now):  # no two have one number
            return first
        return next((slots for _, _, slots in sorted(firsts) if self._may_take(slots, now)), None)

    def _may_take(self, slots: LayerSlots[Waiter], now: float) -> bool:
        return may_take(slots, self._layers.values(), self._limit, now)

    def _take(self, slots: LayerSlots[Waiter], waiter: Waiter, now: float) -> int:
        if waiter not in slots.held:
            slots.held[waiter] = now
            slots.given += 1
            self._in_flight += 1
        return self._in_flight

    def _take_back(self, waiter: Waiter, now: float, in_time: bool) -> bool:
        slots = self._layers.get(waiter.layer_name)
        since = None if slots is None else slots.held.pop(waiter, None)
        if slots is None or since is None:
            return False
        self._in_flight -= 1
        self._returned += 1
        if in_time:
            slots.served(now - since, now)
        return True

    def _add_layer(self, name: str, now: float) -> LayerSlots[Waiter]:
        for old, slots in list(self._layers.items()):
            if not slots.in_use(now) and now - slots.asked > 60 * IN_USE_SECONDS:
                self._forgotten += slots.given
                del self._layers[old]
        slots = self._layers[name] = LayerSlots(now)
        return slots


def _checked(limit: int) -> int:
    if limit < 1:
        raise ValueError(f"the limit must be at least 1, not {limit}")
    return limit
