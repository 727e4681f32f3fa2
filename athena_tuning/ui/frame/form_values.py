"""Values that people type into forms, checked where they are used."""

from __future__ import annotations

from collections.abc import Mapping


def number(values: Mapping[str, object], key: str, what: str, low: float, high: float) -> float:
    """Return the number that a field of a form holds.

    Fields have no limits of their own: a browser does not send a form with a value beyond them, and says so
    at the field alone, which may be out of sight.

    Args:
        values: of the form, by key.
        key: of the field.
        what: what the field is called.
        low: the least that is taken.
        high: the most that is taken.

    Raises:
        ValueError: if the field is empty or beyond its limits.

    Example:
        >>> number({"hours": 24}, "hours", "hours", 1, 72)
        24.0
        >>> number({"hours": 100}, "hours", "hours", 1, 72)
        Traceback (most recent call last):
            ...
        ValueError: hours must be 1 to 72, not 100
    """
    value = values.get(key)
    if not isinstance(value, (int, float)) or not low <= value <= high:
        held = f"{value:g}" if isinstance(value, (int, float)) else "empty"
        raise ValueError(f"{what} must be {low:g} to {high:g}, not {held}")
    return float(value)
