"""Tells what a file is from its beginning, never from its name."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from athena_tuning.interchange import parquet, record_json
from athena_tuning.interchange.lines import heading
from athena_tuning.interchange.opening import HEAD, LIMITS, Limits, TornFile, encoding_of, open_bytes

_LINE_END = re.compile(r"[\r\n]")  # a JSON text may hold what else ``splitlines`` takes for one
_COLON = re.compile(r"\s*:")


class Format(StrEnum):
    """How a file is built."""

    CSV = "CSV"
    JSONL = "JSON lines"
    JSON = "JSON list"
    PARQUET = "Parquet"
    OTLP = "OTLP/JSON"
    JAEGER = "Jaeger JSON"
    ZIPKIN = "Zipkin v2"


TABLES = frozenset({Format.CSV, Format.JSONL, Format.JSON, Format.PARQUET})
"""Formats whose columns need a mapping."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is.

    Attributes:
        format: how it is built.
        own: whether it is an export of ours.
        path: in JSON, the members that lead to the list of elements; None where each document is one.
        head: the beginning of the content.
    """

    format: Format
    own: bool = False
    path: tuple[str, ...] | None = ()
    head: bytes = b""


def kind_of(path: Path, encoding: str | None = None, limits: Limits = LIMITS) -> Kind:
    """Return what a file is.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is empty or nothing that is read here.
        MissingExtra: if it is Parquet and the extra ``files`` is not installed.
    """
    with path.open("rb") as raw:
        if raw.read(4) == b"PAR1":
            return Kind(Format.PARQUET, parquet.is_own(path))
    with open_bytes(path, limits) as (stream, _):
        head = _head(stream)
    decoder = codecs.getincrementaldecoder(encoding or encoding_of(head))("replace")
    text = decoder.decode(head).lstrip("\ufeff \t\r\n")
    if not text:
        raise ValueError(f"{path.name} is empty")
    first = _LINE_END.split(text, 1)[0]
    if "\0" in first:
        raise ValueError(f"{path.name} is no text, no Parquet and no gzip of text")
    if text[0] == "[":
        return _listed(text, head)
    if text[0] == "{":
        return _object(text, head)
    _, names, _ = heading(_LINE_END.split(text), limits)
    return Kind(Format.CSV, set(names) >= record_json.REQUIRED, (), head)


def _head(stream: Any) -> bytes:
    """Return the beginning of the content, as far as it is whole."""
    head = b""
    with suppress(TornFile):
        while len(head) < HEAD and (more := stream.read1(HEAD - len(head))):
            head += more
    return head


def _listed(text: str, head: bytes) -> Kind:
    first = _first_value(text[1:].lstrip())
    if isinstance(first, list):
        first = first[0] if first else None
    if isinstance(first, Mapping):
        known = _trace_format(first)
        return Kind(known or Format.JSON, first.keys() >= record_json.REQUIRED, head=head)
    names = _members(text[text.index("{") :]) if "{" in text[:1000] else []
    return Kind(_trace_format(names) or Format.JSON, head=head)


def _trace_format(names: Collection[str]) -> Format | None:
    """Return the format that an element with these members belongs to, None for a table."""
    if "resourceSpans" in names:
        return Format.OTLP
    if "traceID" in names and "spans" in names:
        return Format.JAEGER
    return Format.ZIPKIN if {"traceId", "id", "timestamp"} <= set(names) else None


def _object(text: str, head: bytes) -> Kind:
    names = _members(text)
    for otlp in ("resourceSpans", "resource_spans", "batches"):
        if otlp in names:
            return Kind(Format.OTLP, path=(otlp,), head=head)
    if "trace" in names and '"resourceSpans"' in text:
        return Kind(Format.OTLP, path=("trace", "resourceSpans"), head=head)
    if "data" in names and '"traceID"' in text:
        return Kind(Format.JAEGER, path=("data",), head=head)
    if (known := _trace_format(names)) is not None:
        return Kind(known, path=None, head=head)
    return _rows(text, names, head)


def _rows(text: str, names: Sequence[str], head: bytes) -> Kind:
    """Tell rows, one on each line, from one document around a list of them."""
    first = _first_value(_LINE_END.split(text, 1)[0])
    if isinstance(first, Mapping) and not _holds_objects(first):
        return Kind(Format.JSONL, first.keys() >= record_json.REQUIRED, head=head)
    for name in names:
        after = text.split(f'"{name}"', 1)[1].lstrip(" \t\r\n:")
        if after.startswith("[") and after[1:].lstrip().startswith("{"):
            return Kind(Format.JSON, path=(name,), head=head)
    return Kind(Format.JSONL, head=head)


def _holds_objects(first: Mapping[str, Any]) -> bool:
    """Whether it is one document around a list of rows, and not a row itself."""
    if len(first) > 10 or first.keys() >= record_json.REQUIRED:
        return False
    lists = (value for value in first.values() if isinstance(value, list))
    return any(len(found) > 1 and isinstance(found[0], Mapping) for found in lists)


def _first_value(text: str) -> Any:
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None


def _members(text: str) -> list[str]:
    """Return the names of the members of the outermost object, as far as the text goes."""
    names, depth, at, length = [], 0, 0, len(text)
    while at < length:
        sign = text[at]
        if sign == '"':
            end = at + 1
            while end < length and text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            if depth == 1 and _COLON.match(text, end + 1):
                names.append(text[at + 1 : end])
            at = end
        elif sign in "{[":
            depth += 1
        elif sign in "}]":
            depth -= 1
            if depth == 0:
                return names
        at += 1
    return names
