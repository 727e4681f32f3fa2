"""Recalls to run again: when each came, what it asked, and how much work that was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Ask(NamedTuple):
    """One recall of a trace.

    ``time`` is seconds from the trace's start; ``tasks`` are the layers it asks, each with its own work in
    seconds: the service time it would have if nothing else ran. ``text`` tells repeated questions, which
    the cache may answer; "" is never repeated.
    """

    time: float
    query_type: str
    tasks: tuple[tuple[str, float], ...]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """Recalls in the order of their times.

    Raises:
        ValueError: if times go back or a work is negative; the message says where.

    Example:
        >>> Trace((Ask(0.0, "factual", (("semantic", 0.01),)), Ask(0.5, "meta", ()))).seconds
        0.5
    """

    asks: tuple[Ask, ...]

    def __post_init__(self) -> None:
        before = float("-inf")
        for i, ask in enumerate(self.asks):
            if ask.time < before:
                raise ValueError(f"recall {i} comes at {ask.time} s, before the one ahead of it")
            if any(not work >= 0 for _, work in ask.tasks):
                raise ValueError(f"recall {i} has a work that is not a time: {ask.tasks}")
            before = ask.time

    def __len__(self) -> int:
        return len(self.asks)

    @property
    def seconds(self) -> float:
        """Time from the first recall to the last."""
        return self.asks[-1].time - self.asks[0].time if self.asks else 0.0

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers that are asked, sorted."""
        return tuple(sorted({layer for ask in self.asks for layer, _ in ask.tasks}))


def joined(parts: Sequence[Trace]) -> Trace:
    """Return the parts one after the other, each beginning where the one ahead of it ended."""
    asks: list[Ask] = []
    for part in parts:
        begin = asks[-1].time if asks else 0.0
        asks += (ask._replace(time=begin + ask.time - part.asks[0].time) for ask in part.asks)
    return Trace(tuple(asks))
