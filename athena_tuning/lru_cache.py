"""A bounded cache: the least recently used entry goes first, and one caller computes for all that ask."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from athena_tuning import fork
from athena_tuning.single_flight import SingleFlight

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Keeps values by key, at most so many. It may be used from any thread.

    Args:
        max_entries: values kept at most.
        on_evict: called with each value that made room for a newer one, without any lock of the cache.

    Examples:
        >>> cache = LruCache(2)
        >>> cache.put("a", 1), cache.put("b", 2), cache.get("a"), cache.put("c", 3)
        (None, None, 1, None)
        >>> cache.get("b") is None, cache.get_or_compute("d", lambda: 4), cache.evictions
        (True, 4, 2)
    """

    def __init__(self, max_entries: int, on_evict: Callable[[V], object] | None = None) -> None:
        self._max_entries = max_entries
        self._on_evict = on_evict
        self._values: OrderedDict[K, V] = OrderedDict()
        self._evictions = 0
        self.renew_after_fork()
        fork.register(self)

    def renew_after_fork(self) -> None:
        """Keep the values in a forked child; who computes or has the lock is the parent's."""
        self._lock = threading.Lock()
        self._flights: SingleFlight[tuple[V]] = SingleFlight()

    def __len__(self) -> int:
        return len(self._values)

    @property
    def evictions(self) -> int:
        """Values that made room for newer ones so far."""
        return self._evictions

    def get(self, key: K) -> V | None:
        """Return the value of a key, which is now the last one used; None if there is none."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: K, value: V) -> None:
        """Keep a value, in place of the key's earlier one."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            evicted = self._excess()
            self._evictions += len(evicted)
        if self._on_evict is not None:
            for gone in evicted:
                self._on_evict(gone)

    def _excess(self) -> list[V]:
        """Take out what is too much, the one used longest ago first; called with the lock."""
        return [self._values.popitem(last=False)[1] for _ in range(len(self._values) - self._max_entries)]

    def get_or_compute(self, key: K, compute: Callable[[], V]) -> V:
        """Return the value of a key, computed now if there is none.

        Of callers that ask at the same time one computes; the others wait for its value. If it fails, its
        caller gets the exception and the next one computes. A computation that asks for its own key computes
        that by itself.
        """
        while (kept := self._kept(key)) is None:
            flight, first = self._flights.join(key)
            if first:
                try:
                    kept = self._kept(key)  # somebody may have been ready just now
                    if kept is None:
                        kept = (compute(),)
                        self.put(key, kept[0])
                finally:
                    self._flights.resolve(flight, kept)
            elif flight.is_own:
                return compute()
            else:
                kept = flight.wait()
            if kept is not None:
                break
        return kept[0]

    def pop(self, key: K) -> V | None:
        """Forget a key; return the value that it had."""
        with self._lock:
            return self._values.pop(key, None)

    def values(self) -> list[V]:
        """Return all values, the least recently used first."""
        with self._lock:
            return list(self._values.values())

    def clear(self) -> list[V]:
        """Forget all keys; return their values."""
        with self._lock:
            values = list(self._values.values())
            self._values.clear()
            return values

    def _kept(self, key: K) -> tuple[V] | None:
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return (self._values[key],)
