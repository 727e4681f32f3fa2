"""One list from several: reciprocal rank fusion over what the items tell of."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from athena_tuning.recall.snapshot import deepened
from athena_tuning.tuning.estimation.layer_value import Gain

RANK_CONSTANT = 60
"""Cormack, Clarke and Büttcher 2009: large enough that one layer's first rank does not outvote two layers."""

DEPTH = 15
"""Items of each list that decide what stands first. Deeper lists make the fused one worse: under 1 / (60 + r)
two layers that rank something twentieth outvote the one that ranks it first."""

SURE = 0.9
"""The ``answer_confidence`` of a layer's first item from which on its word is enough."""

Item = Mapping[str, Any]
"""An item as plain types."""


class FusionRule(NamedTuple):
    """What a rank in a layer's list counts: weight / (constant + rank).

    Attributes:
        weights: by layer; 1 for others.
        constant: the smaller it is, the more the first ranks of one layer count beside several layers.
    """

    weights: Mapping[str, float] = MappingProxyType({})
    constant: int = RANK_CONSTANT


PLAIN = FusionRule()
"""Where nothing was learned: all layers alike."""


def fuse(lists: Mapping[str, Sequence[Item]], limit: int, rule: FusionRule = PLAIN) -> list[dict[str, Any]]:
    """Return the best of all lists, best first, each with its ``score`` and the number of its ``duplicates``.

    What is ranked is the evidence: a turn, an observation and a relation cut from one sentence support each
    other. Evidence scores Σ over layers of weight / (constant + r), with r the best rank that the layer gives
    an item resting on it. Each piece of evidence is then shown by the item that says it most closely: the one
    with the least evidence, the better ranked of two. An item without evidence stands for itself.

    Items of one scope with the same words, whatever their case, punctuation and spacing, are shown once, by
    the best of them, with the evidence of all; ``duplicates`` tells how many others there are. A layer has
    one voice for them, however many it gave.

    What the first ``DEPTH`` items of each list come to stands first, whatever is below them: so the first
    results do not change with how many are asked for. Of equal scores the earlier list's is first.

    Args:
        lists: items as plain types by layer, best first.
        limit: how many at most.
        rule: what ranks count.

    Examples:
        >>> a, b = {"id": "t1", "evidence": ()}, {"id": "o1", "evidence": ("t1",)}
        >>> [(item["id"], round(item["score"], 4)) for item in fuse({"episodic": [a], "semantic": [b]}, 5)]
        [('t1', 0.0328)]
    """
    return Fused(lists, limit, rule).items


class Fused:
    """What ``fuse`` gives, made into items for each who asks for them.

    Args:
        lists: as ``fuse`` takes them; nobody changes them.
        limit: likewise.
        rule: likewise.
        fields: names under which some item holds what can be changed.
    """

    __slots__ = ("_fields", "_shown")

    def __init__(
        self,
        lists: Mapping[str, Sequence[Item]],
        limit: int,
        rule: FusionRule = PLAIN,
        fields: frozenset[str] = frozenset(),
    ) -> None:
        best = _best({layer: items[:DEPTH] for layer, items in lists.items()}, rule)
        if len(best) < limit and any(len(items) > DEPTH for items in lists.values()):
            best += _below(best, _best(lists, rule))
        self._shown = best[:limit]
        self._fields = fields

    @property
    def items(self) -> list[dict[str, Any]]:
        """The items, best first; what they hold is shared, so nobody changes it."""
        items = []
        for score, _, item, others in self._shown:
            copy = {**item}
            if others:
                copy["evidence"] = [*dict.fromkeys(_pieces_of((item, *others)))]
            copy["score"] = score
            copy["duplicates"] = len(others)
            items.append(copy)
        return items

    def copies(self) -> list[dict[str, Any]]:
        """Return the items as the caller's own, to any depth."""
        return deepened(self.items, self._fields)


def _below(best: list[_Shown], deeper: list[_Shown]) -> list[_Shown]:
    """Return what stands for something that is only found deeper, with scores that keep it below."""
    shown = [item for _, _, first, others in best for item in (first, *others)]
    known = {id(item) for item in shown}
    evidence = {piece for item in shown for piece in _evidence(item)}
    least = best[-1][0] if best else 0.0
    return [
        (min(score, least), layers, item, others)
        for score, layers, item, others in deeper
        if known.isdisjoint([id(item), *map(id, others)]) and not evidence.issuperset(_evidence(item))
    ]


