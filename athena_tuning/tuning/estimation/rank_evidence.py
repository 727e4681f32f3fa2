"""What scores of whole answers hint at of the layers that carried them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from athena_tuning.tuning.estimation.question_fit import QuestionObservation
from athena_tuning.tuning.settings import CONTRIBUTION, FUSION


@dataclass(frozen=True, slots=True)
class RankHint:
    """By how much scores are higher where a layer carries an answer and others do not.

    Attributes:
        more: difference of scores, for a whole answer.
        error: its standard error.
        scores: how many it rests on.
    """

    more: float
    error: float
    scores: int

    @property
    def step(self) -> float:
        """What the weight of the layer's ranks should be multiplied by, as a try."""
        doubt = CONTRIBUTION.score_errors * self.error + CONTRIBUTION.score_loss
        return FUSION.step if self.more > doubt else 1 / FUSION.step if self.more < -doubt else 1.0


def rank_hints(seen: Sequence[QuestionObservation], scores: Mapping[str, float]) -> dict[str, RankHint]:
    """Return by layer what the scores of one type hint at; {} where there are too few.

    A regression of the score on the share of the answer that each layer has found; a layer's coefficient
    stands beside the mean of the others'. It is a hint and no proof: a layer that finds something to easy
    questions carries answers with high scores, whatever its ranks count.
    """
    known = [o for o in seen if o.query_id in scores and o.carried]
    common = Counter(layer for o in known for layer in o.carried)
    layers = sorted(layer for layer, n in common.items() if n > len(known) / 2)
    known = [o for o in known if all(layer in o.carried for layer in layers)]
    if len(known) < FUSION.scores or len(layers) < 2:
        return {}
    x = np.array([[1.0, *(o.carried[layer] for layer in layers)] for o in known])
    y = np.array([scores[o.query_id] for o in known])
    inverse = np.linalg.pinv(x.T @ x)
    slopes = inverse @ x.T @ y
    spread = float(((y - x @ slopes) ** 2).sum()) / (len(y) - x.shape[1])
    hints = {}
    for number, layer in enumerate(layers, 1):
        beside = np.full(x.shape[1], -1.0 / (len(layers) - 1))
        beside[0], beside[number] = 0.0, 1.0
        error = float(np.sqrt(max(beside @ inverse @ beside * spread, 0.0)))
        hints[layer] = RankHint(float(beside @ slopes), error, len(known))
    return hints
