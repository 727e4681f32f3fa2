"""What each layer adds to the answers of each type, and how good the answers were found to be."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from athena_tuning import fork
from athena_tuning.model import QueryMetrics
from athena_tuning.model.source import is_evidence
from athena_tuning.tuning.estimation.question_fit import QuestionFit, QuestionObservation
from athena_tuning.tuning.estimation.question_observations import QuestionObservations
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


_PIECE = 0.1
"""The least part of an answer that is told apart: a piece of the best ten."""


class _Observed:
    """What was observed of one layer, the newest ``CONTRIBUTION.kept`` recalls, with their sums."""

    def __init__(self) -> None:
        self.seen: deque[tuple[float, tuple[float, ...]]] = deque()
        self.beside: deque[float] = deque(maxlen=CONTRIBUTION.explored)
        self._sums = [0.0] * 8

    def note(self, time: float, gain: Gain, below: int, *, explored: bool) -> None:
        part, sole = gain.added / max(gain.of, 1), gain.sole / max(gain.of, 1)
        if explored:
            self.beside.append(part)
        spared = gain.agreed >= below
        lost = part if spared else 0.0
        self._count(time, (gain.added > 0, part, part * part, sole, sole * sole, spared, lost, lost * lost))
        if len(self.seen) > CONTRIBUTION.kept:
            _, figures = self.seen.popleft()
            self._sums = [a - b for a, b in zip(self._sums, figures, strict=True)]

    def begin(self, since: float) -> None:
        kept = [entry for entry in self.seen if entry[0] >= since]
        self.seen, self._sums = deque(), [0.0] * 8
        self.beside.clear()
        for time, figures in kept:
            self._count(time, figures)

    def value(self, quality: Quality) -> LayerValue:
        n = len(self.seen)
        added, part, parts, sole, soles, spared, lost, losses = self._sums
        return LayerValue(
            Share(round(added), n),
            quality,
            Mean.of_sums(part, parts, n, _PIECE),
            Mean.of_sums(sole, soles, n, _PIECE),
            Mean.of(self.beside, _PIECE),
            Share(round(spared), n),
            Mean.of_sums(lost, losses, n, _PIECE),
        )

    def _count(self, time: float, figures: tuple[float, ...]) -> None:
        self.seen.append((time, figures))
        self._sums = [a + b for a, b in zip(self._sums, figures, strict=True)]


class _Type:
    """What was observed of one type: by layer, what it added; and scores."""

    def __init__(self) -> None:
        self.since = 0.0
        self.layers: dict[str, _Observed] = {}
        self.scores: dict[object, tuple[frozenset[str], float, float]] = {}
        self._quality: dict[str, Quality] | None = None

    def note(self, layer: str, time: float, gain: Gain, below: int, *, explored: bool) -> None:
        if time >= self.since:
            self.layers.setdefault(layer, _Observed()).note(time, gain, below, explored=explored)

    def rate(self, key: object, layers: frozenset[str], score: float, time: float) -> None:
        self.scores[key] = layers, score, time
        if len(self.scores) > CONTRIBUTION.kept:
            del self.scores[next(iter(self.scores))]
        self._quality = None

    def begin(self, since: float) -> None:
        """Let go what layers added before, beside others; scores say for which set they are."""
        if since != self.since:
            self.since = since
            for observed in self.layers.values():
                observed.begin(since)

    def values(self) -> dict[str, LayerValue]:
        if self._quality is None:
            fresh = list(self.scores.values())
            every = {*self.layers, *(layer for layers, _, _ in fresh for layer in layers)}
            self._quality = {
                layer: Quality(
                    Mean.of([score for layers, score, _ in fresh if layer in layers]),
                    Mean.of([score for layers, score, _ in fresh if layer not in layers]),
                )
                for layer in every
            }
        nothing = _Observed()
        return {
            layer: self.layers.get(layer, nothing).value(self._quality.get(layer, Quality()))
            for layer in {**self.layers, **self._quality}
        }

    def since_present(self) -> Quality:
        """Return the scores since the present set of layers is in force, and those from before."""
        times = [(time, score) for _, score, time in self.scores.values()]
        return Quality(
            Mean.of([score for time, score in times if time >= self.since]),
            Mean.of([score for time, score in times if time < self.since]),
        )


@dataclass(frozen=True, slots=True)
class QuestionEvidence:
    """What is known of the questions of one type.

    Attributes:
        fits: what was learned of each layer.
        quality: scores since the present set of layers is in force, as "asked", and those from before.
    """

    fits: Mapping[str, QuestionFit] = field(default_factory=dict)
    quality: Quality = Quality()


class Contributions:
    """Observations by type and layer, bounded, fed by whoever runs recalls and read by the tuner.

    An observation says whether the answer's best k would have lacked something without the layer, or, for a
    layer that is left out and was asked to check on that, whether they gained something by it. It needs the
    layers' own lists, which no record holds: so it is counted here beside the records, when a recall is over
    and off its thread, and not as a column of the records, which are made before it is known. So it is of the
    tuner's own process alone; what came of it is in the decisions, which all see.

    May be used from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at_forks = fork.HeldLock(self._lock)
        self._types: dict[str, _Type] = {}
        self._questions = QuestionObservations()

    def note(
        self,
        query_type: str,
        gains: Mapping[str, Gain],
        time: float,
        *,
        explored: Collection[str] = (),
        below: int = 3,
    ) -> None:
        """Count one recall.

        Args:
            query_type: its type.
            gains: by layer that answered, what it was worth.
            time: Unix seconds of its start.
            explored: layers that were asked only to see what they would add.
            below: pieces that two layers must agree on for a first round to be enough.
        """
        with self._lock:
            kept = self._kept(query_type)
            if kept is not None:
                for layer, gain in gains.items():
                    kept.note(layer, time, gain, below, explored=layer in explored)

    def note_question(self, observation: QuestionObservation) -> None:
        """Keep what the layers were worth to one question, to learn from its features."""
        self._questions.note(observation)

    def learn(self) -> list[str]:
        """Learn from features of questions where there is enough that is new; return those types.

        It takes up to a second, so it belongs to a thread of its own.
        """
        return self._questions.learn(self._scores)

    def questions(self) -> Mapping[str, QuestionEvidence]:
        """Return what is known of the questions of each type."""
        fits = self._questions.fits()
        with self._lock:
            return {
                query_type: QuestionEvidence(fits.get(query_type, {}), kept.since_present())
                for query_type, kept in sorted(self._types.items())
            }

    def rate(
        self,
        query_type: str,
        layers: Iterable[str],
        score: float,
        query_id: str | None = None,
        time: float = math.inf,
    ) -> None:
        """Note how good the answer of a recall was found to be.

        A later score of the same ``query_id`` replaces the earlier one.

        Args:
            query_type: its type.
            layers: that it asked.
            score: 0 to 1.
            query_id: of the recall, if it is known.
            time: Unix seconds of its start; without one it counts as new.
        """
        with self._lock:
            kept = self._kept(query_type)
            if kept is not None:
                kept.rate(query_id or object(), frozenset(layers), score, time)

    def rate_record(self, scored: QueryMetrics) -> None:
        """Note the score of a recall that is evidence; one that the cache answered asked no layer."""
        if is_evidence(scored.source) and scored.layers_queried and scored.user_satisfaction is not None:
            score = scored.user_satisfaction
            self.rate(scored.query_type, scored.layers_queried, score, scored.query_id, scored.timestamp)

    def begin(self, since: Callable[[str], float]) -> None:
        """Let go what was observed under other sets of layers.

        Args:
            since: Unix seconds from which a type's present set is in force.
        """
        with self._lock:
            for query_type, kept in self._types.items():
                kept.begin(since(query_type))
        self._questions.begin(since)

    def values(self) -> Values:
        """Return what each layer does for the answers of each type, as far as it is known now."""
        with self._lock:
            return {query_type: kept.values() for query_type, kept in sorted(self._types.items())}

    def worth(self) -> dict[tuple[str, str], float]:
        """Return by (type, layer) the share of answers that the layer adds something to."""
        return {
            (query_type, layer): value.share.added / value.share.recalls
            for query_type, layers in self.values().items()
            for layer, value in layers.items()
            if value.share.recalls
        }

    def _scores(self, query_type: str) -> dict[str, float]:
        with self._lock:
            kept = self._types.get(query_type)
            scores = kept.scores if kept else {}
            return {key: score for key, (_, score, _) in scores.items() if isinstance(key, str)}

    def _kept(self, query_type: str) -> _Type | None:
        if query_type not in self._types and len(self._types) < CONTRIBUTION.types:
            self._types[query_type] = _Type()
        return self._types.get(query_type)


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
