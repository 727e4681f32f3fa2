"""What a memory holds and what a layer is asked."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from numbers import Real
from types import MappingProxyType
from typing import Any, Self

from athena_tuning.recall.time_focus import TimeFocus

MAX_TEXT = 1_000_000
"""Longest text of an item, in characters."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing remembered. Validated once, when it is made.

    Attributes:
        id: unique within its scope; remembering it again there replaces the item.
        layer: the layer that holds it.
        text: what is searched and shown; empty only where a speaker or entities say something.
        scope: a project or a conversation that recalls can be limited to.
        timestamp: Unix seconds of what it tells of; ``unix_seconds`` says what else is accepted.
        kind: a word of the caller's own ("turn", "observation", "howto").
        speaker: who said it.
        entities: names in it.
        edges: relations in it, as (from, relation, to); the graph layer walks them.
        evidence: ids of what it rests on. Items with common evidence tell of the same thing, and the fused
            list shows the best of them; without evidence an item stands for itself.

    Raises:
        ValueError: if a value does not fit; the message names field and value.

    Examples:
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
            _check_text(name, getattr(self, name), MAX_TEXT, may_be_empty=True)
        object.__setattr__(
            self, "timestamp", None if self.timestamp is None else unix_seconds(self.timestamp)
        )
        object.__setattr__(self, "entities", _texts("entities", self.entities))
        object.__setattr__(self, "edges", _edges(self.edges))
        object.__setattr__(self, "evidence", _texts("evidence", self.evidence))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make an item from plain JSON types. ``conv`` is read as ``scope``; other names are left out.

        Raises:
            ValueError: if ``id``, ``layer`` or ``text`` is missing or a value does not fit.

        Examples:
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


def half_character(text: str) -> int:
    """Return the position, from 1, of the first half of a character in a text; 0 without one.

    JSON can bring unpaired surrogates. No database keeps them, so nothing that has one is in a memory.
    """
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as exc:
            return exc.start + 1
    return 0


class BadItems(ValueError):
    """Some of many items did not fit; the others are kept.

    Attributes:
        bad: (position from 1, reason) of those that were left out.
        kept: how many were kept, by layer.
    """

    def __init__(self, bad: Sequence[tuple[int, str]], kept: Mapping[str, int]) -> None:
        self.bad = list(bad)
        self.kept = dict(kept)
        reasons = "; ".join(f"item {position}: {reason}" for position, reason in self.bad[:3])
        more = f"; and {len(self.bad) - 3} more" if len(self.bad) > 3 else ""
        super().__init__(
            f"{sum(self.kept.values())} items are kept, {len(self.bad)} left out: {reasons}{more}"
        )


class LayerQuery(str):
    """What a layer is asked: the text itself, with what narrows it.

    Attributes:
        scope: only items of this scope, if it is not None.
        query_type: what the classifier made of it.
        context: what the caller gave beside the text.
        found: what the layers found that this one is asked ``after``, best first.
        when: the time that it is about, as far as its words tell; None: they do not.
    """

    __slots__ = ("context", "found", "query_type", "scope", "when")

    scope: str | None
    query_type: str
    context: Mapping[str, Any]
    found: Mapping[str, Sequence[Mapping[str, Any]]]
    when: TimeFocus | None

    def __new__(
        cls,
        text: str,
        scope: str | None = None,
        query_type: str = "factual",
        context: Mapping[str, Any] = MappingProxyType({}),
        found: Mapping[str, Sequence[Mapping[str, Any]]] = MappingProxyType({}),
        when: TimeFocus | None = None,
    ) -> Self:
        """Take the text and what narrows it."""
        query = super().__new__(cls, text)
        query.scope = scope
        query.query_type = query_type
        query.context = context
        query.found = found
        query.when = when
        return query


def _check_text(name: str, value: Any, longest: int, *, may_be_empty: bool = False) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, not {value!r:.80}")
    if not value.strip() and not may_be_empty:
        raise ValueError(f"{name} is empty")
    if len(value) > longest:
        raise ValueError(f"{name} has {len(value):,} characters; at most {longest:,} are kept")
    _check_whole(name, value)


def _check_whole(name: str, text: str) -> None:
    if half := half_character(text):
        raise ValueError(f"{name} holds half a character (an unpaired surrogate) at position {half:,}")


def unix_seconds(value: Any) -> float:
    """Return a time as Unix seconds.

    A number tells its unit by its size: below 10¹¹ it is seconds (until the year 5138), then milliseconds,
    from 10¹⁴ on microseconds, from 10¹⁷ on nanoseconds. A text is such a number, if it has more than 8 digits
    and nothing else, or ISO 8601. A time without a zone, and a day without a time, are in UTC.

    Raises:
        ValueError: if it is none of that, or no year from 1 to 9999.

    Examples:
        >>> unix_seconds("2024-05-02T12:00:00+02:00"), unix_seconds(1714644000000), unix_seconds("1714644000")
        (1714644000.0, 1714644000.0, 1714644000.0)
    """
    if isinstance(value, str):
        value = _moment(value)
    if isinstance(value, date):
        if not isinstance(value, datetime):
            value = datetime.combine(value, time())
        moment: datetime = value if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.timestamp()
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"timestamp must be Unix seconds, ISO 8601 or a datetime, not {value!r:.80}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    seconds = next((number / unit for border, unit in _UNITS if abs(number) < border), math.nan)
    if seconds >= _YEAR_1:
        return seconds
    raise ValueError(f"timestamp {value!r:.80} is in no year from 1 to 9999")


_UNITS = ((1e11, 1), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9))
_YEAR_1 = datetime(1, 1, 1, tzinfo=UTC).timestamp()
_DIGITS = re.compile(r"[+-]?\d{9,}(\.\d+)?", re.ASCII)


def _moment(text: str) -> float | datetime:
    text = text.strip()
    if _DIGITS.fullmatch(text) and len(text) < 50:
        return float(text)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"timestamp {text!r:.80} is neither ISO 8601 nor a number of seconds") from None


def _texts(name: str, values: Any) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a list of texts, not {values!r:.80}")
    texts = tuple(values)
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"{name} must be a list of texts, but holds {text!r:.80}")
        _check_whole(name, text)
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
