"""Answers that may be given again, kept by layer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from athena_tuning import fork
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

Part = TypeVar("Part")
Whole = TypeVar("Whole")

Stamp = tuple[int, ...]
"""How often each layer of a recall had been written to when it was begun."""


class CacheLosses(NamedTuple):
    """Answers of layers that had ended when they were asked for again: a hit would have saved each a call.

    ``expired``: it was older than its lifetime. ``written``: the layer had been written to. ``displaced``:
    queries whose answers newer ones pushed out; whether they were asked for again is not known.
    """

    expired: int = 0
    written: int = 0
    displaced: int = 0


class _Kept(NamedTuple, Generic[Part]):
    part: Part
    writes: int
    made: float
    expires: float


class _Entry(NamedTuple, Generic[Part, Whole]):
    """What is kept for one query: each layer's answer, and what was last made of some of them, for one k."""

    parts: Mapping[str, _Kept[Part]]
    layers: tuple[str, ...] = ()
    made_of: tuple[_Kept[Part], ...] = ()
    whole: Whole | None = None
    k: int = 1


class Lookup(NamedTuple, Generic[Part, Whole]):
    """What the cache has for a recall.

    Attributes:
        parts: the answers that hold, by layer, to make an answer of; none where it is made already.
        whole: what was made of them, if all hold; None: it has to be made.
    """

    parts: Mapping[str, Part]
    whole: Whole | None


