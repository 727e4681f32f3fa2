"""Which weights of layers and which rank constant find most, where the right answers are known."""

from __future__ import annotations

import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from athena_tuning.recall.fusion import PLAIN, FusionRule, Item, fuse

WEIGHTS = (0.25, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0)
"""Weights that are tried for a layer beside the others. Judgement: steps of about √2 and 2."""

CONSTANTS = (5, 10, 20, 40, 60, 120)
"""Rank constants that are tried. Judgement: steps of 2; below 5 a layer's first rank outvotes the others."""

_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class FusionCase:
    """A question: what the layers gave to it, the type's own layer first, and what answers it.

    Attributes:
        lists: items by layer, best first.
        evidence: pieces that answer it, at least one.
        group: questions of one group are left out together, to see what the others tell of them.
    """

    lists: Mapping[str, Sequence[Item]]
    evidence: frozenset[str]
    group: Hashable = None


def recall_at(case: FusionCase, k: int, rule: FusionRule = PLAIN) -> float:
    """Return the share of a question's evidence among the first k pieces of the fused list.

    Examples:
        >>> case = FusionCase({"a": [{"id": "x"}, {"id": "y"}], "b": [{"id": "z"}]}, frozenset({"y"}))
        >>> recall_at(case, 1), recall_at(case, 1, FusionRule({"b": 0.1}, 5)), recall_at(case, 3)
        (0.0, 0.0, 1.0)
    """
    fused = fused_list(case, k, rule)
    pieces = dict.fromkeys(piece for item in fused for piece in item.get("evidence") or (item["id"],))
    return len(case.evidence.intersection(list(pieces)[:k])) / len(case.evidence)


def fused_list(case: FusionCase, k: int, rule: FusionRule = PLAIN) -> list[dict[str, Any]]:
    """Return the fused list that a recall of k results has."""
    return fuse(case.lists, sum([min(k, len(items)) for items in case.lists.values()]), rule)


def fit(cases: Sequence[FusionCase], k: int) -> FusionRule:
    """Return the rule with the highest mean recall at k: one value at a time, as long as that gains.

    Of equals the one that is nearer to the plain rule stays. Weights say how layers stand to each other, so
    that those of a single layer are not tried.
    """
    layers = sorted({layer for case in cases for layer in case.lists})
    best = PLAIN
    reached = _mean(cases, k, best)
    for _ in range(_ROUNDS):
        before = reached
        tried = [(layer, weight) for layer in layers if len(layers) > 1 for weight in WEIGHTS]
        for layer, weight in tried:
            weights = {**best.weights, layer: weight}
            best, reached = _better(cases, k, FusionRule(weights, best.constant), best, reached)
        for constant in CONSTANTS:
            best, reached = _better(cases, k, FusionRule(best.weights, constant), best, reached)
        if reached == before:
            break
    return FusionRule({layer: w for layer, w in best.weights.items() if w != 1.0}, best.constant)


def left_out(cases: Sequence[FusionCase], k: int) -> list[FusionRule]:
    """Return for each question the rule that the questions of all other groups tell.

    Raises:
        ValueError: if all questions are of one group.
    """
    groups = list(dict.fromkeys(case.group for case in cases))
    if len(groups) < 2:
        raise ValueError("to see what a rule is worth, questions of at least two groups are needed")
    rules = {group: fit([case for case in cases if case.group != group], k) for group in groups}
    return [rules[case.group] for case in cases]


def _better(
    cases: Sequence[FusionCase], k: int, rule: FusionRule, best: FusionRule, reached: float
) -> tuple[FusionRule, float]:
    if rule == best:
        return best, reached
    mean = _mean(cases, k, rule)
    return (rule, mean) if mean > reached + 1e-9 else (best, reached)


def _mean(cases: Sequence[FusionCase], k: int, rule: FusionRule) -> float:
    return statistics.fmean([recall_at(case, k, rule) for case in cases])
