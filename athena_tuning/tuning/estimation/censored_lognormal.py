"""How long a layer takes, also where some of its tasks were given up before they ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from athena_tuning.tuning.settings import SERVICE_TIME

Floats = npt.NDArray[np.float64]

_STANDARD = NormalDist()
_FAR = 25.0  # beyond it the normal tail underflows and its expansion is exact to 1e-3


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Times whose logarithm is normal: ``mu`` and ``sigma`` are of the logarithm of ms.

    Examples:
        >>> round(LogNormal(0.0, 1.0).quantile(0.99), 2), round(LogNormal(0.0, 1.0).beyond(10.24), 3)
        (10.24, 0.01)
    """

    mu: float
    sigma: float

    def quantile(self, q: float) -> float:
        """Return the ms that a share ``q`` of tasks stays within."""
        return math.exp(self.mu + self.sigma * _STANDARD.inv_cdf(q))

    def beyond(self, ms: float) -> float:
        """Return the share of tasks that take longer."""
        return _tail((math.log(ms) - self.mu) / self.sigma)


class CensoredTimes:
    """Service times of one layer, those that were given up apart, ready to be fitted again and again.

    Right-censored maximum likelihood: a task that ended at x counts with its density at x, one that was
    given up at c with the probability to last beyond c. In ``τ = 1/σ`` and ``η = μ/σ`` the likelihood is
    concave (Olsen 1978), so Newton's steps from anywhere find its only top. It needs no more than the
    number, sum and sum of squares of the logarithms and the few different times that tasks were given up
    at. (``scipy.stats.lognorm.fit`` on ``CensoredData`` finds the same law in 40 ms, after a second of
    import.)

    Taken for values, given-up tasks pull the fit down to the timeout that gave them up; a timeout set from
    that goes up a step at a time and never arrives (true p99 16.9 s: 5, 7.5, … s).

    Args:
        ended: ms of tasks that ended.
        given_up: ms after which the others were given up.
    """

    def __init__(self, ended: Sequence[float] | Floats, given_up: Sequence[float] | Floats = ()) -> None:
        self._ended = np.log(np.maximum(np.asarray(ended, float), 1e-3))
        late = np.log(np.maximum(np.asarray(given_up, float), 1e-3))
        width = max(SERVICE_TIME.bin, float(np.ptp(late)) / SERVICE_TIME.bins if len(late) else 0.0)
        self._late, self._late_count = np.unique(np.rint(late / width) * width, return_counts=True)

    @property
    def ended(self) -> int:
        """Tasks that ended."""
        return len(self._ended)

    @property
    def given_up(self) -> int:
        """Tasks that were given up."""
        return int(self._late_count.sum())

    @property
    def longest_given_up(self) -> float:
        """The longest time in ms that a task was given up at; 0 where none was."""
        return math.exp(float(self._late[-1])) if self.given_up else 0.0

    def fit(self) -> LogNormal | None:
        """Return the likeliest law, or None if fewer than 30 tasks ended."""
        if self.ended < SERVICE_TIME.fewest:
            return None
        return _fitted(
            (self.ended, float(self._ended.sum()), float(self._ended @ self._ended)),
            self._late,
            self._late_count,
            None,
        )

    def upper(self, q: float, rng: np.random.Generator) -> float:
        """Return an upper bound of the q-th quantile in ms: of refits on resampled tasks, the 95th of 100.

        Infinite if fewer than 30 tasks ended.
        """
        first = self.fit()
        if first is None:
            return math.inf
        n, ended = self.ended + self.given_up, self.ended
        drawn = rng.integers(0, n, (SERVICE_TIME.refits, n), np.int32)
        values = np.concatenate((self._ended, np.zeros(n - ended)))[drawn]
        ends = ended + np.cumsum(self._late_count)  # given-up tasks are numbered from ``ended`` on, by time
        late = np.diff([(drawn < end).sum(1) for end in (ended, *ends)], axis=0).T
        sums = np.stack(((drawn < ended).sum(1), values.sum(1), (values * values).sum(1)), axis=1)
        bounds = []
        for row, count in zip(sums.tolist(), late, strict=True):
            if row[0] >= 2:
                bounds.append(_fitted((row[0], row[1], row[2]), self._late, count, first).quantile(q))
        bounds.sort()
        return bounds[min(int(SERVICE_TIME.sure * len(bounds)), len(bounds) - 1)] if bounds else math.inf

    def disproves(self, law: LogNormal) -> bool:
        """Whether more tasks were late than the law allows, beyond chance, where tasks were given up."""
        if not self.given_up:
            return False
        earliest = float(self._late[0])
        n = self.ended + self.given_up
        late = self.given_up + int((self._ended > earliest).sum())
        share = law.beyond(math.exp(earliest))
        return late > n * share + SERVICE_TIME.disproved * math.sqrt(n * share * (1 - share)) + 1

    def tail_upper(self, q: float) -> float:
        """Return an upper bound of the q-th quantile in ms by the tail alone, whatever the rest is like.

        Beyond the 95 % quantile u times are Pareto, ``P(X > x) = 0.05 · (u/x)^α``; with k that ended beyond u
        and x of all that lasted beyond it, until they ended or were given up, ``α = k / Σ ln(x/u)`` is the
        likeliest (Hill's estimate, right-censored), known to ``α/√k``. Infinite if none ended beyond u.
        """
        times = np.concatenate((self._ended, np.repeat(self._late, self._late_count)))
        u = float(np.quantile(times, 1 - SERVICE_TIME.tail))
        k = int((self._ended > u).sum())
        if not k:
            return math.inf
        alpha = k / float(np.maximum(times - u, 0.0).sum())
        alpha *= max(1 - 1.64 / math.sqrt(k), 0.1)
        return math.exp(min(u + math.log(SERVICE_TIME.tail / (1 - q)) / alpha, 100.0))

    def seen(self, q: float) -> float:
        """Return the q-th quantile of the times themselves in ms; NaN where tasks were given up before it."""
        n = self.ended + self.given_up
        if not n:
            return math.nan
        k = min(int(q * n), n - 1)
        earliest = float(self._late[0]) if self.given_up else math.inf
        if k >= self.ended:
            return math.nan
        value = float(np.partition(self._ended, k)[k])
        return math.exp(value) if value < earliest else math.nan


