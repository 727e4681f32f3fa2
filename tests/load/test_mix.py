"""Questions come in the shares and with the repetition that were asked for."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from athena_tuning.load.mix import Questions

TEXTS = {"factual": [f"f{i}" for i in range(50)], "temporal": [f"t{i}" for i in range(50)]}


def asked(n, *args, **options):
    return list(itertools.islice(Questions(*args, **options), n))


def test_types_come_in_the_shares_of_their_weights():
    counts = Counter(kind for kind, _ in asked(20_000, TEXTS, {"factual": 3.0, "temporal": 1.0, "meta": 0.0}))
    assert counts["factual"] / 20_000 == pytest.approx(0.75, abs=0.02)
    assert set(counts) == {"factual", "temporal"}


def test_more_repetition_means_fewer_different_questions():
    distinct = [
        len({text for _, text in asked(5000, TEXTS, {"factual": 1.0}, repetition=s)}) for s in (0, 1, 2)
    ]
    assert distinct[0] > 4000
    assert distinct[0] > 1.5 * distinct[1] > 3 * distinct[2]


def test_ranks_follow_zipfs_law():
    counts = Counter(text for _, text in asked(100_000, TEXTS, {"factual": 1.0}, repetition=1.0))
    assert counts["f0"] / counts["f9"] == pytest.approx(10, rel=0.15)


def test_the_same_seed_asks_the_same_and_each_iterator_starts_anew():
    questions = Questions(TEXTS, {"factual": 1.0, "temporal": 1.0}, seed=5)
    first = list(itertools.islice(questions, 50))
    assert list(itertools.islice(questions, 50)) == first
    assert asked(50, TEXTS, {"factual": 1.0, "temporal": 1.0}, seed=6) != first
