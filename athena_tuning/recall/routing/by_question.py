"""Which layers a question is worth asking at once, by what was learned of questions like it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from athena_tuning.model import EVERY_HASHED, TuningConfig
from athena_tuning.recall.routing.features import features


def worth_asking(text: str, config: TuningConfig) -> frozenset[str]:
    """Return the layers of a config's question model whose weights add up to more than 0 for a question.

    Args:
        text: the question.
        config: with a question model of at least one layer.

    Examples:
        >>> model = {"graph": {"every question": -0.02, "owns": 0.1}, "plans": {"every question": -0.01}}
        >>> sorted(worth_asking("Who owns billing?", TuningConfig(question_model=model)))
        ['graph']
    """
    by_feature = _by_feature(config)
    totals = dict.fromkeys(config.question_model, 0.0)
    for feature in features(text, hashed=EVERY_HASHED in by_feature):
        if feature in by_feature:
            for layer, weight in by_feature[feature]:
                totals[layer] += weight
    return frozenset([layer for layer, total in totals.items() if total > 0])


@lru_cache(maxsize=256)
def _by_feature(config: TuningConfig) -> Mapping[str, tuple[tuple[str, float], ...]]:
    """Return a model's weights by feature: what a question shows is looked up once for all layers."""
    turned: dict[str, tuple[tuple[str, float], ...]] = {}
    for layer, weights in config.question_model.items():
        for feature, weight in weights.items():
            turned[feature] = (*turned.get(feature, ()), (layer, weight))
    return turned