_Shown = tuple[float, int, Item, Sequence[Item]]
"""What is shown: its score, a bit for each layer that it comes from, the item, others that say the same."""


def _best(lists: Mapping[str, Sequence[Item]], rule: FusionRule) -> list[_Shown]:
    if _have_nothing_in_common([item for items in lists.values() for item in items]):
        return _merged(lists, rule)
    shown: dict[Hashable, _Shown] = {}
    seen: set[Hashable] = set()
    in_order = True
    for score, layers, _, _, item, scope in sorted(_pieces(lists, rule), key=_SCORE, reverse=True):
        identity = (item.get("layer"), item["id"], scope)
        if identity in seen:
            continue
        seen.add(identity)
        said: Hashable = _letters(item.get("text") or "")
        if scope is not None:
            said = (said, scope)
        known = shown.get(said)
        if known is None:
            shown[said] = (score, layers, item, ())
        elif _same_words(known[2], item):
            others = (*known[3], item)
            if known[1] & layers:
                shown[said] = (*known[:3], others)
            else:
                shown[said] = (known[0] + score, known[1] | layers, known[2], others)
                in_order = False
        else:
            shown[identity] = (score, layers, item, ())
    fused = list(shown.values())
    if not in_order:
        fused.sort(key=_SCORE, reverse=True)
    return fused


def _have_nothing_in_common(items: Sequence[Item]) -> bool:
    """Whether no evidence, id and text is met twice, so that each item is shown with its own score."""
    pieces = [*chain.from_iterable([item.get("evidence") or (item["id"],) for item in items])]
    if len({*pieces}) < len(pieces) or len({*map(_ID, items)}) < len(items):
        return False
    said = _letters("\0".join([item.get("text") or "" for item in items])).split(b"\0")  # at once: quicker
    return len({*said}) == len(said) == len(items)


def _merged(lists: Mapping[str, Sequence[Item]], rule: FusionRule) -> list[_Shown]:
    shown: list[_Shown] = []
    for place, (layer, items) in enumerate(lists.items()):
        weight, bit = rule.weights.get(layer, 1.0), 1 << place
        shown += [(weight / rank, bit, item, ()) for rank, item in enumerate(items, rule.constant + 1)]
    shown.sort(key=_SCORE, reverse=True)
    return shown


def _pieces_of(items: Iterable[Item]) -> Iterator[Any]:
    return (piece for item in items for piece in item.get("evidence") or ())


_SCORE = itemgetter(0)
_ID = itemgetter("id")

_Piece = list[Any]
"""A piece of evidence: its score, a bit for each layer that has it, and who says it most closely: the number
of pieces that item rests on, its rank, itself, its scope (None if all items are of one)."""


def _pieces(lists: Mapping[str, Sequence[Item]], rule: FusionRule) -> Iterable[_Piece]:
    given = [item["scope"] for items in lists.values() for item in items if "scope" in item]
    several = len({scope if type(scope) is str else None for scope in given}) > 1
    pieces: dict[Hashable, _Piece] = {}
    bit = 1
    scope = None
    for layer, items in lists.items():
        weight = rule.weights.get(layer, 1.0)
        for rank, item in enumerate(items, rule.constant + 1):
            score = weight / rank
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
    return scope if type(scope) is str else None  # what else a layer gives as one may not even compare


_SILENT = b" \t\r\n.,;:!?\"'()[]{}*_`"
_SPACED = str.maketrans(dict.fromkeys(_SILENT.decode(), " "))
_LOWER = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz")


def _letters(text: str) -> bytes:
    """Return what texts with the same words have in common: it is cheap, and others may have it as well."""
    plain = text.encode() if text.isascii() else _comparable(text).encode("utf-8", "replace")
    return plain.translate(_LOWER, _SILENT)


def _same_words(one: Item, other: Item) -> bool:
    words, others = (
        _comparable(item.get("text") or "").casefold().translate(_SPACED).split() for item in (one, other)
    )
    return bool(words) and words == others


