"""One flight for identical recalls: the first one asks the layers, the others wait for its answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Flight(Generic[Answer]):
    """A recall under way that others may wait for."""

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.thread = threading.get_ident()
        self._answer: Future[Answer | None] = Future()

    def wait(self, seconds: float) -> Answer | None:
        """Wait in this thread; None if the flight failed, takes longer, or can only end in this thread."""
        if self.thread == threading.get_ident():
            return None
        try:
            return self._answer.result(seconds)
        except TimeoutError:
            return None

    async def join(self, seconds: float) -> Answer | None:
        """Wait without blocking the running loop; None if the flight failed or takes longer."""
        waiting = asyncio.shield(asyncio.wrap_future(self._answer))
        try:
            return await asyncio.wait_for(waiting, seconds)
        except TimeoutError:
            return None

    def land(self, answer: Answer | None) -> None:
        """Give everybody who waits the answer, or None if there is none to share."""
        self._answer.set_result(answer)


class Flights(Generic[Answer]):
    """The flights under way, by what they ask.

    Example:
        >>> flights = Flights()
        >>> first, joined = flights.board("q"), flights.board("q")
        >>> joined[1], joined[0] is first[0]
        (False, True)
        >>> flights.land(first[0], "tea"); flights.board("q")[1]
        True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, Flight[Answer]] = {}

    def board(self, key: Hashable) -> tuple[Flight[Answer], bool]:
        """Return the flight for ``key`` and whether it was begun by this call."""
        with self._lock:
            flight = self._under_way.get(key)
            if flight is not None:
                return flight, False
            flight = self._under_way[key] = Flight(key)
            return flight, True

    def land(self, flight: Flight[Answer], answer: Answer | None) -> None:
        """End a flight; who comes later begins a new one."""
        with self._lock:
            del self._under_way[flight.key]
        flight.land(answer)
