"""Single flight: of callers that want the same at the same time, one computes and the others wait for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Flight(Generic[T]):
    """A computation under way that others may wait for."""

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self._thread = threading.get_ident()
        self._result: Future[T | None] = Future()

    @property
    def is_own(self) -> bool:
        """Whether this very thread is computing it: here nobody can wait for it."""
        return self._thread == threading.get_ident()

    def wait(self, seconds: float | None = None) -> T | None:
        """Wait in this thread.

        Args:
            seconds: how long at most; None: until there is a result.

        Returns:
            The result; None if the computation failed, takes longer, or can only end in this very thread.
        """
        if self.is_own:
            return None
        try:
            return self._result.result(seconds)
        except TimeoutError:
            return None

    async def wait_async(self, seconds: float) -> T | None:
        """Wait without blocking the running loop; None if the computation failed or takes longer."""
        shielded = asyncio.shield(asyncio.wrap_future(self._result))
        try:
            return await asyncio.wait_for(shielded, seconds)
        except TimeoutError:
            return None

    def resolve(self, result: T | None) -> None:
        """Give the result to everybody who waits; None if there is none to share. A second one is ignored."""
        if not self._result.done():
            self._result.set_result(result)


class SingleFlight(Generic[T]):
    """The computations under way, by what they compute.

    Example:
        >>> flights = SingleFlight()
        >>> (flight, first), (same, second) = flights.join("q"), flights.join("q")
        >>> first, second, same is flight
        (True, False, True)
        >>> flights.resolve(flight, "tea"); flights.join("q")[1]
        True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, Flight[T]] = {}

    def join(self, key: Hashable) -> tuple[Flight[T], bool]:
        """Return the flight for ``key``, and whether the caller is the first: then it has to compute."""
        with self._lock:
            flight = self._under_way.get(key)
            if flight is not None:
                return flight, False
            flight = self._under_way[key] = Flight(key)
            return flight, True

    def resolve(self, flight: Flight[T], result: T | None) -> None:
        """End a flight; who comes later begins a new one. None: there is no result to share."""
        self.forget(flight)
        flight.resolve(result)

    def forget(self, flight: Flight[T]) -> None:
        """Let nobody join a flight any more that takes too long: its caller may be gone."""
        with self._lock:
            if self._under_way.get(flight.key) is flight:
                del self._under_way[flight.key]
