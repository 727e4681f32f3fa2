"""A chart is a spec to draw and a sentence that says the same in words."""

from __future__ import annotations

from typing import Any, NamedTuple


class Chart(NamedTuple):
    """What a page draws.

    Attributes:
        spec: a Plotly figure or an ECharts option, as plain JSON types.
        alt: what it shows, in words with figures: for people who do not see it, and for tests.
    """

    spec: dict[str, Any]
    alt: str
