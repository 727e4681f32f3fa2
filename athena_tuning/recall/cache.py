"""Answers that may be given again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

from athena_tuning.lru_cache import LruCache

LIFETIMES: Mapping[str, float] = {
    "episodic": 180.0,
    "semantic": 300.0,
    "procedural": 600.0,
    "prospective": 240.0,
    "graph": 600.0,
    "meta": 120.0,
}
"""Seconds for which an answer of a layer may be repeated: what changes often is kept shortly."""

DEFAULT_LIFETIME = 300.0
"""The same for a layer under a name of the caller's own."""

Answer = TypeVar("Answer")

Stamp = tuple[int, ...]
"""How often each layer of an answer had been written to when the answer was begun."""


class _Entry(NamedTuple, Generic[Answer]):
    answer: Answer
    layers: tuple[str, ...]
    stamp: Stamp
    expires: float


class CacheLosses(NamedTuple):
    """Answers that had ended when they were asked for again: each cost calls that a hit would have saved.

    ``expired``: it was older than its lifetime. ``written``: a layer that it used had been written to.
    ``displaced``: answers that newer ones pushed out; whether they were asked for again is not known.
    """

    expired: int = 0
    written: int = 0
    displaced: int = 0


class AnswerCache(Generic[Answer]):
    """The latest answers, bounded: the least recently used goes first.

    An answer made of several layers lives as long as the shortest-lived of them. A write to a layer ends
    every answer that used it, also one that was being made at the time: an answer carries the ``stamp``
    taken before its layers were asked, and holds only while the layers still have it.

    Args:
        max_entries: answers kept at most.
        lifetimes: seconds by layer; others have ``DEFAULT_LIFETIME``.
        clock: monotonic seconds.

    Example:
        >>> cache = AnswerCache()
        >>> stamp = cache.stamp(("semantic",))
        >>> cache.put("q", "tea", ("semantic",), stamp); cache.get("q")
        'tea'
        >>> cache.written(["semantic"]); cache.get("q") is None
        True
    """

    def __init__(
        self,
        max_entries: int = 1024,
        lifetimes: Mapping[str, float] = LIFETIMES,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lifetimes = dict(lifetimes)
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: LruCache[Hashable, _Entry[Answer]] = LruCache(max_entries)
        self._writes: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    def set_lifetime(self, layer: str, seconds: float) -> None:
        """Set how long answers of a layer may be repeated, from the next answer on."""
        self._lifetimes[layer] = seconds

    def stamp(self, layers: Iterable[str]) -> Stamp:
        """Return what ``put`` wants to know of the time before the layers were asked."""
        return tuple(self._writes[layer] for layer in layers)

    def get(self, key: Hashable) -> Answer | None:
        """Return the answer if there is one that still holds."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            written = self.stamp(entry.layers) != entry.stamp
            if written or self._clock() >= entry.expires:
                self._lost["written" if written else "expired"] += 1
                self._entries.pop(key)
                return None
            return entry.answer

    def put(self, key: Hashable, answer: Answer, layers: tuple[str, ...], stamp: Stamp) -> None:
        """Keep an answer, unless one of its layers was written to since ``stamp``."""
        lifetime = min((self._lifetimes.get(layer, DEFAULT_LIFETIME) for layer in layers), default=0.0)
        with self._lock:
            if self.stamp(layers) != stamp or lifetime <= 0:
                return
            self._entries.put(key, _Entry(answer, layers, stamp, self._clock() + lifetime))

    @property
    def losses(self) -> CacheLosses:
        """What expiry, writes and the bound took away so far."""
        with self._lock:
            return CacheLosses(**self._lost, displaced=self._entries.evictions)

    def written(self, layers: Iterable[str]) -> None:
        """End all answers that used any of these layers."""
        with self._lock:
            self._writes.update(layers)

    def clear(self) -> None:
        """Forget all answers."""
        self._entries.clear()
