"""Which layers a question asks at once, by what was learned of questions like it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from athena_tuning.model import EVERY_HASHED
from athena_tuning.recall.routing.features import features


class ByQuestion(NamedTuple):
    """What a model says of one question, about the layers that it knows.

    Attributes:
        asked: layers that are worth asking at once.
        waiting: layers that can wait.
    """

    asked: frozenset[str] = frozenset()
    waiting: frozenset[str] = frozenset()


NOTHING_LEARNED = ByQuestion()


def by_question(text: str, model: Mapping[str, Mapping[str, float]]) -> ByQuestion:
    """Return what a model says of a question: a layer is asked at once if its weights add up to more than 0.

    Args:
        text: the question.
        model: by layer and feature, see ``TuningConfig.question_model``.

    Examples:
        >>> model = {"graph": {"every question": -0.02, "owns": 0.1}, "plans": {"every question": -0.01}}
        >>> said = by_question("Who owns billing?", model)
        >>> sorted(said.asked), sorted(said.waiting)
        (['graph'], ['plans'])
    """
    if not model:
        return NOTHING_LEARNED
    hashed = any(EVERY_HASHED in weights for weights in model.values())
    shown = features(text, hashed=hashed)
    asked = frozenset(
        [
            layer
            for layer, weights in model.items()
            if sum(map(weights.__getitem__, shown & weights.keys())) > 0
        ]
    )
    return ByQuestion(asked, frozenset(model) - asked)
