"""How many tasks of all managers were in flight, from when each began and ended."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def running_at_start(start: Floats, end: Floats, together: float) -> Ints:
    """Return how many tasks run as each one starts, those that start together with it included.

    Args:
        start: of each task, in seconds.
        end: of each task.
        together: tasks that start within so many seconds of each other start together.

    Examples:
        >>> running_at_start(np.array([0.0, 0.0, 1.0]), np.array([2.0, 0.5, 3.0]), 0.001).tolist()
        [2, 2, 2]
    """
    begun = np.searchsorted(np.sort(start), start + together, "right")
    over = np.searchsorted(np.sort(end), start, "right")
    return np.asarray(np.maximum(begun - over, 1))
