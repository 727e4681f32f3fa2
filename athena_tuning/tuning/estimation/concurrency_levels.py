"""What layer tasks met: how long they ran beside how many others, and the slowdown that follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from athena_tuning.tuning.settings import CONTENTION

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST = CONTENTION.most


def time_beside(start: Sequence[float] | Floats, end: Sequence[float] | Floats) -> Floats:
    """Return for each task how long it ran while 1, 2, 3, … tasks ran, itself included.

    Args:
        start: of each task; any unit.
        end: of each task.

    Returns:
        A row a task, a column a number in flight; a row's sum is the task's length.

    Examples:
        >>> time_beside([0.0, 1.0], [2.0, 4.0]).tolist()
        [[1.0, 1.0], [2.0, 1.0]]
    """
    begin, over = np.asarray(start, float), np.asarray(end, float)
    if not len(begin):
        return np.zeros((0, 1))
    times = np.concatenate((begin, over))
    order = np.argsort(times, kind="stable")
    place = np.empty(len(order), np.intp)
    place[order] = np.arange(len(order))
    running = np.cumsum(np.where(order < len(begin), 1, -1))[:-1].clip(0, MOST)
    numbers = np.arange(1, int(running.max(initial=1)) + 1)
    so_far = np.zeros((len(order), len(numbers)))
    np.cumsum(np.diff(times[order])[:, None] * (running[:, None] == numbers), axis=0, out=so_far[1:])
    return np.asarray(so_far[place[len(begin) :]] - so_far[place[: len(begin)]])


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """What the tasks of one layer met, grouped by the number in flight as they started. A value.

    The group is the number at the start, because how many others a task meets depends on the task: a long
    one outlives its neighbours, so long tasks seem to have met few, and contention would look like none.
    Whoever starts while g run has, on average, as much work as any other (g is an instrument).

    Groups that the present limit no longer reaches go on saying what they said, until ``without``.

    Attributes:
        tasks: weight of the tasks of each group.
        beside: ms that they ran beside each number.
        squares: sum of the squares of their times.
        newest: number of the newest recall of each group.
    """

    tasks: Floats = field(default_factory=lambda: np.zeros(MOST))
    beside: Floats = field(default_factory=lambda: np.zeros((MOST, MOST)))
    squares: Floats = field(default_factory=lambda: np.zeros(MOST))
    newest: Ints = field(default_factory=lambda: np.zeros(MOST, np.int64))

    def after(
        self,
        started_with: npt.ArrayLike,
        beside: Floats,
        position: npt.ArrayLike,
        seconds: float = math.inf,
    ) -> Levels:
        """Return the levels after more tasks.

        Args:
            started_with: number in flight at each one's start.
            beside: ms that each ran beside each number.
            position: the number of each one's recall.
            seconds: in which they came. The more a second, the more a group remembers: at least what came
                in half a minute.
        """
        group = np.clip(np.asarray(started_with, np.int64), 1, MOST) - 1
        came = np.bincount(group, minlength=MOST)
        most = np.maximum(CONTENTION.kept, came * (CONTENTION.kept_s / max(seconds, 1e-3)))
        kept = (1 - 1 / most) ** came
        weight = most * (1 - kept) / np.maximum(came, 1)  # of one task: about 1 if few came
        beside = beside * weight[group, None]
        total, newest = self.beside * kept[:, None], self.newest.copy()
        np.add.at(total[:, : beside.shape[1]], group, beside)
        np.maximum.at(newest, group, np.asarray(position, np.int64))
        squares = beside.sum(axis=1) ** 2 / weight[group]
        return Levels(
            self.tasks * kept + came * weight,
            total,
            self.squares * kept + np.bincount(group, squares, MOST),
            newest,
        )

    def without(self, before: int) -> Levels:
        """Return the levels without groups whose newest task is of a recall numbered below ``before``."""
        old = self.newest < before
        if not self.tasks[old].any():
            return self
        return Levels(
            np.where(old, 0.0, self.tasks),
            np.where(old[:, None], 0.0, self.beside),
            np.where(old, 0.0, self.squares),
            self.newest,
        )

    @property
    def telling(self) -> npt.NDArray[np.bool_]:
        """Which groups have enough tasks, and tasks that took time, to say something."""
        return np.asarray((self.tasks >= CONTENTION.group) & (self.beside.sum(axis=1) > 0))

    @property
    def spread(self) -> float:
        """Standard deviation of a task's time over its mean, within groups."""
        some = self.telling
        mean = self.beside[some].sum(axis=1) / self.tasks[some]
        variance = np.maximum(self.squares[some] / self.tasks[some] - mean**2, 0.0) / mean**2
        return max(0.05, math.sqrt(float(np.average(variance, weights=self.tasks[some]))))


