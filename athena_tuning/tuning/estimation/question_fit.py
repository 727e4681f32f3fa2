"""Which layers are worth asking at once for which questions: a linear model of what each found alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from athena_tuning.model import EVERY, EVERY_HASHED
from athena_tuning.tuning.settings import CONTRIBUTION, QUESTIONS

Floats = NDArray[np.float64]


class LayerObservation(NamedTuple):
    """What one layer was worth to one question.

    Attributes:
        alone: part of the answer that no other layer found.
        called_for: whether it would have been asked although it waited: the others gave too little.
        asked: whether it was asked at once.
        by_type: whether it would have been without what was learned by question.
        weight: recalls that it stands for: of those that were asked only to see, many.
    """

    alone: float
    called_for: bool
    asked: bool
    by_type: bool
    weight: float = 1.0


class QuestionObservation(NamedTuple):
    """What the layers were worth to a question of which only features are known.

    Attributes:
        query_id: of its recall; scores come under it.
        query_type: its type.
        time: Unix seconds.
        features: what it shows.
        layers: by layer that answered.
        carried: by layer that made the answer, the share of it that the layer has found.
    """

    query_id: str
    query_type: str
    time: float
    features: tuple[str, ...]
    layers: Mapping[str, LayerObservation]
    carried: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PricedModel:
    """What a model is worth at one price, on questions that it was not learned from.

    All of it is by recall, in parts of an answer.

    Attributes:
        call: what a call more costs.
        wait: what a second round costs.
        gain: of the model, over what is in force.
        error: its standard error.
        surely: lower bound of its gain over the best of what is in force, what holds for the type, asking
            always and never.
        undone: lower bound of the gain of what holds for the type over what is in force.
        calls: how many more it makes than what is in force.
        changed: share of recalls for which it says something else.
    """

    call: float
    wait: float
    gain: float
    error: float
    surely: float
    undone: float
    calls: float
    changed: float


@dataclass(frozen=True, slots=True)
class QuestionFit:
    """What the features of a question say of one layer.

    Attributes:
        recalls: observations that it rests on.
        finds: by feature, of the answer what it finds alone where it would not be called for.
        needed: by feature, how often it is called for.
        priced: what that is worth.
    """

    recalls: int
    finds: Mapping[str, float]
    needed: Mapping[str, float]
    priced: tuple[PricedModel, ...]

    def at(self, call: float, *, wait: bool) -> PricedModel:
        """Return what it is worth at the price that is nearest to ``call``.

        Args:
            call: what a call costs.
            wait: whether a second round costs as much.
        """
        fitting = [priced for priced in self.priced if (priced.wait > 0) == wait]
        return min(fitting, key=lambda priced: abs(math.log(priced.call / call)))

    def dearer(self, priced: PricedModel) -> list[PricedModel]:
        """Return what it is worth at that price and at those above, where it asks for fewer questions."""
        both = [(one.wait > 0) == (priced.wait > 0) for one in self.priced]
        return [one for one, same in zip(self.priced, both, strict=True) if same and one.call >= priced.call]

    def weights(self, priced: PricedModel) -> dict[str, float]:
        """Return by feature what speaks for asking it at once: above 0 in all, it is worth its price."""
        both = priced.call + priced.wait
        weights = {name: find + both * self.needed[name] for name, find in self.finds.items()}
        base = EVERY_HASHED if EVERY_HASHED in weights else EVERY
        weights[base] -= priced.call
        return {name: round(weight, 5) for name, weight in weights.items()}


def fit_questions(seen: Sequence[QuestionObservation], scores: Mapping[str, float]) -> dict[str, QuestionFit]:
    """Return by layer what features say of it, as far as there is enough to learn from.

    A ridge regression on features that are there or not, of what the layer found alone and of whether it was
    called for; of a wrong answer, by its score, less counts. It keeps the features that matter most. What it
    is worth is measured on a fifth of the questions at a time, by what the other four tell.

    Args:
        seen: observations of one type, oldest first.
        scores: 0 to 1, by query id, as far as there are any.
    """
    names = _vocabulary(seen)
    if not names:
        return {}
    columns = {name: number for number, name in enumerate(names)}
    whole = np.zeros((len(seen), len(names)), dtype=np.float32)  # counts of features: exact
    for row, observation in enumerate(seen):
        whole[row, [columns[name] for name in observation.features if name in columns]] = 1.0
    credits = _credits(seen, scores)
    fits = {}
    for layer in sorted({layer for observation in seen for layer in observation.layers}):
        rows = [row for row, observation in enumerate(seen) if layer in observation.layers]
        if len(rows) < QUESTIONS.least:
            continue
        figures = np.array([seen[row].layers[layer] for row in rows], dtype=np.float64)
        figures[:, 0] *= credits[rows]
        made = _fit(whole[rows], figures, names)
        if made is not None:
            fits[layer] = made
    return fits


def _vocabulary(seen: Sequence[QuestionObservation]) -> list[str]:
    """Return the features that many questions show, and not all, the most frequent ones."""
    counts = Counter(name for observation in seen for name in observation.features)
    least, most = QUESTIONS.shown_least, len(seen) - QUESTIONS.shown_least
    known = [(-n, name) for name, n in counts.items() if least <= n <= most]
    return [name for _, name in sorted(known)[: QUESTIONS.features]]


def _credits(seen: Sequence[QuestionObservation], scores: Mapping[str, float]) -> Floats:
    """Return for each observation its score, as a multiple of the mean; 1 where nobody gave one."""
    known = [scores[o.query_id] for o in seen if o.query_id in scores]
    mean = sum(known) / len(known) if known else 0.0
    if mean <= 0:
        return np.ones(len(seen))
    return np.array([scores.get(o.query_id, mean) / mean for o in seen])


class _Sums(NamedTuple):
    """What a ridge regression needs to know of some rows."""

    n: int
    x: Floats
    y: Floats
    xx: Floats
    xy: Floats

    @classmethod
    def of(cls, x: NDArray[np.float32], y: Floats) -> _Sums:
        exact = np.float64
        return cls(
            len(x),
            x.sum(0, dtype=exact),
            y.sum(0),
            (x.T @ x).astype(exact),
            (x.T @ y.astype(x.dtype)).astype(exact),
        )

    def added(self, other: _Sums) -> _Sums:
        return _Sums(
            self.n + other.n, self.x + other.x, self.y + other.y, self.xx + other.xx, self.xy + other.xy
        )

    def without(self, other: _Sums) -> _Sums:
        return _Sums(
            self.n - other.n, self.x - other.x, self.y - other.y, self.xx - other.xx, self.xy - other.xy
        )

    def solved(self, shrinkage: float) -> tuple[Floats, Floats]:
        """Return the weights of the features that matter most, and what there is without any of them."""
        mean: Floats = self.x / self.n
        level: Floats = self.y / self.n
        spread = self.xx - self.n * np.outer(mean, mean)
        ridge = spread + shrinkage * np.eye(len(mean))
        weights = np.asarray(
            np.linalg.solve(ridge, self.xy - self.n * np.outer(mean, level)), dtype=np.float64
        )
        matters = np.abs(weights @ [1.0, 2 * QUESTIONS.typical_price]) * np.sqrt(mean * (1 - mean))
        weights[np.argsort(-matters, kind="stable")[QUESTIONS.kept :]] = 0.0
        return weights, level - mean @ weights


def _fit(x: NDArray[np.float32], figures: Floats, names: Sequence[str]) -> QuestionFit | None:
    """Return the fit of one layer; None where nothing differs from question to question."""
    alone, called, asked, by_type, weight = figures.T
    y = np.column_stack([alone * (1 - called), called])
    if not np.ptp(y, axis=0).any():
        return None
    folds = np.arange(len(x)) * QUESTIONS.folds // len(x)
    parts = [_Sums.of(x[folds == fold], y[folds == fold]) for fold in range(QUESTIONS.folds)]
    whole = reduce(_Sums.added, parts)
    tried = {
        shrinkage: _left_out(x, folds, [whole.without(part).solved(shrinkage) for part in parts])
        for shrinkage in QUESTIONS.shrinkage
    }
    shrinkage = min(tried, key=lambda s: _errs(tried[s], y))
    predicted = tried[shrinkage]
    weights, base = whole.solved(shrinkage)
    kept = [number for number in range(len(names)) if weights[number].any()]
    every = EVERY_HASHED if any(name.startswith("#") for name in names) else EVERY
    finds, needed = (
        {every: float(base[of]), **{names[number]: float(weights[number, of]) for number in kept}}
        for of in (0, 1)
    )
    priced = [
        _priced(call, wait * call, predicted, y, asked, by_type, weight)
        for call in QUESTIONS.prices
        for wait in (0.0, 1.0)
    ]
    return QuestionFit(len(x), finds, needed, tuple(priced))


def _left_out(
    x: NDArray[np.float32], folds: NDArray[np.int64], solved: Sequence[tuple[Floats, Floats]]
) -> Floats:
    """Return what is told of each question by what was learned without its fold."""
    predicted = np.empty((len(x), 2))
    for fold, (weights, base) in enumerate(solved):
        predicted[folds == fold] = x[folds == fold] @ weights.astype(x.dtype) + base
    return predicted


def _errs(predicted: Floats, y: Floats) -> float:
    """Return the squared error of what asking at once is worth at a typical price."""
    return float((((predicted - y) @ [1.0, 2 * QUESTIONS.typical_price]) ** 2).sum())


def _priced(
    call: float,
    wait: float,
    predicted: Floats,
    y: Floats,
    asked: Floats,
    by_type: Floats,
    weight: Floats,
) -> PricedModel:
    """Return what asking where it is told to be worth its price is worth, beside other ways.

    Where a layer waits, what it finds alone is lost and a call is saved, unless it is called for: then it
    costs a second round. So asking it at once is worth finds − call + (call + wait) × called for.
    """
    worth, truly = (finds - call + (call + wait) * needed for finds, needed in (predicted.T, y.T))
    chosen = (worth > 0).astype(np.float64)
    gain, error = _mean((chosen - asked) * truly, weight)
    surely = min(
        _lower((chosen - other) * truly, weight)
        for other in (asked, by_type, np.ones_like(asked), np.zeros_like(asked))
    )
    calls, _ = _mean((chosen - asked) * (1 - y[:, 1]), weight)
    differs = chosen != asked
    changed = float(weight[differs].sum() / weight.sum()) if differs.sum() >= QUESTIONS.changed_least else 0.0
    undone = _lower((by_type - asked) * truly, weight)
    return PricedModel(call, wait, gain, error, surely, undone, calls, changed)


def _mean(values: Floats, weight: Floats) -> tuple[float, float]:
    total = weight.sum()
    mean = float(values @ weight / total)
    return mean, float(np.sqrt((((values - mean) * weight) ** 2).sum()) / total)


def _lower(values: Floats, weight: Floats) -> float:
    """Return the lower bound of a mean that is looked at again and again."""
    mean, error = _mean(values, weight)
    return mean - CONTRIBUTION.score_errors * error


def plain(weights: Mapping[str, float], most: int = 3) -> dict[str, Any]:
    """Return the features that speak most for a layer and most against it, for a person.

    Examples:
        >>> plain({"every question": -0.02, "owns": 0.1, "when": -0.05, "who": 0.02}, 1)
        {'for': 'owns +0.100', 'against': 'when -0.050'}
    """
    ordered = sorted((weight, name) for name, weight in weights.items() if name not in (EVERY, EVERY_HASHED))
    speaks_for = [f"{name} {weight:+.3f}" for weight, name in reversed(ordered) if weight > 0][:most]
    against = [f"{name} {weight:+.3f}" for weight, name in ordered if weight < 0][:most]
    return {"for": ", ".join(speaks_for), "against": ", ".join(against)}
