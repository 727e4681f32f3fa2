"""What layer tasks met: how long they ran beside how many others, and the slowdown that follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST = 64
"""Numbers in flight above this count as this."""

KEPT = 1000
"""Tasks a group remembers: each newer one takes 1/1000 off what the older ones weigh."""

GROUP, LEVEL = 4, 12
"""Tasks that a group needs to say something, and that a number in flight needs to be known."""

ROUNDS = 7
NEIGHBOURS, ALIKE = 2.0, 1.0
"""How far, as standard deviations, ``ln f(n)`` may be apart for n and m (times ``ln m/n``), and layers among
each other, before anything is known."""

SELDOM = 1e-4
"""Share of all time below which a number in flight was a matter of rounding."""

LIKE_ALL = 2.5
"""Standard errors from which a layer feels another share of the slowdown than all."""


def time_beside(start: Sequence[float] | Floats, end: Sequence[float] | Floats) -> Floats:
    """Return for each task how long it ran while 1, 2, 3, … tasks ran, itself included.

    Args:
        start: of each task; any unit.
        end: of each task.

    Returns:
        A row a task, a column a number in flight; a row's sum is the task's length.

    Example:
        >>> time_beside([0.0, 1.0], [2.0, 4.0]).tolist()
        [[1.0, 1.0], [2.0, 1.0]]
    """
    begin, over = np.asarray(start, float), np.asarray(end, float)
    times = np.concatenate((begin, over))
    order = np.argsort(times, kind="stable")
    moments = times[order]
    running = np.cumsum(np.where(order < len(begin), 1, -1))[:-1].clip(0, MOST)
    passed = np.diff(moments)
    beside = np.zeros((len(begin), int(running.max(initial=1))))
    for n in range(1, beside.shape[1] + 1):
        so_far = np.concatenate(([0.0], np.cumsum(passed * (running == n))))
        beside[:, n - 1] = np.interp(over, moments, so_far) - np.interp(begin, moments, so_far)
    return beside


@dataclass(slots=True)
class Levels:
    """What the tasks of one layer met, grouped by the number in flight as they started.

    The group is the number at the start, because how many others a task meets depends on the task: a long
    one outlives its neighbours, so long tasks seem to have met few, and contention would look like none.
    Whoever starts while g run has, on average, as much work as any other (g is an instrument).

    Groups that the present limit no longer reaches go on saying what they said, until ``forget``.
    """

    tasks: Floats = field(default_factory=lambda: np.zeros(MOST))
    beside: Floats = field(default_factory=lambda: np.zeros((MOST, MOST)))
    squares: Floats = field(default_factory=lambda: np.zeros(MOST))
    newest: Ints = field(default_factory=lambda: np.zeros(MOST, np.int64))

    def add(self, started_with: npt.ArrayLike, beside: Floats, position: npt.ArrayLike) -> None:
        """Note tasks: number in flight at the start, ms beside each number, and the recall's number."""
        group = np.clip(np.asarray(started_with, np.int64), 1, MOST) - 1
        came = np.bincount(group, minlength=MOST)
        kept = (1 - 1 / KEPT) ** came
        weight = KEPT * (1 - kept) / np.maximum(came, 1)  # of one task that came: about 1 if few did
        beside = beside * weight[group, None]
        self.tasks = self.tasks * kept + came * weight
        squares = beside.sum(axis=1) ** 2 / weight[group]
        self.squares = self.squares * kept + np.bincount(group, squares, MOST)
        self.beside *= kept[:, None]
        np.add.at(self.beside[:, : beside.shape[1]], group, beside)
        np.maximum.at(self.newest, group, np.asarray(position, np.int64))

    def forget(self, before: int) -> None:
        """Drop groups whose newest task is of a recall numbered below ``before``."""
        old = self.newest < before
        self.tasks[old] = self.squares[old] = self.beside[old] = 0.0

    @property
    def spread(self) -> float:
        """Standard deviation of a task's time over its mean, within groups."""
        some = self.tasks >= GROUP
        mean = self.beside[some].sum(axis=1) / self.tasks[some]
        variance = np.maximum(self.squares[some] / self.tasks[some] - mean**2, 0.0) / mean**2
        return max(0.05, math.sqrt(float(np.average(variance, weights=self.tasks[some]))))


@dataclass(frozen=True, slots=True)
class Curve:
    """How slow tasks are beside n others, as far as they said it.

    Attributes:
        n: numbers in flight, rising.
        slow: slowdown at each, relative to one of them.
        error: standard errors of ``ln slow``.
        shares: by layer, how much of the slowdown it feels: ``1 + s(slow − 1)``.
        work_ms: by layer, the mean task where ``slow`` is 1.
        known: numbers in flight at which ``LEVEL`` tasks started.
        samples: tasks by layer.
    """

    n: Floats
    slow: Floats
    error: Floats
    shares: Mapping[str, float]
    work_ms: Mapping[str, float]
    known: tuple[int, ...]
    samples: Mapping[str, int]

    @property
    def largest(self) -> int:
        """Largest n that is known."""
        return self.known[-1] if self.known else 1

    @property
    def levels(self) -> int:
        """How many different n are known."""
        return len(self.known)


