"""How layer tasks slow each other down: a law fitted from what tasks met."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from athena_tuning.tuning.estimation.concurrency_levels import Curve, Floats, Levels, curve
from athena_tuning.tuning.settings import CONTENTION


@dataclass(frozen=True, slots=True)
class ContentionLaw:
    """How many times longer a task takes with n tasks in flight than alone.

    ``f(n) = 1 + σ(n−1) + κ·n(n−1) + Σ hₖ·max(0, n−k)``. The first terms are the Universal Scalability Law:
    σ is what tasks wait for each other (a lock, a core), κ what they cost each other (cache, thrashing).
    The knees are a backend with k slots: no cost below k, full cost above, which the law without them
    smears over all n. All coefficients are ≥ 0. ``rest`` is what the levels that were seen say beyond that,
    as log ratios shrunk by ``τ²/(τ² + error²)`` (τ = 0.1): a measured curve with a bump (an embedded store
    is best at the core count, worse at twice it, better again at four times) fits no such sum.

    Trustworthy up to 1.5 times the largest n that it was fitted on: raise the limit one step and look
    again rather than asking further out. What it says of a single n is nothing: ``levels`` tells on how
    many it rests.

    Attributes:
        sigma: σ.
        kappa: κ.
        knees: (k, hₖ) where hₖ > 0.
        rest: (n, log ratio of what was seen to the sum), linear between; beyond the ends it stays.
        work_ms: a task's own work, alone.
        known: the n that were seen often enough, rising.
        samples: tasks it rests on.

    Examples:
        >>> ContentionLaw(knees=((10, 0.1),)).factor(5), ContentionLaw(knees=((10, 0.1),)).factor(20)
        (1.0, 2.0)
    """

    sigma: float = 0.0
    kappa: float = 0.0
    knees: tuple[tuple[int, float], ...] = ()
    rest: tuple[tuple[float, float], ...] = ()
    work_ms: float = math.nan
    known: tuple[int, ...] = ()
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
    def shape(self) -> Hashable:
        """What ``factor`` follows from: laws of the same shape slow down alike."""
        return self.sigma, self.kappa, self.knees, self.rest

    @property
    def largest(self) -> int:
        """Largest n that was seen often enough."""
        return self.known[-1] if self.known else 1

    @property
    def levels(self) -> int:
        """How many different n were seen often enough."""
        return len(self.known)

    @property
    def trusted(self) -> int:
        """Largest n that the law may be asked for."""
        return max(self.largest + 1, int(self.largest * CONTENTION.trust))


@dataclass(frozen=True, slots=True)
class PossibleLaw:
    """A law as it could be: outside the n that were seen nothing speaks for any way in which it goes on.

    Attributes:
        law: inside.
        tilt: the law is n^tilt times as steep.
        goes_on: outside, "law": as it says, though beyond what it may be asked capacity stays what it was;
            "free": no task costs more than at the last n that was seen; "full": the capacity at that n is
            all there is.
    """

    law: ContentionLaw
    tilt: float = 0.0
    goes_on: str = "law"

    def __call__(self, n: float) -> float:
        """Return f(n)."""
        return self.factor(n)

    def factor(self, n: float) -> float:
        """Return f(n)."""
        law, low = self.law, self.law.known[0] if self.law.known else 1
        high = law.trusted if self.goes_on == "law" else law.largest
        inside = min(max(n, low if self.goes_on != "law" else 1), high)
        beyond = n / inside if self.goes_on == "full" or (self.goes_on == "law" and n > high) else 1.0
        return law.factor(inside) * beyond * float(n**self.tilt)


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


@dataclass(frozen=True, eq=False)
class Contention:
    """What is known of how tasks slow each other down. Fitted when it is first asked for.

    Attributes:
        levels: what tasks met, by layer.
        fitted: the curve, where it is known already.
    """

    levels: Mapping[str, Levels] = field(default_factory=dict)
    fitted: Curve | None = None

    @cached_property
    def curve(self) -> Curve | None:
        """The slowdown at each number in flight, None if too few tasks were seen."""
        return self.fitted or curve(self.levels)

    @cached_property
    def laws(self) -> Mapping[str, ContentionLaw]:
        """The laws by layer; layers that were seen too seldom are missing."""
        return _laws(self.curve)

    def drawn(self, rng: np.random.Generator) -> Mapping[str, ContentionLaw]:
        """Return the laws as they could have come out by chance (a parametric bootstrap)."""
        return _laws(self.curve and self.curve.drawn(rng))

    def possible(self, rng: np.random.Generator, number: int) -> Mapping[str, PossibleLaw]:
        """Return laws as they could be: drawn by chance, tilted, and gone on with outside what was seen.

        Args:
            rng: of the draw.
            number: of every four, two go on as the law does, one as if no further task cost anything, one as
                if no further task got anything more done.
        """
        tilt = rng.normal(0.0, CONTENTION.tilt)
        goes_on = ("law", "free", "law", "full")[number % 4]
        return {layer: PossibleLaw(law, tilt, goes_on) for layer, law in self.drawn(rng).items()}

    @property
    def trusted(self) -> int:
        """Largest n that the laws may be asked for."""
        return max((law.trusted for law in self.laws.values()), default=2)


def _laws(seen: Curve | None) -> Mapping[str, ContentionLaw]:
    """Return the laws by layer: weighted non-negative least squares on the curve, then each one's share."""
    if seen is None:
        return {}
    shared = _shared(seen)
    return {layer: _felt(shared, seen, layer) for layer in seen.shares}


