"""Whether tasks stand in line behind a backend's connections, and how long each was really served."""

from __future__ import annotations

import math
from collections.abc import Sequence
from heapq import heappush, heapreplace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from athena_tuning.tuning.settings import POOL

Floats = npt.NDArray[np.float64]


class Line(NamedTuple):
    """What tasks would have met behind so many connections: first come, first served.

    Attributes:
        connections: tasks that are served at once.
        works: seconds for which each was served.
        waited: whether each stood in line first.
    """

    connections: int
    works: Floats
    waited: npt.NDArray[np.bool_]


def standing_in_line(start: Floats, end: Floats, layer: Sequence[str]) -> Line | None:
    """Return the line that explains what tasks took, or None where none does.

    A pool of c connections serves whoever came first; a task begins to be served when one of the c before it
    ends. That can be told: with fewer than there are, tasks would have ended before they were served; with
    more, those that stood in line would seem to have worked longer than those that did not, and what a task
    is to do has nothing to do with who was there before it. c is the least number that neither speaks
    against, if enough tasks stood in line behind it.

    Where it misleads: tasks of one length keep their order in any backend; layers that do not share the
    backend contradict a line that is there, and then none is found.

    Args:
        start: seconds at which each began, in the order in which they began.
        end: seconds at which each ended.
        layer: of each.
    """
    if not len(start):
        return None
    mean = float((end - start).mean())
    slack = POOL.slack * mean
    beside = np.arange(1.0, len(start) + 1) - np.searchsorted(np.sort(end), start, side="right")
    for connections in range(1, int(beside.max())):
        line = _served(start, end, connections, slack, POOL.least_wait * mean)
        if line is None:
            continue
        if int(line.waited.sum()) < POOL.waited:
            return None
        if _alike(line, beside, layer, slack):
            return line
    return None


def _served(start: Floats, end: Floats, connections: int, slack: float, least_wait: float) -> Line | None:
    """Return what tasks met behind so many connections; None where too many ended before they were served."""
    free_at: list[float] = []
    works, waited, impossible = [], [], 0
    for began, ended in zip(start.tolist(), end.tolist(), strict=True):
        served = began
        if len(free_at) < connections:
            heappush(free_at, ended)
        else:
            served = max(began, heapreplace(free_at, ended))
        works.append(ended - served)
        waited.append(served > began + least_wait)
        impossible += ended < served - slack
        if impossible > POOL.impossible * len(start):
            return None
    if impossible > POOL.impossible * sum(waited):
        return None
    return Line(connections, np.maximum(works, 0.0), np.array(waited))


def _alike(line: Line, beside: Floats, layer: Sequence[str], slack: float) -> bool:
    """Whether what tasks worked has nothing to do with who was there: those in line, and how many beside.

    Tasks are compared with others of their layer.
    """
    logs, names = np.log(np.maximum(line.works, slack)), np.array(layer)
    behind, ahead, by_number = [], [], []
    for name in sorted(set(layer)):
        mine, waited = logs[names == name], line.waited[names == name]
        if POOL.both <= waited.sum() <= len(mine) - POOL.both:
            mine = mine - mine.mean()
            behind.append(mine[waited])
            ahead.append(mine[~waited])
            numbers = np.log(beside[names == name][~waited])
            by_number.append(numbers - numbers.mean())
    if min(sum(map(len, behind)), sum(map(len, ahead))) < POOL.waited:
        return False
    one, other, numbers = map(np.concatenate, (behind, ahead, by_number))
    error = math.sqrt(one.var() / len(one) + other.var() / len(other))
    slope = float(numbers @ other) / max(math.sqrt(float(numbers @ numbers) * float(other.var())), 1e-9)
    return abs(one.mean() - other.mean()) <= POOL.errors * max(error, 1e-9) and abs(slope) <= POOL.errors
