"""The rows, lines or elements of a file, as its layout has them, with progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from athena_tuning.interchange import documents, lines, parquet
from athena_tuning.interchange.opening import LIMITS, Limits, open_bytes
from athena_tuning.interchange.shape import Layout, Sample, Shape, columns_of, layout_of, lines_of, members_of

Progress = Callable[[int, int], None]
"""Told (bytes read, bytes in all)."""

_SAMPLE = 500
_TOLD_EVERY = 2048


def sample_of(path: Path, encoding: str | None = None, limits: Limits = LIMITS) -> Sample:
    """Return what a recogniser is shown of a file.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is empty, packed in a way that is not read here, or too wide.
    """
    return RowSource(path, layout_of(path, encoding, limits), encoding, limits).sample()[0]


class RowSource:
    """Reads one file again and again, in bounded memory.

    Args:
        path: the file.
        layout: how it is built.
        encoding: how text is written; None: by its byte order mark, else UTF-8.
        limits: what is too much.
    """

    def __init__(self, path: Path, layout: Layout, encoding: str | None, limits: Limits) -> None:
        self.path = path
        self.layout = layout
        self._encoding = encoding
        self._limits = limits

    def sample(self) -> tuple[Sample, str]:
        """Return the first rows, and what is wrong with the first one that cannot be read ("" if all can).

        Raises:
            ValueError: if the table is wider than any table of queries.
        """
        rows: list[dict[str, Any]] = []
        trouble = ""
        if self.layout.shape is not Shape.BINARY:
            try:
                for number, value in islice(self._first(), _SAMPLE):
                    if isinstance(value, ValueError):
                        trouble = trouble or f"row {number:,}: {value}"
                        continue
                    parts = value if isinstance(value, list) else [value]
                    rows += [part for part in parts[:_SAMPLE] if isinstance(part, dict)]
            except ValueError as exc:
                trouble = trouble or str(exc)
        text = self.layout.text
        is_json = self.layout.shape in (Shape.JSON, Shape.JSONL)
        return Sample(
            self.layout.shape,
            columns_of(self.path, self.layout, rows, self._limits),
            tuple(rows),
            self.layout.path or (),
            lines_of(text),
            tuple(members_of(text)) if is_json and text[:1] == "{" else (),
            parquet.schema_units(self.path) if self.layout.shape is Shape.PARQUET else {},
            self.layout.head,
        ), trouble

    def rows(
        self, used: Sequence[str] | None = None, progress: Progress | None = None
    ) -> Iterator[lines.Row]:
        """Give the rows with their numbers; what is no row is told in its place.

        Args:
            used: names of columns that are needed; None: all.
            progress: told how far it is.
        """
        if self.layout.shape is Shape.PARQUET:
            names = parquet.columns(self.path, self._limits)
            wanted = set(names if used is None else used)
            chosen = [
                name for name in names if name in wanted or any(w.startswith(f"{name}.") for w in wanted)
            ]
            yield from self._by_share(parquet.rows(self.path, chosen), progress)
            return
        for number, value in self._values(progress):
            yield number, value if isinstance(value, (dict, ValueError)) else lines.as_object(value)

    def elements(self, progress: Progress | None = None) -> Iterator[tuple[int, Any]]:
        """Give the values of the file with their numbers, whatever they are; for a table its rows."""
        if self.layout.shape is Shape.PARQUET:
            yield from self.rows(None, progress)
        else:
            yield from self._values(progress)

    def text_lines(self, progress: Progress | None = None) -> Iterator[tuple[int, str | ValueError]]:
        """Give the lines of a text with their numbers; empty ones are passed over."""
        with open_bytes(self.path, self._limits) as (stream, raw):
            texts = lines.lines(stream, self.layout.head, self._encoding, self._limits)
            for number, line in self._by_bytes(texts, raw, progress):
                if isinstance(line, ValueError) or line.strip():
                    yield number, line

    def own_parquet(self, progress: Progress | None = None) -> Iterator[Any]:
        """Give the records of an export of ours in Parquet with their numbers."""
        yield from self._by_share(parquet.own_records(self.path), progress)

    def _first(self) -> Iterator[tuple[int, Any]]:
        if self.layout.shape is not Shape.PARQUET:
            return self._values(None)
        names = parquet.columns(self.path, self._limits)
        return self._by_share(parquet.rows(self.path, names, _SAMPLE), None)

    def _values(self, progress: Progress | None) -> Iterator[tuple[int, Any]]:
        with open_bytes(self.path, self._limits) as (stream, raw):
            yield from self._by_bytes(self._of_text(stream), raw, progress)

    def _of_text(self, stream: BinaryIO) -> Iterator[tuple[int, Any]]:
        head, encoding, limits = self.layout.head, self._encoding, self._limits
        if self.layout.shape is Shape.CSV:
            return lines.csv_rows(stream, head, encoding, limits)
        if self.layout.shape is Shape.JSONL:
            return lines.json_rows(stream, head, encoding, limits)
        return enumerate(documents.elements(stream, head, self.layout.path, encoding, limits), 1)

    def _by_bytes(self, values: Iterable[Any], raw: BinaryIO, progress: Progress | None) -> Iterator[Any]:
        if progress is None:
            yield from values
            return
        size = self.path.stat().st_size
        for n, value in enumerate(values):
            if n % _TOLD_EVERY == 0:
                progress(min(raw.tell(), size), size)
            yield value
        progress(size, size)

    def _by_share(self, values: Iterable[tuple[Any, float]], progress: Progress | None) -> Iterator[Any]:
        size = self.path.stat().st_size
        told = -1.0
        for value, share in values:
            if progress is not None and share != told:
                progress(int(share * size), size)
                told = share
            yield value
