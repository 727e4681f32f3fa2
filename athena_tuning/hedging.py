"""Second calls where the first is slow: after how long, how often in all, and when there is room for them.

One law for what members of a cluster try again elsewhere, for layers that a manager asks twice, and for the
simulation of both. Not thread-safe: who shares one guards it.

Sources: J. Dean and L. A. Barroso, The Tail at Scale (2013): a second request after the 95th percentile costs
about 5 % and cuts the tail; gRPC's retry throttling (proposal A6): a budget that successes earn.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque

import numpy as np

_ENOUGH = 100
_WINDOW = 1000
_REFRESH = 50

SHARE = 0.05
"""Second calls a first one, over everything."""

ROOM = 0.6
"""Share of the slots that may be taken once a second call has its own. Chosen by ``benchmarks/hedging.py``:
at 80 % busy a second call costs others more than it gains."""


class HedgingDelays:
    """By kind of call, a percentile of what its latest thousand answers took.

    Args:
        quantile: which.
        first: seconds as long as fewer than a hundred are known.
        least: seconds at least; less says more of the scheduler than of who answers.
        most: seconds at most.

    Examples:
        >>> delays = HedgingDelays(0.99, first=1.0)
        >>> delays.of("temporal")
        1.0
        >>> for n in range(200):
        ...     delays.learn("temporal", 0.2 if n % 50 == 0 else 0.1)
        >>> delays.of("temporal")
        0.2
    """

    def __init__(
        self, quantile: float, *, first: float = math.inf, least: float = 0.0, most: float = math.inf
    ) -> None:
        self.quantile = quantile
        self._first, self._least, self._most = first, least, most
        self._seen: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_WINDOW))
        self._since: dict[str, int] = defaultdict(int)
        self._delays: dict[str, float] = {}

    def of(self, kind: str) -> float:
        """Return the seconds after which a call is tried a second time."""
        return self._delays.get(kind, self._first)

    def learn(self, kind: str, seconds: float) -> None:
        """Note how long a first call took, or at least had taken when the second one answered."""
        seen = self._seen[kind]
        seen.append(seconds)
        self._since[kind] += 1
        if self._since[kind] >= _REFRESH and len(seen) >= _ENOUGH:
            self._since[kind] = 0
            self.know(kind, float(np.quantile(seen, self.quantile, method="higher")))

    def know(self, kind: str, seconds: float) -> None:
        """Take a percentile that is known already."""
        self._delays[kind] = min(max(seconds, self._least), self._most)


class HedgingBudget:
    """How many calls may be made twice because they are slow: one in twenty, thirty in a burst.

    Without it, what is slow because it has too much to do would be asked twice for everything. Where who was
    asked is gone, trying elsewhere costs nothing of it.

    Args:
        share: second calls for each first one.
        burst: most that can be saved up.
        left: to begin with; None: a whole burst.

    Examples:
        >>> budget = HedgingBudget(share=0.5, burst=1)
        >>> budget.take(), budget.take()
        (True, False)
        >>> budget.earn(); budget.earn()
        >>> budget.take()
        True
    """

    def __init__(self, share: float = SHARE, burst: float = 30.0, left: float | None = None) -> None:
        self._share = share
        self._burst = burst
        self._left = burst if left is None else left

    def earn(self) -> None:
        """Note that a first call was made."""
        self._left = min(self._burst, self._left + self._share)

    @property
    def has_any(self) -> bool:
        """Whether one may be made a second time."""
        return self._left >= 1.0

    def take(self) -> bool:
        """Return whether one may be made a second time, which is then spent."""
        if not self.has_any:
            return False
        self._left -= 1.0
        return True


def has_room(in_flight: int, waiting: int, limit: int) -> bool:
    """Whether a second call may take a slot: nothing waits, and then at most 60 % of them are taken.

    Examples:
        >>> has_room(5, 0, 10), has_room(6, 0, 10), has_room(1, 1, 10)
        (True, False, False)
    """
    return not waiting and in_flight + 1 <= ROOM * limit
