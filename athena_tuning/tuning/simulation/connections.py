"""A backend's connections in virtual time: who is served, and who stands in line."""

from __future__ import annotations

from collections import deque


class Connections:
    """So many tasks are served at once, first come, first served; a task in line holds its slot.

    Examples:
        >>> backend = Connections(1)
        >>> backend.serves(7), backend.serves(8), backend.left(7), backend.left(8)
        (True, False, 8, None)
    """

    __slots__ = ("_free", "_line", "_served")

    def __init__(self, number: int) -> None:
        self._free = number
        self._served: set[int] = set()
        self._line: deque[int] = deque()

    def serves(self, task: int) -> bool:
        """Whether a task is served at once; else it stands in line."""
        if self._free:
            self._free -= 1
            self._served.add(task)
            return True
        self._line.append(task)
        return False

    def left(self, task: int) -> int | None:
        """Take note that a task is over or given up, in line or not; return the one that is served next."""
        if task not in self._served:
            self._line.remove(task)
            return None
        self._served.discard(task)
        if not self._line:
            self._free += 1
            return None
        following = self._line.popleft()
        self._served.add(following)
        return following
