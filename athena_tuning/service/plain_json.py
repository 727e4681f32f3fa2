"""Answers as JSON can say them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def without_nan(value: Any) -> Any:
    """Return a value of mappings, lists and figures in which a figure that is unknown is None.

    Examples:
        >>> without_nan({"p99": float("nan"), "n": (1, 2.5)})
        {'p99': None, 'n': [1, 2.5]}
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(inner) for inner in value]
    return value
