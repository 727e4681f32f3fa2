"""Which layers a question is worth asking at once, by what was learned of questions like it."""

from __future__ import annotations

from collections.abc import Mapping

from athena_tuning.model import EVERY_HASHED
from athena_tuning.recall.routing.features import features


def worth_asking(text: str, model: Mapping[str, Mapping[str, float]]) -> frozenset[str]:
    """Return the layers of a model whose weights add up to more than 0 for a question.

    Args:
        text: the question.
        model: by layer and feature, at least one layer; see ``TuningConfig.question_model``.

    Examples:
        >>> model = {"graph": {"every question": -0.02, "owns": 0.1}, "plans": {"every question": -0.01}}
        >>> sorted(worth_asking("Who owns billing?", model))
        ['graph']
    """
    shown = features(text, hashed=EVERY_HASHED in next(iter(model.values())))
    return frozenset(
        [
            layer
            for layer, weights in model.items()
            if sum(map(weights.__getitem__, shown & weights.keys())) > 0
        ]
    )
