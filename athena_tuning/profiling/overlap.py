"""How much of several intervals happens at the same time."""

from __future__ import annotations

from collections.abc import Iterable


def most_at_once(intervals: Iterable[tuple[float, float]]) -> int:
    """Return how many intervals (start, end) run at once at most; touching is not overlapping.

    Examples:
        >>> most_at_once([(0, 2), (1, 3), (2, 4)]), most_at_once([(0, 1), (1, 2)]), most_at_once([])
        (2, 1, 0)
    """
    most = running = 0
    changes = [change for start, end in intervals for change in ((start, 1), (end, -1))]
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return most


def time_covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Return the time in which at least one interval runs.

    Examples:
        >>> time_covered([(0, 2), (1, 3), (5, 6)])
        4.0
    """
    covered = 0.0
    reached = -float("inf")
    for start, end in sorted(intervals):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered
