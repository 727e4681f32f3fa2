"""What two recalls must have in common to have one answer."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from athena_tuning.recall.snapshot import ATOMS

MAX_BYTES = 65_536
"""A vector or another block of memory that is larger makes a recall one of its kind."""


class NotComparable(Exception):
    """A value of which nobody can say whether another one is equal to it, now and later."""


def cache_key(
    query: str, scope: str | None, context: Mapping[str, Any], identity: Iterable[ContextVar[Any]]
) -> Hashable | None:
    """Return a key that only an equal request has; None if part of it cannot be compared.

    How many results are wanted is not part of it: what is enough for many is enough for few.

    Values of plain types are compared with their type, so that 1 is not True. Numbers in a block of memory
    (an array, a vector) are compared byte by byte. An object whose equality is its own code, or is being the
    same object, cannot be compared: it may be different when it is asked for again.

    Args:
        query: the text.
        scope: of the recall.
        context: what the caller gave beside the text.
        identity: context variables on which answers depend.

    Examples:
        >>> cache_key("q", None, {"user": [7]}, ()) == cache_key("q", None, {"user": [7]}, ())
        True
        >>> cache_key("q", None, {"user": object()}, ()) is None
        True
    """
    if not context and not identity:
        return (query, scope)
    try:
        of_identity = tuple(_frozen(variable.get(None)) for variable in identity)
        return (query, scope, _frozen(dict(context)), of_identity)
    except Exception:  # noqa: BLE001  (it cannot be compared, or looking at it fails)
        return None


def _frozen(value: Any) -> Hashable:
    kind = type(value)
    content: Hashable
    if kind in ATOMS:
        if value != value:  # NaN  # noqa: PLR0124
            raise NotComparable
        content = value
    elif kind in {list, tuple}:
        content = tuple([_frozen(part) for part in value])
    elif kind is dict:
        content = frozenset([(_frozen(name), _frozen(part)) for name, part in value.items()])
    elif kind in {set, frozenset}:
        content = frozenset(map(_frozen, value))
    elif isinstance(value, Enum):
        content = value.name
    elif is_dataclass(kind):
        content = _fields_of(value)
    else:
        content = _memory_of(value)
    return (kind, content)


def _fields_of(value: Any) -> Hashable:
    names = [field.name for field in fields(value)]
    if not set(getattr(value, "__dict__", ())) <= set(names):
        raise NotComparable  # it has more to it than its fields
    return tuple([_frozen(getattr(value, name)) for name in names])


def _memory_of(value: Any) -> Hashable:
    try:
        with memoryview(value) as memory:
            if memory.nbytes > MAX_BYTES or "O" in memory.format:
                raise NotComparable
            return (memory.format, memory.shape, memory.tobytes())
    except (TypeError, ValueError, BufferError):
        raise NotComparable from None
