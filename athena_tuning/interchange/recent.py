"""Remembers the latest names of a stream in bounded memory, and in the same time however many came."""

from __future__ import annotations

from collections.abc import Hashable


class RecentNames:
    """Where names were seen first, of the latest ``most`` names at most and of half of them at least.

    Two generations are kept: taking the oldest of one dict out again and again would pass over all that was
    taken out before. Names are held by their hashes.

    Args:
        most: names that are held at most.

    Examples:
        >>> seen = RecentNames(4)
        >>> [seen.first(name, row) for row, name in enumerate("abacdefa")]
        [0, 1, 0, 3, 4, 5, 6, 7]
    """

    def __init__(self, most: int) -> None:
        self._half = max(1, most // 2)
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}

    def __contains__(self, name: Hashable) -> bool:
        key = hash(name)
        return key in self._young or key in self._old

    def first(self, name: Hashable, number: int) -> int:
        """Return the number under which a name was seen first; that is this one if it is new."""
        key = hash(name)
        if (known := self._old.get(key)) is not None:
            return known
        known = self._young.setdefault(key, number)
        if len(self._young) > self._half:
            self._old, self._young = self._young, {}
        return known
