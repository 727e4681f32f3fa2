"""How a file is built, and a sample of it for recognisers. Told from the content, never the name."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from athena_tuning.interchange import parquet, record_json
from athena_tuning.interchange.lines import heading
from athena_tuning.interchange.opening import HEAD, LIMITS, Limits, TornFile, encoding_of, open_bytes

_LINE_END = re.compile(r"[\r\n]")  # a JSON text may hold what else ``splitlines`` takes for one
_COLON = re.compile(r"\s*:")
_RESOURCES = ("resourceSpans", "resource_spans", "batches")
_SCOPES = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans")
"""Members of a document of OpenTelemetry: spans are in scopes of resources; one may hold them all."""

_LISTS = frozenset(
    {"data", "traces", "observations", "runs", "spans", "items", "results", "rows", "records", "hits"}
)
"""Members that documents around a list are known to call it by."""

_NO_TEXT = 0.1
"""Share of signs that cannot be decoded from which on a file is no text in this encoding."""

_OF_A_ROW = frozenset({"id", "timestamp", "time", "ts", "start", "start_time", "startTime", "@timestamp"})
"""Members that a row has, and a document around rows has not."""

Row = Mapping[str, Any]


class Shape(StrEnum):
    """How a file is built."""

    CSV = "CSV"
    JSONL = "JSON lines"
    JSON = "JSON"
    PARQUET = "Parquet"
    BINARY = "binary"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is built, as far as its beginning tells.

    Attributes:
        shape: how.
        path: in JSON, the members that lead to the list of elements; None where each document is one.
        head: the beginning of the content.
        text: that beginning as text.
    """

    shape: Shape
    path: tuple[str, ...] | None = ()
    head: bytes = b""
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of a file, for a recogniser to look at.

    Attributes:
        shape: how the file is built.
        columns: names of the rows' values, those inside objects with dots ("http.status").
        rows: the first rows of a table, or elements of a JSON document; empty if none could be read.
        path: in JSON, the members that lead to the elements.
        lines: the first lines of a text; of a document without line ends, its beginning.
        members: names of the outermost members of a JSON object, as far as the beginning goes.
        units: units that the file's own schema names, by column ("ms").
        head: the first bytes.

    Example:
        >>> sample = Sample(Shape.JSONL, ("a", "b"), ({"a": 1}, {"a": 2, "b": 3}))
        >>> sample.has("a", "b"), sample.share(lambda row: "b" in row)
        (True, 0.5)
    """

    shape: Shape
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    path: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    head: bytes = b""

    def has(self, *names: str) -> bool:
        """Whether all these columns are there."""
        return set(names) <= set(self.columns)

    def share(self, test: Callable[[Row], bool]) -> float:
        """Return the share of the rows, 0 to 1, for which ``test`` holds; 0 where there are none."""
        return sum(map(test, self.rows)) / len(self.rows) if self.rows else 0.0


def layout_of(path: Path, encoding: str | None = None, limits: Limits = LIMITS) -> Layout:
    """Return how a file is built.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is empty, or packed in a way that is not read here.
    """
    with path.open("rb") as raw:
        if raw.read(4) == b"PAR1":
            return Layout(Shape.PARQUET)
    with open_bytes(path, limits) as (stream, _):
        head = _head(stream)
    decoder = codecs.getincrementaldecoder(encoding or encoding_of(head))("replace")
    text = decoder.decode(head).lstrip("\ufeff \t\r\n")
    if not text:
        raise ValueError(f"{path.name} is empty")
    if "\0" in _LINE_END.split(text, 1)[0] or text.count("\ufffd", 0, 4096) > _NO_TEXT * len(text[:4096]):
        return Layout(Shape.BINARY, head=head)
    if text[0] in "[{" and (spans := _path_to_spans(text)) is not None:
        return Layout(Shape.JSON, spans, head, text)
    if text[0] == "[":
        return Layout(Shape.JSON, (), head, text)
    if text[0] == "{":
        return _object(text, head)
    heading(_LINE_END.split(text), limits)
    return Layout(Shape.CSV, (), head, text)


def names_of(row: Row, prefix: str = "", depth: int = 3) -> Iterator[str]:
    """Give the names of an object's values, those inside objects with dots."""
    for name, value in row.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping) and depth > 1:
            yield from names_of(value, f"{prefix}{name}.", depth - 1)


