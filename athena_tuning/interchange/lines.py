"""Rows of text files: CSV and JSON lines, one at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, BinaryIO

from athena_tuning.interchange import units
from athena_tuning.interchange.opening import Limits, TornFile, encoding_of

Row = tuple[int, dict[str, Any] | ValueError]
"""A row's number in the file from 1, and its values or what is wrong with it."""

csv.field_size_limit(1 << 24)
_DELIMITERS = ",;\t|"


def lines(
    stream: BinaryIO, head: bytes, encoding: str | None, limits: Limits
) -> Iterator[tuple[int, str | ValueError]]:
    """Give the lines with their numbers from 1; a line that cannot be read is told in its place.

    Args:
        stream: the content.
        head: its beginning.
        encoding: how it is written; None: by its byte order mark, else UTF-8.
        limits: longest line.
    """
    name = encoding or encoding_of(head)
    if name.replace("-", "").lower() not in ("utf8", "utf8sig") or (b"\r" in head and b"\n" not in head):
        yield from _decoded(io.TextIOWrapper(stream, name, errors="replace", newline=""), limits)
        return
    number = 0
    try:
        while raw := stream.readline(limits.line_bytes):
            number += 1
            if len(raw) == limits.line_bytes and not raw.endswith(b"\n"):
                while raw and not raw.endswith(b"\n"):
                    raw = stream.readline(limits.line_bytes)
                yield number, ValueError(f"longer than {limits.line_bytes:,} bytes")
                continue
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as exc:
                byte = raw[exc.start]
                yield (
                    number,
                    ValueError(f"not UTF-8 (byte {byte:#04x} at {exc.start + 1}): name the encoding"),
                )
    except TornFile as exc:
        yield number + 1, exc


def json_rows(stream: BinaryIO, head: bytes, encoding: str | None, limits: Limits) -> Iterator[Row]:
    """Give the objects of a file with one on each line; empty lines are passed over."""
    loads = json.loads
    for number, line in lines(stream, head, encoding, limits):
        if isinstance(line, ValueError):
            yield number, line
            continue
        try:
            value = loads(line)
        except json.JSONDecodeError as exc:
            if line.strip():
                yield number, ValueError(f"not JSON: {exc.msg} at character {exc.pos + 1}")
        except (RecursionError, ValueError) as exc:
            yield number, too_deep() if isinstance(exc, RecursionError) else ValueError("a number too long")
        else:
            yield number, as_object(value)


def csv_rows(stream: BinaryIO, head: bytes, encoding: str | None, limits: Limits) -> Iterator[Row]:
    """Give the rows under the names of the heading; a row's number is that of its last line.

    Raises:
        ValueError: if the first line is none or names too many columns.
    """
    bad: list[tuple[int, ValueError]] = []
    at = 0

    def good_lines() -> Iterator[str]:
        nonlocal at
        for number, line in lines(stream, head, encoding, limits):
            at = number
            if isinstance(line, ValueError):
                bad.append((number, line))
            else:
                yield line

    source = good_lines()
    delimiter, names, rest = heading(source, limits)
    reader = csv.reader(chain(rest, source), delimiter=delimiter)
    width = len(names)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as exc:
            bad.append((at, ValueError(f"not CSV: {exc}")))
            cells = []
        yield from bad
        bad.clear()
        if cells is None:
            return
        if len(cells) == width:
            yield at, dict(zip(names, cells, strict=True))
        elif any(cells):
            yield at, ValueError(f"has {len(cells)} cells, the header {width}")


def heading(lines: Iterable[str], limits: Limits) -> tuple[str, list[str], list[str]]:
    """Return delimiter and names of the columns, and the lines after them that were read already.

    Lines ahead that begin with "#" are comments, save for one that names as many columns as follow. Where
    the first line is data, the columns are numbered.

    Raises:
        ValueError: if there is no line, or it has more columns than any table of queries.

    Examples:
        >>> heading(["# made by hand", "ts;took", "17;2"], Limits())
        (';', ['ts', 'took'], [])
        >>> heading(["1700000000,12.5"], Limits())
        (',', ['column 1', 'column 2'], ['1700000000,12.5'])
    """
    comment = ""
    for line in lines:
        if line.startswith("#"):
            comment = line[1:]
        elif line.strip():
            delimiter = delimiter_of(line)
            cells = next(csv.reader([line], delimiter=delimiter))
            if len(cells) > 1 and comment.count(delimiter) == len(cells) - 1:
                return (
                    delimiter,
                    column_names(next(csv.reader([comment], delimiter=delimiter)), limits),
                    [line],
                )
            if any(map(_is_value, cells)):
                return delimiter, column_names([""] * len(cells), limits), [line]
            return delimiter, column_names(cells, limits), []
    raise ValueError("the file has no rows")


def _is_value(cell: str) -> bool:
    """Whether a cell is data, which no name of a column looks like."""
    try:
        return units.is_written_time(cell) or units.number(cell) is not None
    except ValueError:
        return False


def delimiter_of(header: str) -> str:
    r"""Return what separates the names of a header line.

    Examples:
        >>> delimiter_of("start;end;note, if any"), delimiter_of("only")
        (';', ',')
    """
    return max(_DELIMITERS, key=lambda sign: (header.count(sign), sign == ","))


def column_names(cells: Sequence[str], limits: Limits) -> list[str]:
    """Return the names of the columns, each once; one without a name has a number.

    Raises:
        ValueError: if there are more than any table of queries has.

    Examples:
        >>> column_names(["start", "ms", "ms", ""], Limits())
        ['start', 'ms', 'ms (2)', 'column 4']
    """
    if len(cells) > limits.columns:
        raise ValueError(f"the file has {len(cells):,} columns; at most {limits.columns:,} are read")
    names: dict[str, None] = {}
    for n, cell in enumerate(cells, 1):
        name = base = cell.strip() or f"column {n}"
        again = 1
        while name in names:
            again += 1
            name = f"{base} ({again})"
        names[name] = None
    return list(names)


def as_object(value: Any) -> dict[str, Any] | ValueError:
    """Return a JSON value if it is an object, else what is wrong."""
    return value if isinstance(value, dict) else ValueError(f"not an object: {value!r:.80}")


def too_deep() -> ValueError:
    """Return the complaint about JSON that is nested without end."""
    return ValueError("nested too deep to be read")


def _decoded(text: io.TextIOWrapper, limits: Limits) -> Iterator[tuple[int, str | ValueError]]:
    number = 0
    try:
        while line := text.readline(limits.line_bytes):
            number += 1
            yield number, ValueError("cannot be decoded") if "\ufffd" in line else line
    except TornFile as exc:
        yield number + 1, exc
    finally:
        text.detach()
