"""What a layer gave, read once into plain types of our own, and copied for each caller to any depth."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

from athena_tuning.recall.execution.failure import UnreadableAnswer, brief, describe, is_callers_own
from athena_tuning.recall.items import Item

ATOMS = frozenset(
    (str, int, float, bool, type(None), bytes, complex, datetime, date, time, timedelta, Decimal, UUID)
)
"""Types whose values nobody can change."""

TEXT_FIELDS = ("text", "content", "page_content")
"""Under which names the text of an item is looked for, best first; it is handed on as "text"."""

_ARE_ATOMS = ATOMS.issuperset
_ARE_PLAIN = ATOMS.union((list, dict)).issuperset
_LISTS = (list, tuple)
_ARE_TEXTS = frozenset((str,)).issuperset


class Snapshot:
    """Items of one list. Nobody changes them: who wants to gets copies.

    Attributes:
        items: as plain types, best first.
        fields: names under which some item holds what can be changed, so that copying goes deeper there.
        is_whole: whether all of it could be copied; what holds something that cannot be is not kept.
        asked: how many the layer was asked for.
    """

    __slots__ = ("asked", "fields", "is_whole", "items")

    def __init__(
        self, items: Sequence[dict[str, Any]], fields: frozenset[str], is_whole: bool, asked: int = 0
    ) -> None:
        self.items = items
        self.fields = fields
        self.is_whole = is_whole
        self.asked = asked

    def __len__(self) -> int:
        return len(self.items)

    def is_enough(self, limit: int) -> bool:
        """Whether the layer would have given no more if it had been asked for so many."""
        return limit <= self.asked or len(self.items) < self.asked

    def first(self, limit: int) -> Sequence[dict[str, Any]]:
        """Return the first items, which nobody changes."""
        return self.items if len(self.items) <= limit else self.items[:limit]

    def copies(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the first items as the caller's own, to any depth."""
        return deepened([*map(dict.copy, self.items[:limit])], self.fields)


def deepened(copies: list[dict[str, Any]], fields: frozenset[str]) -> list[dict[str, Any]]:
    """Copy what some fields of items hold, to any depth, in place; return the items."""
    for name in fields:
        for item in copies:
            if name in item:
                value = item[name]
                plain = type(value) is list and _ARE_ATOMS(map(type, value))
                item[name] = value.copy() if plain else _own(value)[0]
    return copies


def read_items(layer: str, limit: int, items_are_new: bool, answer: Any) -> Snapshot:
    """Read the answer of a layer's search, whatever it is.

    Args:
        layer: its name, which the items bear.
        limit: items that are read; a layer that gives more than it was asked for is cut.
        items_are_new: the items are dictionaries that the layer made for this answer, so that they need not
            be copied to be ours.
        answer: what it returned.

    Raises:
        UnreadableAnswer: if it is no list of items.
    """
    try:
        if not isinstance(answer, (list, tuple)):
            raise UnreadableAnswer(f"a list is expected, this is {brief(answer)}")  # noqa: TRY301
        return _read(layer, islice(answer, limit), items_are_new, limit)
    except UnreadableAnswer:
        raise
    except BaseException as exc:
        if is_callers_own(exc):
            raise
        raise UnreadableAnswer(describe(exc)[0]) from exc


def _read(layer: str, items: Iterable[Any], items_are_new: bool, asked: int) -> Snapshot:
    records: list[dict[str, Any]] = []
    fields: set[str] = set()
    is_whole = True
    seen: tuple[Any, ...] = ()
    prefix = layer + "/"
    for item in items:
        record = item if items_are_new else item.copy() if type(item) is dict else _record(item)
        kinds = (*record, *map(type, record.values())) if items_are_new else ()
        if (not seen or kinds != seen) and not _ARE_ATOMS(map(type, record.values())):
            seen = kinds if _ARE_PLAIN(map(type, record.values())) else ()  # of the next like it all is said
            for name, value in record.items():
                kind = type(value)
                if name == "scope" and issubclass(kind, str):
                    record[name] = str.__str__(value)
                elif kind not in ATOMS and (kind is not tuple or not _is_fixed(value)):
                    fields.add(name)
                    if not items_are_new:
                        record[name], copied = _own(value)
                        is_whole &= copied
        identity: Any = record.get("id")
        if type(identity) is not str or type(record.get("text")) is not str:
            identity = _complete(record, item)
        if "evidence" not in record:
            record["evidence"] = (prefix + identity,)
        elif not _is_plain_evidence(record["evidence"]):
            record["evidence"] = _evidence(record["evidence"])
        record["layer"] = layer
        records.append(record)
    return Snapshot(records, frozenset(fields), is_whole, asked)


def _record(item: Any) -> dict[str, Any]:
    """Return an item, a mapping, or an object's own attributes and those that its class gives, as fields."""
    if isinstance(item, Item):
        return item.to_dict()
    if isinstance(item, Mapping):
        return dict(item)
    fields: Mapping[str, Any] | None = getattr(item, "__dict__", None)
    if fields is None:  # of slots or a named tuple, or it is none
        names = getattr(item, "_fields", getattr(type(item), "__slots__", ()))
        fields = {name: getattr(item, name) for name in names if hasattr(item, name)}
    record = {name: value for name, value in fields.items() if not name.startswith("_")}
    for name in ("id", *TEXT_FIELDS):  # a property may stand for them
        if name not in record and hasattr(item, name):
            record[name] = getattr(item, name)
    return record


def _complete(record: dict[str, Any], item: Any) -> str:
    """Check what every item has, and make it plain; return its id."""
    text = next((record[name] for name in TEXT_FIELDS if isinstance(record.get(name), str)), None)
    identity = record.get("id")
    if text is None or identity is None:
        raise UnreadableAnswer(
            f"an item has an id and a text ({', '.join(TEXT_FIELDS)}), this is {brief(item)}"
        )
    record["text"] = str.__str__(text)
    record["id"] = identity = str.__str__(identity) if isinstance(identity, str) else f"{identity}"
    return identity


def _is_plain_evidence(evidence: Any) -> bool:
    return type(evidence) in _LISTS and _ARE_TEXTS(map(type, evidence))


def _evidence(evidence: Any) -> Any:
    if not isinstance(evidence, (list, tuple)) or not all(isinstance(piece, str) for piece in evidence):
        raise UnreadableAnswer(f"evidence is a list of ids, this is {brief(evidence)}")
    return tuple([str.__str__(piece) for piece in evidence])


def _is_fixed(value: tuple[Any, ...]) -> bool:
    """Whether nobody can change what a tuple holds, however deep."""
    if _ARE_ATOMS(map(type, value)):
        return True
    return all(type(part) in ATOMS or (type(part) is tuple and _is_fixed(part)) for part in value)


def _own(value: Any) -> tuple[Any, bool]:
    """Return a deep copy; the value itself, and False, if it cannot be copied."""
    try:
        return _deep(value), True
    except Exception:  # noqa: BLE001  (a stranger's object)
        return value, False


def _deep(value: Any) -> Any:
    kind = type(value)
    if kind in ATOMS:
        return value
    if kind is dict:
        return {name: _deep(part) for name, part in value.items()}
    if kind is list:
        return value.copy() if _ARE_ATOMS(map(type, value)) else [_deep(part) for part in value]
    if kind is tuple:
        return tuple([_deep(part) for part in value])
    return copy.deepcopy(value)
