"""What each layer adds to the answers of each type, and how good the answers were found to be."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from athena_tuning import fork
from athena_tuning.model import QueryMetrics
from athena_tuning.tuning.settings import CONTRIBUTION


@dataclass(frozen=True, slots=True)
class Share:
    """How many of some recalls a layer added something to.

    Example:
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

    def surely_below(self, share: float) -> bool:
        """Whether the upper 95 % bound is below ``share``."""
        return self.added < self.recalls and at_most(self.added, self.recalls, share) < CONTRIBUTION.chance

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
    def of(cls, scores: Sequence[float]) -> Mean:
        """Return the mean of scores; no fewer than half a step of a score of 0 or 1 in doubt."""
        n = len(scores)
        if n < 2:
            return cls(n=n)
        mean = sum(scores) / n
        spread = sum((v - mean) ** 2 for v in scores) / (n - 1)
        return cls(mean, math.sqrt(max(spread, 0.25 / n) / n), n)


@dataclass(frozen=True, slots=True)
class Quality:
    """Scores of recalls that asked a layer, and of those of the same type that did not."""

    asked: Mean = Mean()
    not_asked: Mean = Mean()

    def lost_without(self) -> float | None:
        """Return by how much answers are worse without the layer, if beyond what is allowed and chance.

        The lower 95 % bound of the difference of the means has to be above 0.02, with 20 scores on either
        side; else None.
        """
        a, b = self.asked, self.not_asked
        if min(a.n, b.n) < CONTRIBUTION.scores:
            return None
        surely = a.mean - b.mean - 1.645 * math.hypot(a.error, b.error)
        return a.mean - b.mean if surely > CONTRIBUTION.score_loss else None


@dataclass(frozen=True, slots=True)
class LayerValue:
    """What one layer does for the answers of one type."""

    share: Share = Share(0, 0)
    quality: Quality = Quality()


Values = Mapping[str, Mapping[str, LayerValue]]
"""By type and layer."""


class _Type:
    """What was observed of one type: by layer, whether it added something; and scores."""

    def __init__(self) -> None:
        self.since = 0.0
        self.added: dict[str, deque[tuple[float, bool]]] = {}
        self.scores: dict[object, tuple[float, frozenset[str], float]] = {}
        self._counts: dict[str, list[int]] = {}
        self._quality: dict[str, Quality] | None = None

    def note(self, layer: str, time: float, added: bool) -> None:
        if time < self.since:
            return
        seen = self.added.setdefault(layer, deque())
        counts = self._counts.setdefault(layer, [0, 0])
        seen.append((time, added))
        counts[0] += added
        counts[1] += 1
        if len(seen) > CONTRIBUTION.kept:
            counts[0] -= seen.popleft()[1]
            counts[1] -= 1

    def rate(self, key: object, time: float, layers: frozenset[str], score: float) -> None:
        self.scores[key] = time, layers, score
        if len(self.scores) > CONTRIBUTION.kept:
            del self.scores[next(iter(self.scores))]
        self._quality = None

    def begin(self, since: float) -> None:
        """Let go what began before: it was under another set of layers."""
        if since == self.since:
            return
        self.since, self._quality = since, None
        for layer, seen in list(self.added.items()):
            self.added[layer] = deque(entry for entry in seen if entry[0] >= since)
            self._counts[layer] = [sum(a for _, a in self.added[layer]), len(self.added[layer])]

    def values(self) -> dict[str, LayerValue]:
        if self._quality is None:
            fresh = [(layers, score) for time, layers, score in self.scores.values() if time >= self.since]
            every = {*self.added, *(layer for layers, _ in fresh for layer in layers)}
            self._quality = {
                layer: Quality(
                    Mean.of([score for layers, score in fresh if layer in layers]),
                    Mean.of([score for layers, score in fresh if layer not in layers]),
                )
                for layer in every
            }
        return {
            layer: LayerValue(Share(*self._counts.get(layer, (0, 0))), self._quality.get(layer, Quality()))
            for layer in {**self.added, **self._quality}
        }


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

    def note(self, query_type: str, added: Mapping[str, int], time: float) -> None:
        """Count one recall.

        Args:
            query_type: its type.
            added: by layer that answered, items of the best k that are there because of it.
            time: Unix seconds of its start.
        """
        with self._lock:
            kept = self._kept(query_type)
            if kept is not None:
                for layer, items in added.items():
                    kept.note(layer, time, items > 0)

    def rate(
        self, query_type: str, layers: Iterable[str], score: float, time: float, query_id: str | None = None
    ) -> None:
        """Note how good the answer of a recall that asked ``layers`` was found to be, 0 to 1.

        A later score of the same ``query_id`` replaces the earlier one.
        """
        with self._lock:
            kept = self._kept(query_type)
            if kept is not None:
                kept.rate(query_id or object(), time, frozenset(layers), score)

    def rate_record(self, scored: QueryMetrics) -> None:
        """Note the score of a recall; one that the cache answered asked no layer and says nothing."""
        if scored.layers_queried and scored.user_satisfaction is not None:
            score = scored.user_satisfaction
            self.rate(
                scored.query_type, scored.layers_queried, score, scored.timestamp, query_id=scored.query_id
            )

    def begin(self, since: Callable[[str], float]) -> None:
        """Let go what was observed under other sets of layers.

        Args:
            since: Unix seconds from which a type's present set is in force.
        """
        with self._lock:
            for query_type, kept in self._types.items():
                kept.begin(since(query_type))

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

    def _kept(self, query_type: str) -> _Type | None:
        if query_type not in self._types and len(self._types) < CONTRIBUTION.types:
            self._types[query_type] = _Type()
        return self._types.get(query_type)


def at_most(successes: int, n: int, p: float) -> float:
    """Return the chance of at most so many successes in n tries.

    Example:
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
