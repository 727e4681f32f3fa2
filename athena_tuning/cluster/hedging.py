"""When a recall that gets no answer is tried elsewhere: after how long, and how often in all."""

from __future__ import annotations

from collections import defaultdict, deque
from statistics import quantiles

FIRST_SECONDS = 1.0
"""As long as little is known of a type."""
LEAST_SECONDS = 0.05
"""Less says more of the scheduler than of a member."""
MOST_SECONDS = 5.0

_ENOUGH = 100
_WINDOW = 1000
_REFRESH = 50


class HedgingDelays:
    """The delay by type of query: the 99th percentile of what its latest thousand answers took.

    Examples:
        >>> delays = HedgingDelays()
        >>> delays.of("temporal")
        1.0
        >>> for n in range(200):
        ...     delays.learn("temporal", 0.2 if n % 50 == 0 else 0.1)
        >>> delays.of("temporal")
        0.2
    """

    def __init__(self) -> None:
        self._seen: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_WINDOW))
        self._since: dict[str, int] = defaultdict(int)
        self._delays: dict[str, float] = {}

    def of(self, query_type: str) -> float:
        """Return the seconds after which a recall of a type is tried elsewhere."""
        return self._delays.get(query_type, FIRST_SECONDS)

    def learn(self, query_type: str, seconds: float) -> None:
        """Note how long an answer took."""
        seen = self._seen[query_type]
        seen.append(seconds)
        self._since[query_type] += 1
        if self._since[query_type] >= _REFRESH and len(seen) >= _ENOUGH:
            self._since[query_type] = 0
            p99 = quantiles(seen, n=100)[-1]
            self._delays[query_type] = min(max(p99, LEAST_SECONDS), MOST_SECONDS)


class HedgingBudget:
    """How many recalls may be tried twice because they are slow: one in twenty, thirty in a burst.

    Without it, a cluster that is slow because it has too much to do would be asked twice for everything.
    A recall whose member is gone costs nothing of it.

    Examples:
        >>> budget = HedgingBudget(share=0.5, burst=1)
        >>> budget.take(), budget.take()
        (True, False)
        >>> budget.earn(); budget.earn()
        >>> budget.take()
        True
    """

    def __init__(self, share: float = 0.05, burst: float = 30.0) -> None:
        self._share = share
        self._burst = self._left = burst

    def earn(self) -> None:
        """Note that a recall was asked."""
        self._left = min(self._burst, self._left + self._share)

    def take(self) -> bool:
        """Return whether one may be tried again, which is then spent."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
