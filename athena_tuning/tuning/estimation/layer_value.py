"""What a layer is worth: shares, means of scores, and both together, with their bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from athena_tuning.tuning.settings import CONTRIBUTION


@dataclass(frozen=True, slots=True)
class Share:
    """How many of some recalls a layer added something to.

    Examples:
        >>> round(Share(0, 200).upper, 4), round(Share(10, 100).lower, 3)
        (0.0149, 0.055)
    """

    added: int
    recalls: int

    @property
    def upper(self) -> float:
        """Upper 95 % bound of the share (Clopper and Pearson): 1 − 0.05^(1/n) where nothing was added."""
        return _root(lambda p: at_most(self.added, self.recalls, p)) if self.added < self.recalls else 1.0

    @property
    def lower(self) -> float:
        """Lower 95 % bound of the share."""
        missed = Share(self.recalls - self.added, self.recalls)
        return 1.0 - missed.upper if self.added else 0.0

    def stays_below(self, share: float) -> bool:
        """Whether it is below ``share``, so surely that it may be asked again and again, every 50 recalls.

        The chance that ever an answer is wrong is spent in two halves: on early looks, and on all later ones.
        """
        early = self.recalls < CONTRIBUTION.early
        chance = CONTRIBUTION.early_chance if early else CONTRIBUTION.later_chance
        return self.added < self.recalls and at_most(self.added, self.recalls, share) < chance

    def surely_above(self, share: float) -> bool:
        """Whether the lower 95 % bound is above ``share``."""
        return self.added > 0 and 1.0 - at_most(self.added - 1, self.recalls, share) < CONTRIBUTION.chance


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of scores (0 to 1), its standard error, and how many they are."""

    mean: float = math.nan
    error: float = math.nan
    n: int = 0

    @classmethod
    def of(cls, scores: Collection[float], step: float = 1.0) -> Mean:
        """Return the mean of scores; no fewer than half a step in doubt."""
        return cls.of_sums(sum(scores), sum([v * v for v in scores]), len(scores), step)

    @classmethod
    def of_sums(cls, total: float, squares: float, n: int, step: float = 1.0) -> Mean:
        """Return the mean of ``n`` values in such steps with this sum and this sum of squares."""
        if n < 2:
            return cls(n=n)
        mean = total / n
        spread = (squares - n * mean * mean) / (n - 1)
        return cls(mean, math.sqrt(max(spread, 0.25 * step * step / n) / n), n)

    @property
    def lower(self) -> float:
        """Lower 95 % bound; NaN where nothing is known."""
        return self.mean - 1.645 * self.error

    @property
    def upper(self) -> float:
        """Upper 95 % bound; NaN where nothing is known."""
        return self.mean + 1.645 * self.error


class Gain(NamedTuple):
    """What one layer was worth to one answer.

    Attributes:
        added: pieces of evidence of the best k that are there because of it.
        of: pieces of the best k.
        sole: those of them that no other layer found at all, at whatever rank.
        agreed: of the first ten pieces without it, those that two other layers found.
    """

    added: int
    of: int = 10
    sole: int = 0
    agreed: int = 0


@dataclass(frozen=True, slots=True)
class Quality:
    """Scores of recalls that asked a layer, and of those of the same type that did not."""

    asked: Mean = Mean()
    not_asked: Mean = Mean()

    def lost_without(self) -> float | None:
        """Return by how much answers are worse without the layer, if beyond what is allowed and chance.

        The difference of the means has to be above 0.02 by 2.58 standard errors, with 20 scores on either
        side; else None. It is looked at again and again, so that a bound for one look would be crossed by
        chance.
        """
        return _loss(self.not_asked, self.asked)

    def lost_with(self) -> float | None:
        """Return by how much answers are worse with the layer, if beyond what is allowed and chance."""
        return _loss(self.asked, self.not_asked)


def _loss(worse: Mean, better: Mean) -> float | None:
    if min(worse.n, better.n) < CONTRIBUTION.scores:
        return None
    lost = better.mean - worse.mean
    surely = lost - CONTRIBUTION.score_errors * math.hypot(worse.error, better.error)
    return lost if surely > CONTRIBUTION.score_loss else None


@dataclass(frozen=True, slots=True)
class LayerValue:
    """What one layer does for the answers of one type.

    Attributes:
        share: recalls to whose answer it added something.
        quality: scores with it and without.
        part: of an answer that is there because of it.
        sole: of an answer that no other layer found at all.
        beside: of an answer that it would be, in recalls that asked it only to see that; the newest of them.
        spared: recalls in which the other layers agree on enough without it.
        waiting: of an answer that would be lost if it waited for the second round: what is there because of
            it where the others agree on enough.
    """

    share: Share = Share(0, 0)
    quality: Quality = Quality()
    part: Mean = Mean()
    sole: Mean = Mean()
    beside: Mean = Mean()
    spared: Share = Share(0, 0)
    waiting: Mean = Mean()

    @property
    def spared_share(self) -> float:
        """Share of recalls in which the others agree on enough without it."""
        return self.spared.added / max(self.spared.recalls, 1)


Values = Mapping[str, Mapping[str, LayerValue]]
"""By type and layer."""


def at_most(successes: int, n: int, p: float) -> float:
    """Return the chance of at most so many successes in n tries.

    Examples:
        >>> at_most(0, 2, 0.5), at_most(2, 2, 0.3)
        (0.25, 1.0)
    """
    if successes >= n or p <= 0:
        return 1.0
    if p >= 1:
        return 0.0
    term = n * math.log1p(-p)
    odds, total = math.log(p) - math.log1p(-p), 0.0
    for k in range(successes + 1):
        total += math.exp(term)
        term += odds + math.log(n - k) - math.log(k + 1)
    return min(total, 1.0)


def _root(chance: Callable[[float], float]) -> float:
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if chance(middle) > 0.05:
            low = middle
        else:
            high = middle
    return (low + high) / 2