def _shared(seen: Curve) -> ContentionLaw:
    """Return the law of the curve itself; ``work_ms`` is what is there alone, relative to the curve's 1."""
    n, weight = seen.n, 1.0 / np.maximum(seen.error * seen.slow, 1e-12)
    knees = [k for k in CONTENTION.knees if k < n.max()]
    columns = [np.ones_like(n), n - 1, n * (n - 1), *(np.maximum(0.0, n - k) for k in knees)]
    c = nonnegative(np.array(columns).T * weight[:, None], seen.slow * weight)
    alone = c[0]
    if alone <= 0:  # nothing speaks for a part that is there alone: all of it is shared
        alone = float((seen.slow / n).min())
        c[1] = max(c[1], alone)
    law = ContentionLaw(
        c[1] / alone,
        c[2] / alone,
        tuple((k, float(h / alone)) for k, h in zip(knees, c[3:], strict=True) if h > 0),
        work_ms=float(alone),
        known=seen.known,
    )
    return replace(law, rest=_rest(law, seen))


def _felt(law: ContentionLaw, seen: Curve, layer: str) -> ContentionLaw:
    """Return the law of a layer that feels a share of the shared one."""
    share, alone = seen.shares[layer], law.work_ms
    own_alone = max(1 - share * (1 - alone), 0.02)
    scale = share * alone / own_alone
    return replace(
        law,
        sigma=law.sigma * scale,
        kappa=law.kappa * scale,
        knees=tuple((k, h * scale) for k, h in law.knees if share > 0),
        rest=tuple((n, ratio * min(share, 1.0)) for n, ratio in law.rest if share > 0),
        work_ms=seen.work_ms[layer] * own_alone,
        samples=seen.samples[layer],
    )


def _rest(law: ContentionLaw, seen: Curve) -> tuple[tuple[float, float], ...]:
    rest, prior = [], CONTENTION.prior**2
    for n, slow, doubt in zip(seen.n.tolist(), seen.slow.tolist(), seen.error.tolist(), strict=True):
        ratio = math.log(slow / (law.work_ms * law.factor(n)))
        rest.append((n, ratio * prior / (prior + doubt**2)))
    first = rest[0][1]  # alone is where a factor is 1
    return tuple((n, ratio - first) for n, ratio in rest)


def nonnegative(a: Floats, b: Floats) -> list[float]:
    """Return the x ≥ 0 that minimises ‖ax − b‖ (Lawson and Hanson's active set, for a few columns).

    Examples:
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
