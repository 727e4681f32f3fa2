"""How layer tasks slow each other down: a law fitted from what tasks met."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

KNEES = (2, 3, 4, 6, 8, 10, 12, 16, 20, 24)
"""Numbers in flight at which a backend may run out of slots."""

TRUST = 1.5
PRIOR = 0.1
"""How far, in log ratio, real curves are expected to leave the sum."""

KEPT_PER_LEVEL = 200
LEVELS = 64


@dataclass(frozen=True, slots=True)
class ContentionLaw:
    """How many times longer a task takes with n tasks in flight than alone.

    ``f(n) = 1 + σ(n−1) + κ·n(n−1) + Σ hₖ·max(0, n−k)``. The first terms are the Universal Scalability Law:
    σ is what tasks wait for each other (a lock, a core), κ what they cost each other (cache, thrashing).
    The knees are a backend with k slots: no cost below k, full cost above, which the law without them
    smears over all n. All coefficients are ≥ 0. ``rest`` is what the levels that were seen say beyond that,
    as log ratios shrunk by ``τ²/(τ² + error²)`` (τ = 0.1): a measured curve with a bump (an embedded store
    is best at the core count, worse at twice it, better again at four times) fits no such sum.

    Trustworthy up to ``TRUST`` times the largest n that it was fitted on: raise the limit one step and look
    again rather than asking further out. What it says of a single n is nothing: ``levels`` tells on how
    many it rests.

    Attributes:
        sigma: σ.
        kappa: κ.
        knees: (k, hₖ) where hₖ > 0.
        rest: (n, log ratio of what was seen to the sum), linear between; beyond the ends it stays.
        work_ms: a task's own work, alone.
        largest: largest n that was seen often enough.
        levels: different n that were seen often enough.
        samples: tasks it rests on.

    Example:
        >>> ContentionLaw(knees=((10, 0.1),)).factor(5), ContentionLaw(knees=((10, 0.1),)).factor(20)
        (1.0, 2.0)
    """

    sigma: float = 0.0
    kappa: float = 0.0
    knees: tuple[tuple[int, float], ...] = ()
    rest: tuple[tuple[float, float], ...] = ()
    work_ms: float = math.nan
    largest: int = 1
    levels: int = 0
    samples: int = 0

    def factor(self, n: float) -> float:
        """Return f(n).

        Raises:
            ValueError: if n is below 1.
        """
        if n < 1:
            raise ValueError(f"at least one task is in flight, not {n}")
        return self._sum(n) * math.exp(self._beyond(n))

    def _sum(self, n: float) -> float:
        knees = sum(h * (n - k) for k, h in self.knees if n > k)
        return 1.0 + self.sigma * (n - 1) + self.kappa * n * (n - 1) + knees

    def _beyond(self, n: float) -> float:
        if not self.rest:
            return 0.0
        low = self.rest[0]
        for high in self.rest:
            if n <= high[0]:
                share = (n - low[0]) / (high[0] - low[0]) if high[0] > low[0] else 1.0
                return low[1] + max(share, 0.0) * (high[1] - low[1])
            low = high
        return low[1]

    @property
    def trusted(self) -> int:
        """Largest n that the law may be asked for."""
        return max(self.largest + 1, int(self.largest * TRUST))


def capacity(limit: int, work: Mapping[str, float], laws: Mapping[str, ContentionLaw]) -> float:
    """Return recalls a second when ``limit`` tasks are always in flight.

    ``X(L) = L / Σ wₗ·fₗ(L)``: each recall holds slots for as long as its tasks take at that L.

    Args:
        limit: tasks in flight.
        work: mean own work of one recall in seconds, by layer.
        laws: by layer; a layer without one knows no contention.
    """
    held = sum(w * (laws[layer].factor(limit) if layer in laws else 1.0) for layer, w in work.items())
    return limit / held if held > 0 else math.inf


@dataclass(slots=True)
class Levels:
    """What the tasks of one layer took, grouped by the number in flight as they started.

    The group is the number at the start, because the mean number over a task's time depends on the task: a
    long one outlives its neighbours, so long tasks seem to have met few, and contention would look like
    none. Within a group that is averaged out (it is an instrument), and the group's mean number, weighted
    by time, is what its mean service time belongs to.

    Each group keeps its newest tasks, so that numbers which the present limit no longer reaches go on
    saying what they said, until they are older than what ``forget`` is told.
    """

    taken: dict[int, deque[tuple[float, float, int]]] = field(default_factory=dict)

    def add(self, started_with: int, in_flight: float, service_ms: float, position: int) -> None:
        """Note one task: number in flight at its start and on average, its time, and the recall's number."""
        level = min(max(started_with, 1), LEVELS)
        if level not in self.taken:
            self.taken[level] = deque(maxlen=KEPT_PER_LEVEL)
        self.taken[level].append((in_flight, service_ms, position))

    def forget(self, before: int) -> None:
        """Drop tasks of recalls numbered below ``before``."""
        for level in list(self.taken):
            kept = self.taken[level]
            while kept and kept[0][2] < before:
                kept.popleft()
            if not kept:
                del self.taken[level]

    def table(self, least: int) -> tuple[Floats, Floats, Floats, int]:
        """Return n, mean service time, its standard error of groups with ``least`` tasks; and all tasks."""
        rows = []
        for tasks in self.taken.values():
            if len(tasks) < least:
                continue
            values = np.array([(n, ms) for n, ms, _ in tasks])
            service = np.minimum(values[:, 1], np.quantile(values[:, 1], 0.98))
            error = max(float(service.std()), 0.05 * float(service.mean())) / math.sqrt(len(service))
            n = max(1.0, float(values[:, 0] @ service) / max(float(service.sum()), 1e-12))
            rows.append((n, max(float(service.mean()), 1e-9), error, len(service)))
        if not rows:
            empty = np.empty(0)
            return empty, empty, empty, 0
        columns = np.array(sorted(rows)).T
        return columns[0], columns[1], columns[2], int(columns[3].sum())


