"""Tells what a file is from its beginning, never from its name."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from athena_tuning.workload import record_json
from athena_tuning.workload.importing import parquet
from athena_tuning.workload.importing.lines import column_names, delimiter_of
from athena_tuning.workload.importing.opening import HEAD, LIMITS, Limits, TornFile, encoding_of, open_bytes

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
        path: in JSON, the members that lead to the list of elements.
        head: the beginning of the content.
    """

    format: Format
    own: bool = False
    path: tuple[str, ...] = ()
    head: bytes = b""


def kind_of(path: Path, encoding: str | None = None, limits: Limits = LIMITS) -> Kind:
    """Return what a file is.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is empty or nothing that is read here.
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
    names = column_names(next(csv.reader([first], delimiter=delimiter_of(first))), limits)
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
        if "resourceSpans" in first:
            raise ValueError("a list of OTLP documents: write them one after the other, without the list")
        if "traceId" in first and "id" in first:
            return Kind(Format.ZIPKIN, head=head)
        return Kind(Format.JSON, first.keys() >= record_json.REQUIRED, head=head)
    names = _members(text[text.index("{") :]) if "{" in text[:1000] else []
    return Kind(Format.ZIPKIN if "traceId" in names else Format.JSON, head=head)


def _object(text: str, head: bytes) -> Kind:
    names = _members(text)
    for otlp in ("resourceSpans", "resource_spans", "batches"):
        if otlp in names:
            return Kind(Format.OTLP, path=(otlp,), head=head)
    if "trace" in names and '"resourceSpans"' in text:
        return Kind(Format.OTLP, path=("trace", "resourceSpans"), head=head)
    if "data" in names and '"traceID"' in text:
        return Kind(Format.JAEGER, path=("data",), head=head)
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
