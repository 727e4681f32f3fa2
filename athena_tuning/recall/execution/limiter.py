"""The one limit on layer tasks in flight, shared by all recalls of a manager."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Protocol


class Waiter(Protocol):
    """Something that wants a slot."""

    def granted(self, in_flight: int) -> None:
        """Take the slot. Called once, from any thread; must neither block nor raise.

        Args:
            in_flight: slots taken by now, this one included.
        """


class SharedLimit:
    """A resizable number of slots, given out first come, first served.

    Nobody blocks here: a waiter is told when it has its slot, in the thread that freed one, so that
    threads and event loops wait alike. After a shrink the slots that are too many run out as they are
    released; no slot is ever lost or given twice.

    Invariants: ``in_flight`` grows only while it is below ``limit``; nobody waits while a slot is free.

    Example:
        >>> class Print:
        ...     def granted(self, in_flight): print("slot", in_flight)
        >>> limit = SharedLimit(1)
        >>> limit.acquire(Print())
        slot 1
        >>> limit.acquire(Print()); limit.waiting
        1
        >>> limit.resize(2)
        slot 2
    """

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._limit = _checked(limit)
        self._in_flight = 0
        self._giving_out = False
        self._waiters: OrderedDict[Waiter, None] = OrderedDict()

    @property
    def limit(self) -> int:
        """Slots there may be."""
        return self._limit

    @property
    def in_flight(self) -> int:
        """Slots taken."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """Waiters without a slot."""
        return len(self._waiters)

    def acquire(self, waiter: Waiter) -> None:
        """Give ``waiter`` a slot now, or queue it."""
        with self._lock:
            if self._waiters or self._in_flight >= self._limit:
                self._waiters[waiter] = None
                return
            self._in_flight += 1
            in_flight = self._in_flight
        waiter.granted(in_flight)

    def release(self) -> None:
        """Give one slot back, to the next in the queue if there is one."""
        with self._lock:
            if self._in_flight == 0:
                raise RuntimeError("released a slot that nobody had")
            self._in_flight -= 1
        self._give_out()

    def withdraw(self, waiter: Waiter) -> bool:
        """Take a waiter out of the queue; False if it has been granted already."""
        with self._lock:
            if waiter not in self._waiters:
                return False
            del self._waiters[waiter]
            return True

    def resize(self, limit: int) -> None:
        """Set the number of slots; it holds for the next grant.

        Raises:
            ValueError: if ``limit`` is below 1.
        """
        checked = _checked(limit)
        with self._lock:
            self._limit = checked
        self._give_out()

    def _give_out(self) -> None:
        """Grant what can be granted, in one thread at a time: a grant that ends at once must not recurse."""
        with self._lock:
            if self._giving_out:
                return  # the other thread looks again after its grant
            self._giving_out = True
        while True:
            with self._lock:
                if not self._waiters or self._in_flight >= self._limit:
                    self._giving_out = False
                    return
                waiter, _ = self._waiters.popitem(last=False)
                self._in_flight += 1
                in_flight = self._in_flight
            waiter.granted(in_flight)


def _checked(limit: int) -> int:
    if limit < 1:
        raise ValueError(f"the limit must be at least 1, not {limit}")
    return limit