def flat(row: Row, prefix: str = "", depth: int = 3) -> dict[str, Any]:
    """Return an object's values with those inside objects beside them, by names with dots."""
    values: dict[str, Any] = {}
    for name, value in row.items():
        values[f"{prefix}{name}"] = value
        if isinstance(value, Mapping) and depth > 1:
            values.update(flat(value, f"{prefix}{name}.", depth - 1))
    return values


def columns_of(path: Path, layout: Layout, rows: Sequence[Row], limits: Limits) -> tuple[str, ...]:
    """Return the names of a table's columns.

    Raises:
        ValueError: if there are more than ``limits`` allows.
    """
    if layout.shape is Shape.PARQUET:
        return tuple(parquet.columns(path, limits))
    names = tuple(dict.fromkeys(name for row in rows for name in names_of(row)))
    if len(names) > limits.columns:
        raise ValueError(f"the rows have {len(names):,} columns; at most {limits.columns:,} are read")
    return names


def members_of(text: str) -> list[str]:
    """Return the names of the members of the outermost object, as far as the text goes.

    Example:
        >>> members_of('{"a": {"b": 1}, "c": [1, 2')
        ['a', 'c']
    """
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


def lines_of(text: str, most: int = 200) -> tuple[str, ...]:
    """Return the first lines that hold something, whole ones where there is more than one."""
    lines = _LINE_END.split(text, 2 * most)
    return tuple([line for line in lines[:-1] or lines if line.strip()][:most])


def _head(stream: Any) -> bytes:
    """Return the beginning of the content, as far as it is whole."""
    head = b""
    with suppress(TornFile):
        while len(head) < HEAD and (more := stream.read1(HEAD - len(head))):
            head += more
    return head


def _object(text: str, head: bytes) -> Layout:
    """Tell rows, one on each line, from documents around a list of them and from documents that are rows."""
    names = members_of(text)
    first = _first_value(_LINE_END.split(text, 1)[0])
    if isinstance(first, Mapping) and not _holds_rows(first):
        return Layout(Shape.JSONL, (), head, text)
    if not _is_row(names):
        for name in names:
            if (path := _list_below(text, name)) is not None:
                return Layout(Shape.JSON, path, head, text)
    second = _LINE_END.split(text, 2)[1:2]
    if first is None and second and not second[0].lstrip().startswith("{"):
        return Layout(Shape.JSON, None, head, text)  # documents over several lines
    return Layout(Shape.JSONL, (), head, text)


def _path_to_spans(text: str) -> tuple[str, ...] | None:
    """Return the way to the spans in a document of OpenTelemetry; None if it is none."""
    outermost = members_of(text[text.find("{") :])
    scopes = next((name for name in _SCOPES if f'"{name}"' in text), None)
    if scopes is None:
        return None
    if scopes in outermost:
        return (scopes, "spans")
    resources = next((name for name in _RESOURCES if name in outermost), None)
    if resources is not None:
        return (resources, scopes, "spans")
    inner = next((name for name in _RESOURCES if f'"{name}"' in text), None)
    return ("trace", inner, scopes, "spans") if inner is not None and "trace" in outermost else None


def _is_row(names: Collection[str]) -> bool:
    return set(names) >= record_json.REQUIRED or not _OF_A_ROW.isdisjoint(names)


def _list_below(text: str, name: str) -> tuple[str, ...] | None:
    """Return the path to a list of objects that is a member's value, or that of a member inside it."""
    after = text.split(f'"{name}"', 1)[1].lstrip(" \t\r\n:")
    if after.startswith("["):
        return (name,) if after[1:].lstrip().startswith("{") else None
    if not after.startswith("{"):
        return None
    for inner in members_of(after):
        below = after.split(f'"{inner}"', 1)[1].lstrip(" \t\r\n:")
        if below.startswith("[") and below[1:].lstrip().startswith("{"):
            return (name, inner)
    return None


def _holds_rows(first: Row) -> bool:
    """Whether it is one document around a list of rows, and not a row itself."""
    if len(first) > 10 or _is_row(first):
        return False
    lists = {
        name: value
        for name, value in first.items()
        if isinstance(value, list) and value and isinstance(value[0], Mapping)
    }
    return any(len(value) > 1 or name in _LISTS for name, value in lists.items())


def _first_value(text: str) -> Any:
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None
