"""What a memory holds and what a layer is asked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Self

MAX_TEXT = 1_000_000
"""Longest text of an item, in characters."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing remembered. Validated once, when it is made.

    Attributes:
        id: unique within the memory; remembering an id again replaces the item.
        layer: the layer that holds it.
        text: what is searched and shown; empty only where a speaker or entities say something.
        scope: a project or a conversation that recalls can be limited to.
        timestamp: Unix seconds of what it tells of. ISO 8601 is accepted (UTC where no zone is given).
        kind: a word of the caller's own ("turn", "observation", "howto").
        speaker: who said it.
        entities: names in it.
        edges: relations in it, as (from, relation, to); the graph layer walks them.
        evidence: ids of what it rests on. Items with common evidence tell of the same thing, and the fused
            list shows the best of them; without evidence an item stands for itself.

    Raises:
        ValueError: if a value does not fit; the message names field and value.

    Example:
        >>> Item("t1", "episodic", "Ana fixed the login bug", timestamp="2024-05-02T10:00:00").timestamp
        1714644000.0
    """

    id: str
    layer: str
    text: str
    scope: str | None = None
    timestamp: float | None = None
    kind: str = ""
    speaker: str = ""
    entities: tuple[str, ...] = ()
    edges: tuple[tuple[str, str, str], ...] = ()
    evidence: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_text("id", self.id, 512)
        _check_text("layer", self.layer, 64)
        _check_text("text", self.text, MAX_TEXT, may_be_empty=bool(self.entities or self.speaker))
        if self.scope is not None:
            _check_text("scope", self.scope, 512)
        for name in ("kind", "speaker"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be text, not {getattr(self, name)!r:.80}")
        object.__setattr__(self, "timestamp", _seconds(self.timestamp))
        object.__setattr__(self, "entities", _texts("entities", self.entities))
        object.__setattr__(self, "edges", _edges(self.edges))
        object.__setattr__(self, "evidence", _texts("evidence", self.evidence))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make an item from plain JSON types. ``conv`` is read as ``scope``; other names are left out.

        Raises:
            ValueError: if ``id``, ``layer`` or ``text`` is missing or a value does not fit.

        Example:
            >>> Item.from_dict({"id": "a", "layer": "semantic", "text": "Ana likes tea", "conv": "c1"}).scope
            'c1'
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"an item must be an object, not {values!r:.80}")
        for name in ("id", "layer", "text"):
            if values.get(name) is None:
                raise ValueError(f"{name} is missing")
        known = {name: values[name] for name in cls.__slots__ if values.get(name) is not None}
        if "scope" not in known and values.get("conv") is not None:
            known["scope"] = values["conv"]
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """Return the item as plain types."""
        return asdict(self)


class LayerQuery(str):
    """What a layer is asked: the text itself, with what narrows it.

    Attributes:
        scope: only items of this scope, if it is not None.
        query_type: what the classifier made of it.
        context: what the caller gave beside the text.
    """

    __slots__ = ("context", "query_type", "scope")

    scope: str | None
    query_type: str
    context: Mapping[str, Any]

    def __new__(
        cls,
        text: str,
        scope: str | None = None,
        query_type: str = "factual",
        context: Mapping[str, Any] = MappingProxyType({}),
    ) -> Self:
        """Take the text and what narrows it."""
        query = super().__new__(cls, text)
        query.scope = scope
        query.query_type = query_type
        query.context = context
        return query


def _check_text(name: str, value: Any, longest: int, *, may_be_empty: bool = False) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, not {value!r:.80}")
    if not value.strip() and not may_be_empty:
        raise ValueError(f"{name} is empty")
    if len(value) > longest:
        raise ValueError(f"{name} has {len(value):,} characters; at most {longest:,} are kept")


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"timestamp {value!r:.80} is not ISO 8601") from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"timestamp must be Unix seconds or ISO 8601, not {value!r:.80}")
    return float(value)


def _texts(name: str, values: Any) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a list of texts, not {values!r:.80}")
    texts = tuple(values)
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"{name} must be a list of texts, but holds {text!r:.80}")
    return texts


def _edges(values: Any) -> tuple[tuple[str, str, str], ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"edges must be a list of (from, relation, to), not {values!r:.80}")
    edges = []
    for edge in values:
        parts = _texts("an edge", edge)
        if len(parts) != 3:
            raise ValueError(f"an edge is (from, relation, to), not {edge!r:.80}")
        edges.append((parts[0], parts[1], parts[2]))
    return tuple(edges)
