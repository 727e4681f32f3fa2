"""What each layer adds to the answers of each type, and how good the answers were found to be."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from athena_tuning import fork
from athena_tuning.model import ConfigSet, QueryMetrics
from athena_tuning.model.source import is_evidence
from athena_tuning.tuning.estimation.layer_value import Gain, LayerValue, Mean, Quality, Share, Values
from athena_tuning.tuning.estimation.question_fit import QuestionFit, QuestionObservation
from athena_tuning.tuning.estimation.question_observations import Learned, QuestionObservations
from athena_tuning.tuning.estimation.rank_evidence import RankHint
from athena_tuning.tuning.settings import CONTRIBUTION

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
        fits: by layer, which questions it is worth asking for.
        hints: by layer, whether its ranks should count more, or less.
        quality: scores since the present set of layers is in force, as "asked", and those from before.
    """

    fits: Mapping[str, QuestionFit] = field(default_factory=dict)
    hints: Mapping[str, RankHint] = field(default_factory=dict)
    quality: Quality = field(default_factory=Quality)


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
        learned = self._questions.learned()
        with self._lock:
            return {
                query_type: QuestionEvidence(*learned.get(query_type, Learned()), kept.since_present())
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


def layers_since(configs: ConfigSet, query_type: str) -> float:
    """Return when the present set of layers came into force for a type, at the latest."""
    version = configs.by_type.get(query_type)
    if version is None:
        config = configs.default.config
        chosen = (
            config.skipped_layers
            or config.extra_layers
            or config.second_round
            or config.question_model
            or config.fusion_weights
        )
        return configs.default.time if chosen else 0.0
    return version.time
