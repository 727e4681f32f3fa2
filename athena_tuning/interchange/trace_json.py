"""What the JSON of all tracing systems has in common: ids, whole numbers, a span that is checked."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping
from sys import intern
from typing import Any

from athena_tuning.interchange import units
from athena_tuning.interchange.spans import NO_PARENT, STATUS_ATTRIBUTES, Span


def span_of(
    trace_id: Any,
    span_id: Any,
    parent_id: Any,
    name: Any,
    start_ns: int | None,
    duration_ns: int | None,
    success: bool | None,
    error: Any,
    attributes: Mapping[str, Any],
    *,
    shared: bool = False,
) -> Span:
    """Return a span of what a file says of it.

    Raises:
        ValueError: if it has no ids, or ends before it starts.
    """
    trace, own, parent = id_of(trace_id), id_of(span_id), id_of(parent_id)
    if parent is not None and parent.lower() in NO_PARENT:
        parent = None
    if trace is None or own is None:
        raise ValueError("a span without the ids of its trace and itself")
    if duration_ns is not None and duration_ns < 0:
        raise ValueError(f"span {own!r:.80} ends before it starts: a clock went backwards")
    if success is None and attributes:
        codes = (attributes.get(status) for status in STATUS_ATTRIBUTES)
        success = units.flag(next((code for code in codes if code is not None), None))
    text = str(error)[:2000] if error else None
    named = intern(str(name or "unnamed"))
    return Span(trace, own, parent, named, start_ns, duration_ns, success, text, shared, attributes)


def each(
    read: Callable[[Mapping[str, Any]], Span | None], values: Iterable[Any]
) -> Iterator[Span | ValueError]:
    """Give the spans that ``read`` makes of values, or what is wrong with one; None from it is left out."""
    for value in values:
        if not isinstance(value, Mapping):
            yield ValueError(f"not a span: {value!r:.80}")
            continue
        try:
            span = read(value)
        except (AttributeError, LookupError, TypeError) as exc:
            yield ValueError(f"not a span as this format has them: {exc}")
        except (ValueError, OverflowError) as exc:
            yield exc if isinstance(exc, ValueError) else ValueError(f"a number too large: {exc}")
        else:
            if span is not None:
                yield span


def id_of(value: Any) -> str | None:
    """Return an id in its hexadecimal form, also where it is in base64; None for none.

    Examples:
        >>> id_of("Sc130fnc2TY="), id_of("49cd77d1f9dcd936"), id_of("")
        ('49cd77d1f9dcd936', '49cd77d1f9dcd936', None)
    """
    if value is None or value == "":
        return None
    text = str(value)
    if len(text) in (12, 24) and text.endswith("="):
        try:
            text = base64.b64decode(text, validate=True).hex()
        except binascii.Error:
            return text
    return text


def whole(value: Any, name: str) -> int | None:
    """Return a whole number; None where there is none.

    Raises:
        ValueError: if it is something else.
    """
    if value is None or value == "":
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a whole number, not {value!r:.80}") from None


def first_of(values: Mapping[str, Any], *names: str) -> Any:
    """Return the value of the first name that is there."""
    for name in names:
        if name in values:
            return values[name]
    return None


def list_in(values: Any, *names: str) -> list[Any]:
    """Return the list under the first name that is there; an empty one if there is none."""
    listed = first_of(values, *names) if isinstance(values, Mapping) else None
    return listed if isinstance(listed, list) else []


def written_ns(value: Any, name: str) -> int | None:
    """Return a time in writing (ISO 8601; a zone that is not named is UTC) in whole ns; None for none.

    A number is a Unix time, in the unit that its size tells.

    Raises:
        ValueError: if it is no time.

    Examples:
        >>> written_ns("2026-11-27T20:00:00.000001", "start_time"), written_ns(1795809600000, "start_time")
        (1795809600000001000, 1795809600000000000)
    """
    try:
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            per = 1 / units.SECONDS[units.time_unit_of([value])]
            return value * round(1e9 / per) if isinstance(value, int) else round(value * 1e9 / per)
        moment = units.moment(value, "text")
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"{name}: {exc}") from None
    return None if moment is None else round(moment * 1e6) * 1000
