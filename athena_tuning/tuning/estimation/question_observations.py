"""Keeps what was observed of questions, and learns from it when there is enough that is new."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from athena_tuning import fork
from athena_tuning.tuning.estimation.question_fit import QuestionFit, QuestionObservation, fit_questions
from athena_tuning.tuning.estimation.rank_evidence import RankHint, rank_hints
from athena_tuning.tuning.settings import QUESTIONS


class Learned(NamedTuple):
    """What was learned of the questions of one type.

    Attributes:
        fits: by layer, which questions it is worth asking for.
        hints: by layer, whether its ranks should count more, or less.
    """

    fits: Mapping[str, QuestionFit] = MappingProxyType({})
    hints: Mapping[str, RankHint] = MappingProxyType({})


class QuestionObservations:
    """The newest observations of questions, of all types together, and what was learned from them by type.

    Nothing is kept by the text of a question: only its features, each of which many questions share. May be
    used from any thread; ``learn`` belongs to a thread of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at_forks = fork.HeldLock(self._lock)
        self._seen: deque[QuestionObservation] = deque(maxlen=QUESTIONS.observed)
        self._fresh: Counter[str] = Counter()
        self._since: dict[str, float] = {}
        self._learned: dict[str, Learned] = {}

    def note(self, observation: QuestionObservation) -> None:
        """Keep an observation, unless it was made under another set of layers."""
        with self._lock:
            if observation.time >= self._since.setdefault(observation.query_type, 0.0):
                self._seen.append(observation)
                self._fresh[observation.query_type] += 1

    def begin(self, since: Callable[[str], float]) -> None:
        """Let go what was observed and learned under other sets of layers.

        Args:
            since: Unix seconds from which a type's present set is in force.
        """
        with self._lock:
            now = {query_type: since(query_type) for query_type in self._since}
            others = {query_type for query_type, time in now.items() if time != self._since[query_type]}
            if others:
                self._since = now
                kept = [o for o in self._seen if o.time >= now[o.query_type]]
                self._seen = deque(kept, QUESTIONS.observed)
            for query_type in others:
                self._fresh[query_type] = 0
                self._learned.pop(query_type, None)

    def learn(self, scores: Callable[[str], Mapping[str, float]]) -> list[str]:
        """Learn anew from each type of which a quarter is new; return those types.

        Args:
            scores: gives those of a type by query id.
        """
        with self._lock:
            if max(self._fresh.values(), default=0) < QUESTIONS.settled / 4:
                return []
            counts = Counter(observation.query_type for observation in self._seen)
            due = [
                query_type
                for query_type, n in counts.items()
                if n >= QUESTIONS.settled and self._fresh[query_type] >= n / 4
            ]
            seen = {name: [o for o in self._seen if o.query_type == name] for name in due}
            since = {query_type: self._since[query_type] for query_type in due}
            for query_type in due:
                self._fresh[query_type] = 0
        for query_type, observations in seen.items():
            known = scores(query_type)
            learned = Learned(fit_questions(observations, known), rank_hints(observations, known))
            with self._lock:
                if self._since[query_type] == since[query_type]:  # else it is about what was
                    self._learned[query_type] = learned
        return due

    def learned(self) -> Mapping[str, Learned]:
        """Return what was learned last, by type."""
        with self._lock:
            return dict(self._learned)