def _fitted(
    sums: tuple[float, float, float], late: Floats, count: npt.NDArray[np.generic], start: LogNormal | None
) -> LogNormal:
    """Return the likeliest law from n, Σy, Σy² of what ended and how often each lateness occurred."""
    n, total, squares = sums
    mean = total / n
    spread = math.sqrt(max(squares / n - mean**2, 1e-10))
    points = [
        ((c - mean) / spread, float(m)) for c, m in zip(late.tolist(), count.tolist(), strict=True) if m
    ]
    if not points:
        return LogNormal(mean, spread)
    # In units of what ended (mean 0, spread 1): n, Σy = 0, Σy² = n.
    tau = 1.0 if start is None else spread / start.sigma
    eta = 0.0 if start is None else (start.mu - mean) / start.sigma
    level = _likelihood(n, points, eta, tau)
    for _ in range(50):
        slope_eta, slope_tau, ee, et, tt = _slopes(n, points, eta, tau)
        determinant = ee * tt - et * et
        step_eta = (tt * slope_eta - et * slope_tau) / determinant
        step_tau = (ee * slope_tau - et * slope_eta) / determinant
        share = 1.0
        while tau - share * step_tau <= 0:
            share /= 2
        reached = _likelihood(n, points, eta - share * step_eta, tau - share * step_tau)
        while reached < level and share > 1e-6:
            share /= 2
            reached = _likelihood(n, points, eta - share * step_eta, tau - share * step_tau)
        eta, tau = eta - share * step_eta, tau - share * step_tau
        if reached - level < 1e-9 * n:
            break
        level = reached
    return LogNormal(mean + spread * eta / tau, spread / tau)


def _likelihood(n: float, points: Sequence[tuple[float, float]], eta: float, tau: float) -> float:
    ended = n * (math.log(tau) - (tau * tau + eta * eta) / 2)
    return ended + sum(m * _log_tail(tau * c - eta) for c, m in points)


def _slopes(
    n: float, points: Sequence[tuple[float, float]], eta: float, tau: float
) -> tuple[float, float, float, float, float]:
    """Return the likelihood's slopes by η and τ and its curvatures by ηη, ητ, ττ."""
    by_eta, by_tau = -n * eta, n / tau - n * tau
    ee, et, tt = -n, 0.0, -n / tau**2 - n
    for c, m in points:
        z = tau * c - eta
        hazard = _hazard(z)
        bend = m * hazard * (hazard - z)
        by_eta += m * hazard
        by_tau -= m * hazard * c
        ee -= bend
        et += bend * c
        tt -= bend * c * c
    return by_eta, by_tau, ee, et, tt


def _tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))


def _log_tail(z: float) -> float:
    if z > _FAR:
        return -z * z / 2 - math.log(z * math.sqrt(2 * math.pi))
    return math.log(_tail(z))


def _hazard(z: float) -> float:
    if z > _FAR:
        return z + 1 / z
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi) / _tail(z)
