"""Which recalls ask every layer, to see what each would add."""

from __future__ import annotations

import itertools
from collections.abc import Callable


class Exploration:
    """Has a share of the recalls explore: about evenly spread, at places that nobody can foresee.

    Between two of them lie 0.5 to 1.5 times the recalls that the share calls for, so that no traffic that
    repeats itself is always, or never, looked at. The first recalls of a manager explore nothing.

    Args:
        chance: draws from 0 to 1.

    Examples:
        >>> exploration = Exploration(lambda: 0.5)
        >>> [n for n in range(60) if exploration.explores(0.05)]
        [30, 50]
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._numbers = itertools.count()
        self._next: float | None = None

    def explores(self, share: float) -> bool:
        """Whether the recall that is asked now explores.

        Args:
            share: of recalls that do, 0 to 0.5.
        """
        number = next(self._numbers)
        if share <= 0:
            return False
        if self._next is None:
            self._next = (1.0 + self._chance()) / share
        if number < self._next:
            return False
        self._next = max(self._next, number - 0.5 / share) + (0.5 + self._chance()) / share
        return True
