"""What is asked, in which shares, and how often again: types by weight, questions by Zipf's law."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from athena_tuning.model import QUERY_TYPES

EVEN: Mapping[str, float] = dict.fromkeys(QUERY_TYPES, 1.0)
"""All types alike."""

DISTINCT = 20_000
"""Different questions of a type that a run draws from; beyond those given, a word tells them apart."""

_BLOCK = 1024


class Questions:
    """An endless stream of questions, the same for the same seed.

    A type is drawn by its weight, then a question of that type by its rank ``r``, with probability
    proportional to ``1 / r^s`` (Zipf's law). s = 0 asks almost nothing twice; s near 1 is what search logs
    show; above 1.5 a handful of questions is nearly everything, and a cache answers most of them. Given
    questions fill the first ranks; the ranks after them ask the same with a word more ("… shop 17"), which a
    cache takes for another question and a search finds as much for.

    Args:
        texts: questions by type.
        mix: weight by type; types without a weight are not asked.
        repetition: the exponent s, 0 to 5.
        seed: of all chance here.

    Raises:
        ValueError: if the mix asks for a type that has no questions, holds no weight, or a figure is odd.

    Examples:
        >>> stream = iter(Questions({"factual": ["a", "b"]}, {"factual": 1.0}, repetition=5.0, seed=1))
        >>> kinds, texts = zip(*(next(stream) for _ in range(100)))
        >>> texts.count(max(set(texts), key=texts.count)) > 80
        True
    """

    def __init__(
        self,
        texts: Mapping[str, Sequence[str]],
        mix: Mapping[str, float] = EVEN,
        *,
        repetition: float = 1.0,
        seed: int = 0,
    ) -> None:
        check_mix(mix)
        if not 0 <= repetition <= 5:
            raise ValueError(f"repetition must be 0 to 5, not {repetition}")
        self._types = [name for name, weight in mix.items() if weight > 0]
        if missing := [name for name in self._types if not texts.get(name)]:
            raise ValueError(f"there are no questions of type {', '.join(missing)}")
        self._texts = [texts[name] for name in self._types]
        weights = np.array([mix[name] for name in self._types], dtype=np.float64)
        self._type_cdf = np.cumsum(weights / weights.sum())
        ranks = np.arange(1, DISTINCT + 1, dtype=np.float64) ** -repetition
        self._rank_cdf = np.cumsum(ranks / ranks.sum())
        self._seed = seed

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield (type, question) for ever; each iterator starts from the beginning."""
        rng = np.random.default_rng([self._seed, 1])
        while True:
            kinds = np.searchsorted(self._type_cdf, rng.random(_BLOCK))
            ranks = np.searchsorted(self._rank_cdf, rng.random(_BLOCK))
            for kind, rank in zip(kinds.tolist(), ranks.tolist(), strict=True):
                kind = min(kind, len(self._types) - 1)  # noqa: PLW2901 (a cdf may end just below 1)
                yield self._types[kind], self._question(self._texts[kind], rank)

    @staticmethod
    def _question(texts: Sequence[str], rank: int) -> str:
        again, index = divmod(rank, len(texts))
        return f"{texts[index]} shop {again}" if again else texts[index]


def check_mix(mix: Mapping[str, float]) -> None:
    """Refuse a mix whose weights are negative, not finite, or all zero.

    Raises:
        ValueError: naming the type.
    """
    for name, weight in mix.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"the weight of {name} must be 0 or more, not {weight}")
    if not any(mix.values()):
        raise ValueError("a mix needs at least one type with a weight above 0")
