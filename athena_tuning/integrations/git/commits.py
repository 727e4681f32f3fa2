"""Commits: each is an episode, and what they touch together belongs together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import combinations

from athena_tuning.integrations.git.ledger import Pair
from athena_tuning.integrations.git.repository import Commit
from athena_tuning.integrations.git.writing import item_id
from athena_tuning.recall.items import Item

MOST_PATHS = 20
"""A commit that touches more says nothing of what belongs together."""

LEAST_TOGETHER = 3
"""Commits that must have touched two files before they are said to change together."""

MOST_PAIRS = 5_000

_SHOWN = 12
_LONGEST_MESSAGE = 20_000


def episode(scope: str, commit: Commit) -> Item:
    """Return a commit as an item of the episodic layer."""
    shown = ", ".join(commit.paths[:_SHOWN])
    more = f" and {len(commit.paths) - _SHOWN} more" if len(commit.paths) > _SHOWN else ""
    touched = f"\n\nTouched {shown}{more}." if shown else ""
    return Item(
        item_id(scope, "commit", commit.hash),
        "episodic",
        f"{commit.message[:_LONGEST_MESSAGE] or 'A commit without a message'}{touched}",
        scope,
        commit.timestamp,
        "commit",
        commit.author,
        commit.paths[:_SHOWN],
    )


def pairs(commit: Commit) -> Counter[Pair]:
    """Return what a commit touched, alone (twice the same path) and together.

    Examples:
        >>> sorted(pairs(Commit("1", 0.0, "Ana", "", ("b", "a"))))
        [('a', 'a'), ('a', 'b'), ('b', 'b')]
    """
    paths = sorted(set(commit.paths))
    counted: Counter[Pair] = Counter((path, path) for path in paths)
    if len(paths) <= MOST_PATHS:
        counted.update(combinations(paths, 2))
    return counted


def companions(scope: str, together: Mapping[Pair, tuple[int, int]]) -> list[Item]:
    """Return files that change together as items of the graph layer."""
    return [
        Item(
            item_id(scope, "together", one, other),
            "graph",
            f"{one} and {other} change together: {both} commits touched both, "
            f"of {of} that touched the one changed more seldom.",
            scope,
            kind="together",
            entities=(one, other),
            edges=((one, "changes with", other),),
        )
        for (one, other), (both, of) in together.items()
    ]
