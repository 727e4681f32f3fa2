"""One list from several: reciprocal rank fusion over what the items tell of."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
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
    return [_record(item, score, others) for score, _, item, others in _best(lists, limit)]


_Shown = tuple[float, int, Item, list[Item]]
"""What is shown: its score, a bit for each layer that it comes from, the item, others that say the same."""


def _best(lists: Mapping[str, Sequence[Item]], limit: int) -> list[_Shown]:
    shown: dict[Hashable, _Shown] = {}
    seen: set[Hashable] = set()
    for score, layers, _, _, item, scope in sorted(_pieces(lists), key=_SCORE, reverse=True):
        identity = (item.get("layer"), item["id"], scope)
        if identity in seen:
            continue
        seen.add(identity)
        said = (_fingerprint(item.get("text")), scope)
        known = shown.get(said)
        if known is not None and _same_words(known[2], item):
            known[3].append(item)
            if not known[1] & layers:
                shown[said] = (known[0] + score, known[1] | layers, *known[2:])
        elif len(shown) < limit:
            shown[said if known is None else identity] = (score, layers, item, [])
    return sorted(shown.values(), key=_SCORE, reverse=True)


def _record(item: Item, score: float, others: list[Item]) -> dict[str, Any]:
    if not others:
        return {**item, "score": score, "duplicates": 0}
    evidence = (piece for each in (item, *others) for piece in each.get("evidence") or ())
    return {**item, "evidence": [*dict.fromkeys(evidence)], "score": score, "duplicates": len(others)}


_SCORE = itemgetter(0)

_Piece = list[Any]
"""A piece of evidence: its score, a bit for each layer that has it, and who says it most closely: the number
of pieces that item rests on, its rank, itself, its scope (None if all items are of one)."""


def _pieces(lists: Mapping[str, Sequence[Item]]) -> Iterable[_Piece]:
    several = len({_scope(item) for items in lists.values() for item in items if "scope" in item}) > 1
    pieces: dict[Hashable, _Piece] = {}
    bit = 1
    scope = None
    for items in lists.values():
        rank = RANK_CONSTANT
        for item in items:
            rank += 1
            score = 1.0 / rank
            evidence = item.get("evidence") or (item["id"],)
            closeness = len(evidence)
            if several:
                scope = _scope(item)
                evidence = [(piece, scope) for piece in evidence]
            for name in evidence:
                piece = pieces.get(name)
                if piece is None:
                    pieces[name] = [score, bit, closeness, rank, item, scope]
                    continue
                if not piece[1] & bit:
                    piece[0] += score
                    piece[1] |= bit
                if closeness < piece[2] or (closeness == piece[2] and rank < piece[3]):
                    piece[2:] = closeness, rank, item, scope
        bit <<= 1
    return pieces.values()


def _scope(item: Item) -> str | None:
    scope = item.get("scope")
    return scope if isinstance(scope, str) else None


_SILENT = b" \t\r\n.,;:!?\"'()[]{}*_`"
_SPACED = str.maketrans(dict.fromkeys(_SILENT.decode(), " "))
_LOWER = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz")


def _fingerprint(text: str | None) -> bytes | None:
    """Return what texts with the same words have in common; it is cheap, and others may have it as well."""
    if not text:
        return None
    return _comparable(text).encode("utf-8", "replace").translate(_LOWER, _SILENT)


def _same_words(one: Item, other: Item) -> bool:
    words, others = (
        _comparable(item.get("text") or "").casefold().translate(_SPACED).split() for item in (one, other)
    )
    return bool(words) and words == others


def _comparable(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


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
    best = _best({layer: items for layer, items in lists.items() if layer in layers}, k)
    return {
        (_scope(item), piece) for _, _, item, _ in best for piece in item.get("evidence") or (item["id"],)
    }
