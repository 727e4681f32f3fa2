"""Recalls to run again: when each came, what it asked, and how much work that was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Arrival(NamedTuple):
    """One recall of a trace as it arrives.

    ``time`` is seconds from the trace's start; ``tasks`` are the layers it asks, each with its own work in
    seconds: the service time it would have if nothing else ran. ``text`` tells repeated questions, which
    the cache may answer; "" is never repeated. ``background`` ones have the low priority.
    """

    time: float
    query_type: str
    tasks: tuple[tuple[str, float], ...]
    text: str = ""
    background: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """Recalls in the order of their times.

    Raises:
        ValueError: if times go back or a work is negative; the message says where.

    Examples:
        >>> Trace((Arrival(0.0, "factual", (("semantic", 0.01),)), Arrival(0.5, "meta", ()))).seconds
        0.5
    """

    arrivals: tuple[Arrival, ...]

    def __post_init__(self) -> None:
        before = float("-inf")
        for i, recall in enumerate(self.arrivals):
            if recall.time < before:
                raise ValueError(f"recall {i} comes at {recall.time} s, before the one ahead of it")
            if any(not work >= 0 for _, work in recall.tasks):
                raise ValueError(f"recall {i} has a work that is not a time: {recall.tasks}")
            before = recall.time

    def __len__(self) -> int:
        return len(self.arrivals)

    @property
    def seconds(self) -> float:
        """Time from the first recall to the last."""
        return self.arrivals[-1].time - self.arrivals[0].time if self.arrivals else 0.0

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers that are asked, sorted."""
        return tuple(sorted({layer for recall in self.arrivals for layer, _ in recall.tasks}))
