"""One list from several: reciprocal rank fusion over what the items tell of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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


def additions(
    lists: Mapping[str, Sequence[Mapping[str, Any]]], k: int, selected: Collection[str]
) -> dict[str, int]:
    """Return by layer how much of the best k is there because of it.

    Of a selected layer: pieces of evidence that the best k of all selected layers stand for and without it
    do not. Of another layer: pieces that they would stand for with it beside the selected ones, and do not.

    Args:
        lists: items as plain types by layer, best first.
        k: how many of the fused list count.
        selected: layers that make the answer; those beside them were asked to see what they would add.

    Example:
        >>> a, b = {"id": "t1", "evidence": ()}, {"id": "o1", "evidence": ("t1",)}
        >>> additions({"episodic": [a], "semantic": [b], "graph": []}, 5, ["episodic", "graph"])
        {'episodic': 1, 'semantic': 0, 'graph': 0}
    """
    chosen = set(selected) & set(lists)
    present = _shown(lists, chosen, k)
    found = {}
    for layer, items in lists.items():
        if not items:
            found[layer] = 0
        elif layer in chosen:
            found[layer] = len(present - _shown(lists, chosen - {layer}, k))
        else:
            found[layer] = len(_shown(lists, chosen | {layer}, k) - present)
    return found


def _shown(lists: Mapping[str, Sequence[Mapping[str, Any]]], layers: set[str], k: int) -> set[str]:
    """Return the evidence of the best k of some layers, which keep their order: it decides ties."""
    fused = fuse({layer: items for layer, items in lists.items() if layer in layers}, k)
    return {piece for item in fused for piece in item.get("evidence") or (item["id"],)}