@dataclass(frozen=True, slots=True)
class Curve:
    """How slow tasks are beside n others, as far as they said it.

    Attributes:
        n: numbers in flight, rising.
        log_slow: logarithm of the slowdown at each, relative to one of them.
        error: standard errors of that.
        shares: by layer, how much of the slowdown it feels: ``1 + s(slow − 1)``.
        work_ms: by layer, the mean task where ``slow`` is 1.
        known: numbers in flight at which ``LEVEL`` tasks started.
        samples: tasks by layer.
        covariance: of ``log_slow`` and the shares.
    """

    n: Floats
    log_slow: Floats
    error: Floats
    shares: Mapping[str, float]
    work_ms: Mapping[str, float]
    known: tuple[int, ...]
    samples: Mapping[str, int]
    covariance: Floats

    @property
    def slow(self) -> Floats:
        """Slowdown at each n."""
        return np.exp(self.log_slow)

    @property
    def largest(self) -> int:
        """Largest n that is known."""
        return self.known[-1] if self.known else 1

    @property
    def levels(self) -> int:
        """How many different n are known."""
        return len(self.known)

    def drawn(self, rng: np.random.Generator) -> Curve:
        """Return the curve as it could have come out by chance (a parametric bootstrap)."""
        n, shares = len(self.n), np.array(list(self.shares.values()))
        step = rng.multivariate_normal(np.zeros(n + len(shares)), self.covariance, method="eigh")
        felt = np.maximum(shares + step[n:], 0.0).tolist()
        return replace(
            self,
            log_slow=self.log_slow + step[:n],
            shares=dict(zip(self.shares, felt, strict=True)),
        )


def curve(met: Mapping[str, Levels]) -> Curve | None:
    """Return the slowdown that explains best what tasks met, or None if too few were seen.

    A task that runs for ``tₙ`` beside n has done ``Σ tₙ/f(n)`` of work, and the mean work is the same in
    every group of ``Levels``. That is one equation a group and layer; f is found by Gauss and Newton on
    their logarithms. It counts the time at each n and not a mean n, so a kink stays a kink.

    Layers share the curve, because one layer's tasks alone are too few. Where they differ beyond doubt, each
    feels its own share of it: an embedded store much, a remote one nothing.

    Args:
        met: by layer.
    """
    layers = [
        layer
        for layer, levels in met.items()
        if (levels.tasks >= CONTENTION.level).any() and levels.telling.any()
    ]
    if not layers:
        return None
    fit = _Fit([met[layer] for layer in layers])
    fit.run(apart=False)
    if len(layers) > 1 and not fit.alike():
        fit.run(apart=True)
    started = sum(met[layer].tasks for layer in layers)
    known = np.flatnonzero(started >= CONTENTION.level) + 1
    size = len(fit.n) + len(layers)
    return Curve(
        fit.n.astype(float),
        fit.log_slow,
        fit.error(),
        dict(zip(layers, np.maximum(fit.shares, 0.0).tolist(), strict=True)),
        dict(zip(layers, np.exp(fit.work).tolist(), strict=True)),
        tuple(known.tolist()),
        {layer: round(float(met[layer].tasks.sum())) for layer in layers},
        fit.covariance[:size, :size],
    )