class AnswerCache(Generic[Part, Whole]):
    """The latest answers of layers, by query, bounded: the query that was least recently asked goes first.

    Each layer's answer ends by itself: after its own lifetime, and with a write to its layer, also with one
    that came while it was being made: it carries the ``stamp`` taken before the layer was asked, and holds
    only while the layer still has it. A layer that fails takes nothing from what the others gave.

    Args:
        max_entries: queries whose answers are kept at most.
        lifetimes: seconds by layer; others have ``DEFAULT_LIFETIME``.
        clock: monotonic seconds.
        is_enough: whether an answer of a layer is enough for so many results.

    Examples:
        >>> cache = AnswerCache()
        >>> layers = ("semantic", "graph")
        >>> cache.put("q", layers, cache.stamp(layers), {"semantic": "tea"})
        >>> cache.get("q", layers).parts
        {'semantic': 'tea'}
        >>> cache.written(["semantic"]); cache.get("q", layers).parts
        {}
    """

    def __init__(
        self,
        max_entries: int = 1024,
        lifetimes: Mapping[str, float] = LIFETIMES,
        *,
        clock: Callable[[], float] = time.monotonic,
        is_enough: Callable[[Part, int], bool] = lambda *_: True,
    ) -> None:
        self._is_enough = is_enough
        self._lifetimes = dict(lifetimes)
        self._stale: dict[str, float] = {}
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: LruCache[Hashable, _Entry[Part, Whole]] = LruCache(max_entries)
        self._writes: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        fork.register(self)

    def __len__(self) -> int:
        return len(self._entries)

    def renew_after_fork(self) -> None:
        """Make the lock anew in a forked child; what is kept stays."""
        self._lock = threading.Lock()

    def set_lifetime(self, layer: str, seconds: float | None, stale_seconds: float = 0.0) -> None:
        """Set how long answers of a layer may be repeated, from the next answer on.

        Args:
            layer: its name.
            seconds: 0: never; None: as long as is usual for its name.
            stale_seconds: how much longer ``stale`` may give them.
        """
        if seconds is not None:
            self._lifetimes[layer] = seconds
        self._stale[layer] = stale_seconds

    def keeps(self, layer: str) -> bool:
        """Whether answers of a layer may be repeated at all."""
        return self._lifetimes.get(layer, DEFAULT_LIFETIME) > 0

    def stamp(self, layers: Iterable[str]) -> Stamp:
        """Return what ``put`` wants to know of the time before the layers were asked."""
        return tuple(self._writes[layer] for layer in layers)

    def get(self, key: Hashable, layers: tuple[str, ...], k: int = 1) -> Lookup[Part, Whole]:
        """Return the answers of some layers that still hold, and are enough for ``k`` results."""
        entry = self._entries.get(key)
        if entry is None:
            return Lookup({}, None)
        now, writes = self._clock(), self._writes
        if entry.whole is not None and entry.layers == layers and entry.k == k:
            for layer, kept in zip(layers, entry.made_of, strict=True):
                if now >= kept.expires or kept.writes != writes[layer]:
                    break
            else:
                return Lookup({}, entry.whole)
        held: dict[str, Part] = {}
        ended = []
        for layer in layers:
            known = entry.parts.get(layer)
            if known is None:
                continue
            if known.writes == writes[layer] and now < known.expires:
                if self._is_enough(known.part, k):
                    held[layer] = known.part
            else:
                ended.append(layer)
        if ended:
            self._note_ended(key, ended, now)
        return Lookup(held, None)

    def put(
        self,
        key: Hashable,
        layers: tuple[str, ...],
        stamp: Stamp,
        parts: Mapping[str, Part],
        whole: Whole | None = None,
        k: int = 1,
    ) -> None:
        """Keep answers of layers, each unless its layer was written to since ``stamp``.

        Args:
            key: what was asked.
            layers: those of the recall, in the order of ``stamp``.
            stamp: from before they were asked.
            parts: answers by layer, where there is one; what is kept already stays.
            whole: what was made of the answers of all these layers.
            k: results that it was made for.
        """
        now = self._clock()
        with self._lock:
            stamps = dict(zip(layers, stamp, strict=True))
            known = self._with_parts(self._entries.get(key), stamps, parts, now)
            if not known:
                return
            made_of = tuple(known[layer] for layer in layers if layer in known)
            if len(made_of) < len(layers):
                whole = None
            self._entries.put(key, _Entry(known, layers, made_of, whole, k))

    def _with_parts(
        self,
        entry: _Entry[Part, Whole] | None,
        stamp: Mapping[str, int],
        parts: Mapping[str, Part],
        now: float,
    ) -> dict[str, _Kept[Part]]:
        """Return what an entry holds with answers of layers that nobody has written to since ``stamp``."""
        known = dict(entry.parts) if entry is not None else {}
        for layer, writes in stamp.items():
            lifetime = self._lifetimes.get(layer, DEFAULT_LIFETIME)
            if layer in parts and lifetime > 0 and writes == self._writes[layer]:
                kept = known.get(layer)
                if kept is None or kept.part is not parts[layer]:
                    known[layer] = _Kept(parts[layer], writes, now, now + lifetime)
        return known

    def stale(self, key: Hashable, layer: str) -> tuple[Part, float] | None:
        """Return the last answer of a layer although it has expired, and its age in seconds.

        Only as long as ``set_lifetime`` allows, and not if the layer was written to.
        """
        entry = self._entries.get(key)
        kept = None if entry is None else entry.parts.get(layer)
        if kept is None or kept.writes != self._writes[layer]:
            return None
        now = self._clock()
        return (kept.part, now - kept.made) if now < kept.expires + self._stale.get(layer, 0.0) else None

    @property
    def losses(self) -> CacheLosses:
        """What expiry, writes and the bound took away so far."""
        with self._lock:
            return CacheLosses(**self._lost, displaced=self._entries.evictions)

    def written(self, layers: Iterable[str]) -> None:
        """End all answers of these layers."""
        with self._lock:
            self._writes.update(layers)

    def clear(self) -> None:
        """Forget all answers."""
        self._entries.clear()

    def _note_ended(self, key: Hashable, layers: Sequence[str], now: float) -> None:
        """Count answers that have ended, once, and drop those that cannot even be ``stale``."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return
            parts = dict(entry.parts)
            for layer in layers:
                kept = parts.get(layer)
                if kept is None:
                    continue
                written = kept.writes != self._writes[layer]
                if not written and now < kept.expires:
                    continue  # made anew meanwhile
                if written or now >= kept.expires + self._stale.get(layer, 0.0):
                    del parts[layer]
                self._lost["written" if written else "expired"] += 1
            if parts:
                self._entries.put(key, _Entry(parts))
            else:
                self._entries.pop(key)
