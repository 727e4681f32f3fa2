"""A clock that tests move."""

from __future__ import annotations


class Clock:
    """Seconds that stand still until a test moves them: Unix or monotonic, as the test uses them."""

    def __init__(self, now: float = 1_750_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the seconds at which it stands."""
        return self.now