class _Fit:
    """The unknowns ``[ln f(n) but one, shares, ln work]`` and one Gauss–Newton step after another."""

    def __init__(self, met: Sequence[Levels]) -> None:
        rows = [(i, g) for i, levels in enumerate(met) for g in np.flatnonzero(levels.telling)]
        self._layer = np.array([i for i, _ in rows])
        count = np.array([met[i].tasks[g] for i, g in rows])
        beside = np.array([met[i].beside[g] for i, g in rows]) / count[:, None]
        total = count @ beside
        self.n = np.flatnonzero(total > CONTENTION.seldom * total.sum()) + 1
        self._beside = beside[:, self.n - 1]
        self._weight = np.sqrt(count) / np.array([levels.spread for levels in met])[self._layer]
        self._base = int(total[self.n - 1].argmax())
        self.log_slow = np.zeros(len(self.n))
        self.shares = np.ones(len(met))
        self.work = np.zeros(len(met))
        self._apart = False
        self._prior, self._doubt = self._priors(np.bincount(self._layer, count) / count.sum())
        self.covariance = np.zeros((0, 0))

    def _priors(self, weight: Floats) -> tuple[Floats, Floats]:
        """Return rows and their weights: neighbouring n and layers are near each other, shares average 1."""
        n, layers = len(self.n), len(self.shares)
        rows = np.zeros((n + layers, n + 2 * layers))
        steps = np.arange(n - 1)
        rows[steps, steps], rows[steps, steps + 1] = -1.0, 1.0
        rows[n - 1 + np.arange(layers), n + np.arange(layers)] = 1.0
        rows[-1, n : n + layers] = weight
        gaps = np.diff(np.log(self.n))
        return rows, np.concatenate(
            (1 / (CONTENTION.neighbours * gaps), np.full(layers, 1 / CONTENTION.alike), [1e3])
        )

    def run(self, *, apart: bool) -> None:
        """Find the unknowns, with all layers alike or each with its own share."""
        self._apart = apart
        for _ in range(CONTENTION.rounds):
            self._step()

    def alike(self) -> bool:
        """Whether shares of their own would explain no more than chance would, after a fit without them."""
        before = self.log_slow, self.shares, self.work, self.covariance
        self._apart = True
        self._step()
        n, layers = len(self.n), len(self.shares)
        doubt = np.sqrt(np.diag(self.covariance)[n : n + layers])
        alike = bool((np.abs(self.shares - 1) <= CONTENTION.like_all * doubt).all())
        self._apart = False
        self.log_slow, self.shares, self.work, self.covariance = before
        return alike

    def _step(self) -> None:
        n, layers, at = len(self.n), len(self.shares), np.arange(len(self._layer))
        slow = np.exp(self.log_slow)
        share = self.shares[self._layer][:, None]
        felt = np.maximum(1 + share * (slow - 1), 0.05)
        work = self._beside / felt
        done = work.sum(axis=1)
        part = work / done[:, None]
        rows = np.zeros((len(at), n + 2 * layers))
        rows[:, :n] = -part * share * slow / felt
        rows[at, n + self._layer] = -(part * (slow - 1) / felt).sum(axis=1)
        rows[at, n + layers + self._layer] = -1.0
        missing = self.work[self._layer] - np.log(done)
        known = np.concatenate((self.log_slow, self.shares, np.zeros(layers)))
        like = np.zeros(len(self._prior))
        like[n - 1 :] = 1.0
        a = np.concatenate((rows * self._weight[:, None], self._prior * self._doubt[:, None]))
        b = np.concatenate((missing * self._weight, (like - self._prior @ known) * self._doubt))
        free = np.arange(n + 2 * layers) != self._base
        if not self._apart:
            free[n : n + layers] = False
        a = a[:, free]
        normal = a.T @ a + 1e-9 * np.eye(a.shape[1])
        change = np.zeros(len(free))
        change[free] = np.linalg.solve(normal, a.T @ b)
        self.log_slow = self.log_slow + change[:n].clip(-0.7, 0.7)
        self.shares = np.maximum(self.shares + change[n : n + layers].clip(-0.7, 0.7), 0.0)
        self.work = self.work + change[n + layers :]
        self.covariance = np.zeros((len(free), len(free)))
        self.covariance[np.ix_(free, free)] = np.linalg.inv(normal)

    def error(self) -> Floats:
        """Return the standard errors of ``ln f(n)``, the one that is 1 by definition included."""
        errors = np.sqrt(np.diag(self.covariance)[: len(self.n)])
        errors[self._base] = float(np.delete(errors, self._base).min(initial=0.05))
        return errors
