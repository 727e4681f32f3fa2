"""Recalls to run again: when each came, what it asked, and how much work that was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Arrival(NamedTuple):
    """One recall of a trace as it arrives.

    ``time`` is seconds from the trace's start; ``tasks`` are the layers it asks, each with its own work in
    seconds: the service time it would have if nothing else ran. ``text`` tells repeated questions, which
    the cache may answer; "" is never repeated. ``background`` ones have the low priority. ``rounds`` has for
    each task the round that it is asked in, from 0 on: one begins when those before it are over. Without
    rounds all are asked at once.
    """

    time: float
    query_type: str
    tasks: tuple[tuple[str, float], ...]
    text: str = ""
    background: bool = False
    rounds: tuple[int, ...] = ()


class TraceColumns(NamedTuple):
    """A trace by column: ``recall`` and ``layer`` (its place in ``layers``) of every task, and its work.

    ``first`` is the first task of every recall, and one more.
    """

    layers: tuple[str, ...]
    times: list[float]
    first: list[int]
    recall: list[int]
    layer: list[int]
    work: list[float]
    recalls: npt.NDArray[np.intp]
    tasks: npt.NDArray[np.intp]


@dataclass(frozen=True)
class Trace:
    """Recalls in the order of their times.

    Raises:
        ValueError: if times go back, a work is negative, or rounds are not of the tasks; the message says
            where.

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
            if recall.rounds and (len(recall.rounds) != len(recall.tasks) or 0 not in recall.rounds):
                raise ValueError(f"recall {i} has {len(recall.tasks)} tasks in rounds {recall.rounds}")
            if any(not work >= 0 for _, work in recall.tasks):
                raise ValueError(f"recall {i} has a work that is not a time: {recall.tasks}")
            before = recall.time

    def __len__(self) -> int:
        return len(self.arrivals)

    @property
    def seconds(self) -> float:
        """Time from the first recall to the last."""
        return self.arrivals[-1].time - self.arrivals[0].time if self.arrivals else 0.0

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """All layers that are asked, sorted."""
        return tuple(sorted({layer for recall in self.arrivals for layer, _ in recall.tasks}))

    @cached_property
    def columns(self) -> TraceColumns:
        """The trace by column, for those that run it often; not to be changed."""
        counts = [len(recall.tasks) for recall in self.arrivals]
        number = {layer: i for i, layer in enumerate(self.layers)}
        return TraceColumns(
            self.layers,
            [recall.time for recall in self.arrivals],
            list(accumulate(counts, initial=0)),
            [i for i, recall in enumerate(self.arrivals) for _ in recall.tasks],
            [number[layer] for recall in self.arrivals for layer, _ in recall.tasks],
            [work for recall in self.arrivals for _, work in recall.tasks],
            np.repeat(np.arange(len(self)), np.array(counts, np.intp)),
            np.array(counts, np.intp),
        )

    @cached_property
    def mean_work(self) -> Mapping[str, float]:
        """Own work of the mean recall in seconds, by layer."""
        return mean_work((self,))


def mean_work(traces: Sequence[Trace]) -> Mapping[str, float]:
    """Return the own work of the mean recall of several traces in seconds, by layer."""
    total = dict.fromkeys(sorted({layer for trace in traces for layer in trace.layers}), 0.0)
    for trace in traces:
        for recall in trace.arrivals:
            for layer, work in recall.tasks:
                total[layer] += work
    recalls = sum(map(len, traces))
    return {layer: work / recalls for layer, work in total.items()}
