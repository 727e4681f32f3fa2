"""How many examples a property is tried on."""

from __future__ import annotations

from hypothesis import settings


def examples(number: int) -> int:
    """Return the number, or in a profile with fewer examples than the hundred of the usual one, its share."""
    return max(1, number * settings.default.max_examples // 100) if settings.default else number
