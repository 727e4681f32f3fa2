"""One list from several: reciprocal rank fusion over what the items tell of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

RANK_CONSTANT = 60
"""Cormack, Clarke and Büttcher 2009: large enough that one layer's first rank does not outvote two layers."""


def fuse(lists: Mapping[str, Sequence[Mapping[str, Any]]], limit: int) -> list[dict[str, Any]]:
    """Return the best of all lists, best first, each with its ``score``.

    What is ranked is the evidence: a turn, an observation and a relation cut from one sentence support each
    other. Evidence scores Σ over layers of 1 / (60 + r), with r the best rank that the layer gives an item
    resting on it. Each piece of evidence is then shown by the item that says it most closely: the one with
    the least evidence, the better ranked of two. An item without evidence stands for itself.

    Args:
        lists: items as plain types by layer, best first.
        limit: how many at most.

    Example:
        >>> a, b = {"id": "t1", "evidence": ()}, {"id": "o1", "evidence": ("t1",)}
        >>> [(item["id"], round(item["score"], 4)) for item in fuse({"episodic": [a], "semantic": [b]}, 5)]
        [('t1', 0.0328)]
    """
    scores: dict[str, float] = {}
    speakers: dict[str, tuple[int, int, Mapping[str, Any]]] = {}
    for items in lists.values():
        seen: set[str] = set()
        for rank, item in enumerate(items, 1):
            evidence = item.get("evidence") or (item["id"],)
            score, closeness = 1.0 / (RANK_CONSTANT + rank), (len(evidence), rank)
            for piece in evidence:
                if piece not in seen:
                    seen.add(piece)
                    scores[piece] = scores.get(piece, 0.0) + score
                known = speakers.get(piece)
                if known is None or closeness < known[:2]:
                    speakers[piece] = (*closeness, item)
    fused: dict[tuple[Any, Any], dict[str, Any]] = {}
    for piece in sorted(scores, key=scores.__getitem__, reverse=True):
        item = speakers[piece][2]
        key = (item.get("layer"), item["id"])
        if key not in fused:
            fused[key] = {**item, "score": scores[piece]}
            if len(fused) == limit:
                break
    return list(fused.values())
