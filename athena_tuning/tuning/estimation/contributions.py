"""What each layer adds to the answers of each type, and how good the answers were found to be."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from athena_tuning import fork
from athena_tuning.model import QueryMetrics

KEPT = 1000
"""Newest observations of a layer under a type, and newest scores of a type."""

TYPES = 64
"""Types that are told apart; names of a caller's own beyond that are not counted."""


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
        return self.added < self.recalls and at_most(self.added, self.recalls, share) < 0.05

    def surely_above(self, share: float) -> bool:
        """Whether the lower 95 % bound is above ``share``."""
        return self.added > 0 and 1.0 - at_most(self.added - 1, self.recalls, share) < 0.05


@dataclass(frozen=True, slots=True)
class Quality:
    """Scores (0 to 1) of recalls that asked a layer, and of those of the same type that did not."""

    asked: tuple[float, ...]
    not_asked: tuple[float, ...]

    def lost_without(self, allowed: float = 0.02, least: int = 20) -> float | None:
        """Return by how much answers are worse without the layer, if beyond ``allowed`` and chance.

        The lower 95 % bound of the difference of the means has to be above ``allowed``, with ``least``
        scores on either side; else None.
        """
        if min(len(self.asked), len(self.not_asked)) < least:
            return None
        (a, error_a), (b, error_b) = _mean(self.asked), _mean(self.not_asked)
        surely = a - b - 1.645 * math.hypot(error_a, error_b)
        return a - b if surely > allowed else None


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
        self._seen: dict[str, dict[str, deque[tuple[float, bool]]]] = {}
        self._scores: dict[str, dict[object, tuple[float, frozenset[str], float]]] = {}

    def note(self, query_type: str, added: Mapping[str, int], time: float) -> None:
        """Count one recall.

        Args:
            query_type: its type.
            added: by layer that answered, items of the best k that are there because of it.
            time: Unix seconds of its start.
        """
        with self._lock:
            layers = self._seen.get(query_type)
            if layers is None:
                if len(self._seen) >= TYPES:
                    return
                layers = self._seen[query_type] = {}
            for layer, items in added.items():
                if layer not in layers:
                    layers[layer] = deque(maxlen=KEPT)
                layers[layer].append((time, items > 0))

    def rate(
        self, query_type: str, layers: Iterable[str], score: float, time: float, query_id: str | None = None
    ) -> None:
        """Note how good the answer of a recall that asked ``layers`` was found to be, 0 to 1.

        A later score of the same ``query_id`` replaces the earlier one.
        """
        with self._lock:
            if query_type not in self._scores and len(self._scores) >= TYPES:
                return
            scores = self._scores.setdefault(query_type, {})
            scores[query_id or object()] = time, frozenset(layers), score
            if len(scores) > KEPT:
                del scores[next(iter(scores))]

    def rate_record(self, scored: QueryMetrics) -> None:
        """Note the score of a recall; one that the cache answered asked no layer and says nothing."""
        if scored.layers_queried and scored.user_satisfaction is not None:
            score = scored.user_satisfaction
            self.rate(
                scored.query_type, scored.layers_queried, score, scored.timestamp, query_id=scored.query_id
            )

    def types(self) -> list[str]:
        """Return the types that were seen, sorted."""
        with self._lock:
            return sorted(self._seen)

    def shares(self, query_type: str, since: float = 0.0) -> dict[str, Share]:
        """Return by layer how often it added something to recalls that began at ``since`` or later."""
        with self._lock:
            seen = {layer: list(values) for layer, values in self._seen.get(query_type, {}).items()}
        found = {layer: [added for time, added in values if time >= since] for layer, values in seen.items()}
        return {layer: Share(sum(added), len(added)) for layer, added in found.items() if added}

    def worth(self) -> dict[tuple[str, str], float]:
        """Return by (type, layer) the share of answers that the layer adds something to."""
        found = ((query_type, self.shares(query_type)) for query_type in self.types())
        return {(t, layer): share.added / share.recalls for t, of in found for layer, share in of.items()}

    def quality(self, query_type: str, layer: str, since: float = 0.0) -> Quality:
        """Return the scores with and without a layer of recalls that began at ``since`` or later."""
        with self._lock:
            scores = list(self._scores.get(query_type, {}).values())
        fresh = [(layer in layers, score) for time, layers, score in scores if time >= since]
        return Quality(tuple(s for asked, s in fresh if asked), tuple(s for asked, s in fresh if not asked))


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


def _mean(values: tuple[float, ...]) -> tuple[float, float]:
    """Return the mean and its standard error; no fewer than half a step of a score of 0 or 1 in doubt."""
    n = len(values)
    mean = sum(values) / n
    spread = sum((v - mean) ** 2 for v in values) / (n - 1)
    return mean, math.sqrt(max(spread, 0.25 / n) / n)