def fit(
    levels: Levels, *, least: int = 12, noise: npt.NDArray[np.float64] | None = None
) -> ContentionLaw | None:
    """Fit a law to what a layer's tasks took, or return None if too few were seen.

    Weighted non-negative least squares on the mean service time of each level, so that a level seen 10,000
    times does not drown one seen 100 times.

    Args:
        levels: what was seen.
        least: tasks that a level needs.
        noise: standard normal numbers, one for each level up to ``LEVELS``: refit as if the means had come
            out so many standard errors higher (a parametric bootstrap).
    """
    n, mean, error, samples = levels.table(least)
    if not len(n):
        return None
    if noise is not None:
        mean = np.maximum(mean + error * noise[: len(n)], 1e-9)
    knees = [k for k in KNEES if k < n.max()]
    columns = [np.ones_like(n), n - 1, n * (n - 1), *(np.maximum(0.0, n - k) for k in knees)]
    weight = 1.0 / np.maximum(error, 1e-12)
    c = nonnegative(np.array(columns).T * weight[:, None], mean * weight)
    alone = c[0]
    if alone <= 0:  # nothing speaks for a part that is there alone: all of it is shared
        alone = float((mean / n).min())
        c[1] = max(c[1], alone)
    law = ContentionLaw(
        c[1] / alone,
        c[2] / alone,
        tuple((k, float(h / alone)) for k, h in zip(knees, c[3:], strict=True) if h > 0),
        work_ms=float(alone),
        largest=round(float(n.max())),
        levels=len(n),
        samples=samples,
    )
    return replace(law, rest=_rest(law, n, mean, error))


def _rest(law: ContentionLaw, n: Floats, mean: Floats, error: Floats) -> tuple[tuple[float, float], ...]:
    rest = []
    for level, seen, doubt in zip(n.tolist(), mean.tolist(), (error / mean).tolist(), strict=True):
        ratio = math.log(seen / (law.work_ms * law.factor(level)))
        rest.append((level, ratio * PRIOR**2 / (PRIOR**2 + doubt**2)))
    first = rest[0][1]  # alone is where a factor is 1
    return tuple((level, ratio - first) for level, ratio in rest)


def nonnegative(a: Floats, b: Floats) -> list[float]:
    """Return the x ≥ 0 that minimises ‖ax − b‖ (Lawson and Hanson's active set, for a few columns).

    Example:
        >>> nonnegative(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([2.0, -1.0]))
        [2.0, 0.0]
    """
    columns = a.shape[1]
    scale = np.linalg.norm(a, axis=0)
    scale[scale == 0] = 1.0
    a = a / scale
    x = np.zeros(columns)
    free = np.zeros(columns, bool)
    tolerance = 1e-10 * max(1.0, float(np.abs(a.T @ b).max(initial=0.0)))
    for _ in range(3 * columns):
        gradient = a.T @ (b - a @ x)
        gradient[free] = -np.inf
        if gradient.max() <= tolerance:
            break
        free[int(gradient.argmax())] = True
        while True:
            trial = np.zeros(columns)
            trial[free] = np.linalg.lstsq(a[:, free], b, rcond=None)[0]
            down = free & (trial <= 0)
            if not down.any():
                x = trial
                break
            step = float((x[down] / np.maximum(x[down] - trial[down], 1e-300)).min())
            x = x + step * (trial - x)
            free &= x > 1e-12
            x[~free] = 0.0
            if not free.any():
                break
    return [float(v) for v in x / scale]


def overlap(start: Sequence[float] | Floats, end: Sequence[float] | Floats) -> Floats:
    """Return for each task the mean number of tasks in flight over its time, itself included.

    Exact: the integral of the number in flight from start to end, by the time between. The number at a
    task's start says too little for tasks that start together.

    Example:
        >>> overlap([0.0, 1.0], [2.0, 2.0]).tolist()
        [1.5, 2.0]
    """
    begin, over = np.asarray(start, float), np.asarray(end, float)
    times = np.concatenate((begin, over))
    order = np.argsort(times, kind="stable")
    moments = times[order]
    running = np.cumsum(np.where(order < len(begin), 1, -1))
    area = np.concatenate(([0.0], np.cumsum(np.diff(moments) * running[:-1])))
    until = np.interp(over, moments, area) - np.interp(begin, moments, area)
    length = over - begin
    return np.where(length > 0, until / np.where(length > 0, length, 1.0), 1.0).clip(1.0)
