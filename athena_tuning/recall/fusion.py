"""One list from several: reciprocal rank fusion over what the items tell of."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Hashable, Mapping, Sequence
from operator import itemgetter
from typing import Any

RANK_CONSTANT = 60
"""Cormack, Clarke and Büttcher 2009: large enough that one layer's first rank does not outvote two layers."""

Item = Mapping[str, Any]
"""An item as plain types."""


def fuse(lists: Mapping[str, Sequence[Item]], limit: int) -> list[dict[str, Any]]:
    """Return the best of all lists, best first, each with its ``score`` and the number of its ``duplicates``.

    What is ranked is the evidence: a turn, an observation and a relation cut from one sentence support each
    other. Evidence scores Σ over layers of 1 / (60 + r), with r the best rank that the layer gives an item
    resting on it. Each piece of evidence is then shown by the item that says it most closely: the one with
    the least evidence, the better ranked of two. An item without evidence stands for itself.

    Items of one scope with the same words, whatever their case, punctuation and spacing, are shown once, by
    the best of them, with the evidence of all; ``duplicates`` tells how many others there are. A layer has
    one voice for them, however many it gave.

    Args:
        lists: items as plain types by layer, best first.
        limit: how many at most.

    Example:
        >>> a, b = {"id": "t1", "evidence": ()}, {"id": "o1", "evidence": ("t1",)}
        >>> [(item["id"], round(item["score"], 4)) for item in fuse({"episodic": [a], "semantic": [b]}, 5)]
        [('t1', 0.0328)]
    """
    scores, speakers, voices = _rank(lists)
    fused: list[dict[str, Any]] = []
    heard: dict[Hashable, tuple[dict[str, Any], int]] = {}
    seen: set[Hashable] = set()
    for piece in sorted(scores, key=scores.__getitem__, reverse=True):
        item = speakers[piece][2]
        identity = _identity(item)
        if identity in seen:
            continue
        seen.add(identity)
        said = _said(item) or identity
        like = heard.get(said)
        if like is not None and _words(like[0]["text"]) == _words(item["text"]):
            _take_in(like[0], item)
            if not like[1] & voices[piece]:
                like[0]["score"] += scores[piece]
                heard[said] = (like[0], like[1] | voices[piece])
        elif len(fused) < limit:
            shown = {**item, "score": scores[piece], "duplicates": 0}
            fused.append(shown)
            heard.setdefault(said, (shown, voices[piece]))
    fused.sort(key=_SCORE, reverse=True)
    return fused


_SCORE = itemgetter("score")

Pieces = tuple[dict[Hashable, float], dict[Hashable, tuple[int, int, Item]], dict[Hashable, int]]
"""By piece of evidence: its score; who says it most closely; a bit for each layer that has it."""


def _rank(lists: Mapping[str, Sequence[Item]]) -> Pieces:
    several = len({_scope(item) for items in lists.values() for item in items}) > 1
    scores: dict[Hashable, float] = {}
    speakers: dict[Hashable, tuple[int, int, Item]] = {}
    voices: dict[Hashable, int] = {}
    bit = 1
    for items in lists.values():
        for rank, item in enumerate(items, 1):
            evidence = item.get("evidence") or (item["id"],)
            if several:
                scope = _scope(item)
                evidence = [(scope, piece) for piece in evidence]
            score, closeness = 1.0 / (RANK_CONSTANT + rank), len(evidence)
            for piece in evidence:
                if piece not in scores:
                    scores[piece], voices[piece], speakers[piece] = score, bit, (closeness, rank, item)
                    continue
                if not voices[piece] & bit:
                    voices[piece] |= bit
                    scores[piece] += score
                if (closeness, rank) < speakers[piece][:2]:
                    speakers[piece] = (closeness, rank, item)
        bit <<= 1
    return scores, speakers, voices


def _scope(item: Item) -> str | None:
    scope = item.get("scope")
    return scope if isinstance(scope, str) else None


def _identity(item: Item) -> Hashable:
    return item.get("layer"), _scope(item), item["id"]


def _said(item: Item) -> Hashable:
    """Return what items of a scope with the same words have in common; others may have it as well."""
    text = item.get("text")
    if not text:
        return None
    return _scope(item), _comparable(text).encode("utf-8", "replace").translate(_LOWER, _SILENT)


def _words(text: str) -> list[str]:
    return _comparable(text).casefold().translate(_SPACED).split()


def _comparable(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


_SILENT = b" \t\r\n.,;:!?\"'()[]{}*_`"
_SPACED = str.maketrans(dict.fromkeys(_SILENT.decode(), " "))
_LOWER = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz")


def _take_in(shown: dict[str, Any], item: Item) -> None:
    """Count an item that says the same as one that is shown, and take over its evidence."""
    shown["duplicates"] += 1
    evidence = shown.get("evidence") or ()
    more = [piece for piece in item.get("evidence") or () if piece not in evidence]
    if more:
        shown["evidence"] = [*evidence, *more]


def additions(lists: Mapping[str, Sequence[Item]], k: int, selected: Collection[str]) -> dict[str, int]:
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


def _shown(lists: Mapping[str, Sequence[Item]], layers: set[str], k: int) -> set[Hashable]:
    """Return the evidence of the best k of some layers, which keep their order: it decides ties."""
    fused = fuse({layer: items for layer, items in lists.items() if layer in layers}, k)
    return {(_scope(item), piece) for item in fused for piece in item.get("evidence") or (item["id"],)}