def _comparable(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def agreement(lists: Mapping[str, Sequence[Item]], first: int = 10) -> int:
    """Return how many of the best pieces of evidence at least two layers found; all, if one of them is sure.

    Args:
        lists: items as plain types by layer, best first.
        first: how many pieces are looked at.

    Examples:
        >>> a, b = {"id": "t1", "evidence": ()}, {"id": "o1", "evidence": ("t1", "t2")}
        >>> agreement({"episodic": [a], "semantic": [b]})
        1
    """
    if is_sure(lists):
        return first
    best = sorted(_pieces(lists, PLAIN), key=_SCORE, reverse=True)[:first]
    return sum([piece[1] & (piece[1] - 1) != 0 for piece in best])


def is_sure(lists: Mapping[str, Sequence[Item]]) -> bool:
    """Return whether a layer says itself that its best item is right, by its ``answer_confidence``.

    Examples:
        >>> is_sure({"episodic": [{"id": "t1"}], "billing": [{"id": "i7", "answer_confidence": 0.97}]})
        True
    """
    for items in lists.values():
        if items and "answer_confidence" in items[0]:
            told = items[0]["answer_confidence"]
            if type(told) in (int, float) and SURE <= told <= 1:
                return True
    return False


def pieces_found(lists: Mapping[str, Sequence[Item]], most: int) -> int:
    """Return how many pieces of evidence the layers found, ``most`` for more.

    Examples:
        >>> a, b = {"id": "t1", "evidence": ()}, {"id": "o1", "evidence": ("t1", "t2")}
        >>> pieces_found({"episodic": [a], "semantic": [b]}, 10)
        2
    """
    pieces: set[Hashable] = set()
    for items in lists.values():
        for item in items:
            pieces.update(_evidence(item))
            if len(pieces) >= most:
                return most
    return len(pieces)


def gains(
    lists: Mapping[str, Sequence[Item]], k: int, selected: Collection[str], rule: FusionRule = PLAIN
) -> dict[str, Gain]:
    """Return by layer how much of the best k is there because of it.

    A selected layer is measured against the other selected ones, another layer against all of them: as what
    it would add to their answer.

    Args:
        lists: items as plain types by layer, best first.
        k: how many of the fused list count.
        selected: layers that make the answer; those beside them were asked to see what they would add.
        rule: what ranks count.

    Examples:
        >>> a, b = {"id": "t1", "evidence": ()}, {"id": "o1", "evidence": ("t1",)}
        >>> by_layer = gains({"episodic": [a], "semantic": [b], "graph": []}, 5, ["episodic", "graph"])
        >>> {layer: gain.added for layer, gain in by_layer.items()}
        {'episodic': 1, 'semantic': 0, 'graph': 0}
    """
    chosen = set(selected) & set(lists)
    present = _shown(lists, chosen, k, rule)
    by_layer = {}
    for layer, items in lists.items():
        rest = chosen - {layer}
        if layer in chosen:
            whole, without = present, _shown(lists, rest, k, rule)
        else:
            whole, without = _shown(lists, rest | {layer}, k, rule), present
        added = whole - without
        others = {name: lists[name] for name in lists if name in rest}
        known = {piece for each in others.values() for item in each for piece in _evidence(item)}
        by_layer[layer] = Gain(
            len(added) if items else 0, len(whole), len(whole - known) if items else 0, agreement(others)
        )
    return by_layer


def carried(
    lists: Mapping[str, Sequence[Item]], k: int, selected: Collection[str], rule: FusionRule = PLAIN
) -> dict[str, float]:
    """Return by selected layer the share of the best k that it has found, alone or with others.

    Examples:
        >>> a, b = {"id": "t1", "evidence": ()}, {"id": "o1", "evidence": ("t1", "t2")}
        >>> carried({"episodic": [a], "semantic": [b]}, 5, ["episodic", "semantic"])
        {'episodic': 0.5, 'semantic': 1.0}
    """
    chosen = {layer: items[:DEPTH] for layer, items in lists.items() if layer in selected}
    best = _best(chosen, rule)[:k]
    return {
        layer: sum([bits >> number & 1 for _, bits, _, _ in best]) / max(len(best), 1)
        for number, layer in enumerate(chosen)
    }


def _shown(lists: Mapping[str, Sequence[Item]], layers: set[str], k: int, rule: FusionRule) -> set[Hashable]:
    """Return the evidence of the best k of some layers, which keep their order: it decides ties."""
    best = _best({layer: items for layer, items in lists.items() if layer in layers}, rule)
    return {piece for _, _, item, _ in best[:k] for piece in _evidence(item)}


def _evidence(item: Item) -> list[tuple[str | None, Hashable]]:
    scope = _scope(item)
    return [(scope, piece) for piece in item.get("evidence") or (item["id"],)]
