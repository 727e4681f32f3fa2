"""What a page looks at: a period and a filter, from the controls of the frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from athena_tuning.model.source import MEASURED

RANGES: dict[str, float] = {
    "15m": 900.0,
    "1h": 3600.0,
    "6h": 21_600.0,
    "24h": 86_400.0,
    "7d": 604_800.0,
}
"""The periods to choose from, in seconds up to now."""

DEFAULT_RANGE = "1h"
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)


@dataclass(frozen=True, slots=True)
class View:
    """A period in Unix seconds and what to keep of it. Equal views have equal answers for equal data.

    Attributes:
        start: the period's start.
        end: its end (excluded).
        query_type: only recalls of this type; None for all.
        layer: only this layer's share; None for all.
        timezone: IANA name for everything that is told by the clock.
        config_version: only recalls that ran this version; None for all.
        sources: only recalls from these kinds of sources, or batches; None for all.
    """

    start: float
    end: float
    query_type: str | None = None
    layer: str | None = None
    timezone: str = "UTC"
    config_version: int | None = None
    sources: frozenset[str] | None = MEASURED

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise ValueError(f"a view must end after it starts, not {self.start} to {self.end}")

    @property
    def seconds(self) -> float:
        """The length of the period."""
        return self.end - self.start

    @property
    def before(self) -> View:
        """The period of equal length that ends where this one starts."""
        return replace(self, start=self.start - self.seconds, end=self.start)

    @property
    def where(self) -> dict[str, Any]:
        """The filter that the profiler's reads take."""
        return {
            "start": self.start,
            "end": self.end,
            "query_type": self.query_type,
            "layer": self.layer,
            "config_version": self.config_version,
            "sources": self.sources,
        }

    def only(self, **changes: Any) -> View:
        """Return this view with some of its fields replaced."""
        return replace(self, **changes)

    def bucket_seconds(self, points: int = 120, span: float | None = None) -> float:
        """Return a round bucket that divides the period (or ``span``) into at most about ``points``.

        Examples:
            >>> View(0, 3600).bucket_seconds(120), View(0, 86400).bucket_seconds(120)
            (30.0, 900.0)
        """
        wanted = (span or self.seconds) / points
        return float(next((step for step in _STEPS if step >= wanted), _STEPS[-1]))


def view_of(
    range_name: str,
    now: float,
    *,
    custom: tuple[float, float] | None = None,
    query_type: str | None = None,
    layer: str | None = None,
    timezone: str = "UTC",
    sources: frozenset[str] | None = MEASURED,
) -> View:
    """Return the view of a named range that ends now, or of a custom period.

    The end is rounded up, to 2 s for short ranges and to a twenty-thousandth of long ones: pages that look at
    the same thing at about the same time then share one computation.

    Args:
        range_name: a key of ``RANGES``, or "custom".
        now: Unix seconds.
        custom: start and end in Unix seconds for "custom"; the wrong way round is turned.
        query_type: a type, or None.
        layer: a layer, or None.
        timezone: IANA name.
        sources: kinds of sources, or batches; None for all.

    Examples:
        >>> view_of("1h", 7201.5).end
        7202.0
    """
    if range_name == "custom" and custom and custom[0] != custom[1]:
        start, end = sorted(custom)
    else:
        length = RANGES.get(range_name, RANGES[DEFAULT_RANGE])
        step = max(2.0, length / 20_000)
        end = -(-now // step) * step
        start = end - length
    return View(start, end, query_type, layer, timezone, sources=sources)