def curve(met: Mapping[str, Levels], rng: np.random.Generator | None = None) -> Curve | None:
    """Return the slowdown that explains best what tasks met, or None if too few were seen.

    A task that runs for ``tₙ`` beside n has done ``Σ tₙ/f(n)`` of work, and the mean work is the same in
    every group of ``Levels``. That is one equation a group and layer; f is found by Gauss and Newton on
    their logarithms. It counts the time at each n and not a mean n, so a kink stays a kink.

    Layers share the curve, because one layer's tasks alone are too few. Where they differ beyond doubt, each
    feels its own share of it: an embedded store much, a remote one nothing.

    Args:
        met: by layer.
        rng: draw a curve as it could have come out by chance (a parametric bootstrap).
    """
    layers = [layer for layer, levels in met.items() if (levels.tasks >= LEVEL).any()]
    if not layers:
        return None
    fit = _Fit(layers, [met[layer] for layer in layers])
    fit.run(apart=False)
    if len(layers) > 1 and not fit.alike():
        fit.run(apart=True)
    started = sum(met[layer].tasks for layer in layers)
    known = np.flatnonzero(started >= LEVEL) + 1
    slow, shares = fit.found(rng)
    return Curve(
        fit.n.astype(float),
        slow,
        fit.error(),
        dict(zip(layers, shares.tolist(), strict=True)),
        dict(zip(layers, np.exp(fit.work).tolist(), strict=True)),
        tuple(known.tolist()),
        {layer: round(float(met[layer].tasks.sum())) for layer in layers},
    )


class _Fit:
    """The unknowns ``[ln f(n) but one, shares, ln work]`` and one Gauss–Newton step after another."""

    def __init__(self, layers: Sequence[str], met: Sequence[Levels]) -> None:
        rows = [(i, g) for i, levels in enumerate(met) for g in np.flatnonzero(levels.tasks >= GROUP)]
        self._layer = np.array([i for i, _ in rows])
        count = np.array([met[i].tasks[g] for i, g in rows])
        beside = np.array([met[i].beside[g] for i, g in rows]) / count[:, None]
        total = count @ beside
        self.n = np.flatnonzero(total > SELDOM * total.sum()) + 1
        self._beside = beside[:, self.n - 1]
        self._weight = np.sqrt(count) / np.array([levels.spread for levels in met])[self._layer]
        self._base = int(total[self.n - 1].argmax())
        self._log_slow = np.zeros(len(self.n))
        self._shares = np.ones(len(layers))
        self.work = np.zeros(len(layers))
        self._apart = False
        self._prior, self._doubt = self._priors(np.bincount(self._layer, count) / count.sum())
        self._covariance = np.zeros((0, 0))

    def _priors(self, weight: Floats) -> tuple[Floats, Floats]:
        """Return rows and their weights: neighbouring n and layers are near each other, shares average 1."""
        n, layers = len(self.n), len(self._shares)
        rows = np.zeros((n + layers, n + 2 * layers))
        steps = np.arange(n - 1)
        rows[steps, steps], rows[steps, steps + 1] = -1.0, 1.0
        rows[n - 1 + np.arange(layers), n + np.arange(layers)] = 1.0
        rows[-1, n : n + layers] = weight
        gaps = np.diff(np.log(self.n))
        return rows, np.concatenate((1 / (NEIGHBOURS * gaps), np.full(layers, 1 / ALIKE), [1e3]))

    def run(self, *, apart: bool) -> None:
        """Find the unknowns, with all layers alike or each with its own share."""
        self._apart = apart
        for _ in range(ROUNDS):
            self._step()

    def alike(self) -> bool:
        """Whether shares of their own would explain no more than chance would, after a fit without them."""
        before = self._log_slow, self._shares, self.work, self._covariance
        self._apart = True
        self._step()
        n, layers = len(self.n), len(self._shares)
        doubt = np.sqrt(np.diag(self._covariance)[n : n + layers])
        alike = bool((np.abs(self._shares - 1) <= LIKE_ALL * doubt).all())
        self._apart = False
        self._log_slow, self._shares, self.work, self._covariance = before
        return alike

    def _step(self) -> None:
        n, layers, at = len(self.n), len(self._shares), np.arange(len(self._layer))
        slow = np.exp(self._log_slow)
        share = self._shares[self._layer][:, None]
        felt = np.maximum(1 + share * (slow - 1), 0.05)
        work = self._beside / felt
        done = work.sum(axis=1)
        part = work / done[:, None]
        rows = np.zeros((len(at), n + 2 * layers))
        rows[:, :n] = -part * share * slow / felt
        rows[at, n + self._layer] = -(part * (slow - 1) / felt).sum(axis=1)
        rows[at, n + layers + self._layer] = -1.0
        missing = self.work[self._layer] - np.log(done)
        known = np.concatenate((self._log_slow, self._shares, np.zeros(layers)))
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
        self._log_slow = self._log_slow + change[:n].clip(-0.7, 0.7)
        self._shares = np.maximum(self._shares + change[n : n + layers].clip(-0.7, 0.7), 0.0)
        self.work = self.work + change[n + layers :]
        self._covariance = np.zeros((len(free), len(free)))
        self._covariance[np.ix_(free, free)] = np.linalg.inv(normal)

    def error(self) -> Floats:
        """Return the standard errors of ``ln f(n)``, the one that is 1 by definition included."""
        errors = np.sqrt(np.diag(self._covariance)[: len(self.n)])
        errors[self._base] = float(np.delete(errors, self._base).min(initial=0.05))
        return errors

    def found(self, rng: np.random.Generator | None) -> tuple[Floats, Floats]:
        """Return slowdowns and shares, or how they could have come out by chance."""
        n, layers = len(self.n), len(self._shares)
        log_slow, shares = self._log_slow, self._shares
        if rng is not None:
            size = n + layers
            drawn = rng.multivariate_normal(np.zeros(size), self._covariance[:size, :size], method="eigh")
            log_slow, shares = log_slow + drawn[:n], shares + drawn[n:]
        return np.exp(log_slow), np.maximum(shares, 0.0)
