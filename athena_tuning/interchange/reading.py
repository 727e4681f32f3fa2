"""Reads a file of measurements: look at it first, correct the mapping, then take the records."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal

from athena_tuning.interchange import documents, lines, parquet, record_csv, record_json, tracing
from athena_tuning.interchange.converting import to_record, to_span
from athena_tuning.interchange.formats import TABLES, Format, Kind, kind_of
from athena_tuning.interchange.guessing import guess
from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.interchange.opening import LIMITS, Limits, check_encoding, open_bytes
from athena_tuning.interchange.spans import Span, assemble
from athena_tuning.model import QueryMetrics

OnBad = Literal["skip", "refuse"]
Progress = Callable[[int, int], None]
"""Told (bytes read, bytes in all)."""

KEPT_PROBLEMS = 1000
_SAMPLE = 2000
_TOLD_EVERY = 2048
_SPAN_READERS = {Format.OTLP: tracing.otlp, Format.JAEGER: tracing.jaeger, Format.ZIPKIN: tracing.zipkin}

Numbered = Iterator[tuple[int, QueryMetrics | ValueError]]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one row (in traces: one span), by its number from 1."""

    row: int
    reason: str


@dataclass(slots=True)
class ImportReport:
    """What became of a file, up to now.

    Attributes:
        records: queries read.
        bad: rows left out; ``problems`` tells of the first 1,000.
        problems: which, and why.
        backwards: records that begin before the one before them.
        first: earliest time, Unix seconds.
        last: latest time.
    """

    records: int = 0
    bad: int = 0
    problems: list[Problem] = field(default_factory=list)
    backwards: int = 0
    first: float | None = None
    last: float | None = None
    _before: float = 0.0

    def good(self, timestamp: float) -> None:
        """Count a record."""
        self.records += 1
        if timestamp < self._before:
            self.backwards += 1
        self._before = timestamp
        if self.first is None or timestamp < self.first:
            self.first = timestamp
        if self.last is None or timestamp > self.last:
            self.last = timestamp

    def wrong(self, row: int, reason: str) -> None:
        """Count a row that is left out."""
        self.bad += 1
        if len(self.problems) < KEPT_PROBLEMS:
            self.problems.append(Problem(row, reason))


class ImportRefused(ValueError):
    """The file has bad rows and was to be taken whole or not at all: nothing of it was given.

    Attributes:
        report: all that is wrong.
    """

    def __init__(self, name: str, report: ImportReport) -> None:
        worst = report.problems[0]
        more = f" (and {report.bad - 1:,} more)" if report.bad > 1 else ""
        super().__init__(f"{name} was refused: row {worst.row:,}: {worst.reason}{more}")
        self.report = report


class Import:
    r"""A file of measurements: CSV, JSON lines, a JSON list, Parquet, OTLP/JSON, Jaeger JSON or Zipkin v2.

    What the file is is told from its content; gzip is unpacked. A table's columns are mapped by a guess that
    ``mapping`` shows and a corrected one replaces. The file is streamed: memory is bounded whatever its
    size. What it does not hold stays unknown.

    Args:
        path: the file.
        mapping: what the columns are; None: guessed. Traces and exports of ours need none.
        on_bad: "skip" leaves bad rows out and reports them; "refuse" reads the file twice and gives nothing
            if a row is bad.
        encoding: how text is written; None: by the byte order mark, else UTF-8.
        limits: what is too much.

    Attributes:
        kind: what the file is.
        on_bad: what becomes of bad rows.
        columns: names of a table's columns.
        mapping: what they are taken for; None where none is needed. A guess may lack the time, which only
            ``records`` complains of.
        notes: why, and what a person should know.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is nothing that is read here, or the mapping does not fit it.

    Example:
        >>> import tempfile, pathlib
        >>> file = pathlib.Path(tempfile.mkdtemp(), "log.csv")
        >>> _ = file.write_text("ts,took_us,endpoint\n1700000000,1500,/search\n1700000001,,/search\n")
        >>> found = Import(file)
        >>> found.mapping.latency, found.mapping.latency_unit
        ('took_us', 'us')
        >>> [(m.query_type, m.latency_ms, m.success) for m in found.records()]
        [('/search', 1.5, None), ('/search', None, None)]
    """

    def __init__(
        self,
        path: Path | str,
        mapping: ColumnMapping | None = None,
        *,
        on_bad: OnBad = "skip",
        encoding: str | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        if on_bad not in ("skip", "refuse"):
            raise ValueError(f"on_bad must be skip or refuse, not {on_bad!r}")
        check_encoding(encoding)
        self.path = Path(path)
        self.kind: Kind = kind_of(self.path, encoding, limits)
        self.report = ImportReport()
        self.mapping: ColumnMapping | None = None
        self.columns: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        self.on_bad = on_bad
        self._encoding = encoding
        self._limits = limits
        if self.kind.format in TABLES and not self.kind.own:
            self._map(mapping)

    def preview(self, limit: int = 20) -> tuple[list[QueryMetrics], list[Problem]]:
        """Return the first records and the problems up to there."""
        report = ImportReport()
        records = list(islice(self._good(report, None), limit))
        return records, report.problems

    def records(self, progress: Progress | None = None) -> Iterator[QueryMetrics]:
        """Give the records in the file's order (of traces: as they are complete); ``report`` counts along.

        Args:
            progress: told (bytes read, bytes in all) now and then.

        Raises:
            ImportRefused: if a row is bad and ``on_bad`` is "refuse"; before the first record.
        """
        if self.on_bad == "refuse" and (found := self.scan()).bad:
            raise ImportRefused(self.path.name, found)
        yield from self.stream(progress)

    def stream(self, progress: Progress | None = None, *, shift: float = 0.0) -> Iterator[QueryMetrics]:
        """Give the records as ``records`` does, without a look ahead: what is bad is left out.

        Args:
            progress: told (bytes read, bytes in all) now and then.
            shift: seconds to move all times by.
        """
        self.report = ImportReport()
        for record in self._good(self.report, progress):
            yield record._replace(timestamp=record.timestamp + shift) if shift else record

    def scan(self, progress: Progress | None = None) -> ImportReport:
        """Read the whole file, keep nothing of it, and return what is in it."""
        self.report = ImportReport()
        deque(self._good(self.report, progress), maxlen=0)
        return self.report

    def _map(self, mapping: ColumnMapping | None) -> None:
        numbered = list(islice(self._rows(None, None), _SAMPLE))
        sample = [row for _, row in numbered if not isinstance(row, ValueError)]
        if self.kind.format is Format.PARQUET:
            self.columns = tuple(parquet.columns(self.path, self._limits))
        else:
            self.columns = tuple(dict.fromkeys(name for row in sample for name in _names(row)))
        if len(self.columns) > self._limits.columns:
            raise ValueError(
                f"the rows have {len(self.columns):,} columns; at most {self._limits.columns:,} are read"
            )
        if not sample:
            why = f": row {numbered[0][0]:,}: {numbered[0][1]}" if numbered else ""
            raise ValueError(f"{self.path.name} has no rows that can be read{why}")
        guessed = guess(self.columns, [_flat(row) for row in sample])
        if mapping is not None:
            mapping.check(self.columns)
        self.mapping = mapping or guessed.mapping
        self.notes = guessed.notes if mapping is None else ()

    def _check(self, mapping: ColumnMapping) -> None:
        try:
            mapping.check(self.columns)
        except ValueError as exc:
            raise ValueError("; ".join([str(exc), *self.notes])) from None

    def _good(self, report: ImportReport, progress: Progress | None) -> Iterator[QueryMetrics]:
        if self.mapping is not None:
            self._check(self.mapping)
        number = 0
        seen: dict[int, int] = {}
        ids = self.kind.own or (self.mapping is not None and self.mapping.query_id is not None)
        try:
            for number, found in self._numbered(progress):
                if isinstance(found, ValueError):
                    report.wrong(number, str(found))
                    continue
                if ids and (first := seen.setdefault(hash(found.query_id), number)) != number:
                    report.wrong(number, f"id {found.query_id!r:.80} is there twice, first in row {first:,}")
                    continue
                if len(seen) > self._limits.ids:
                    seen.pop(next(iter(seen)))
                report.good(found.timestamp)
                yield found
        except ValueError as exc:
            report.wrong(number + 1, f"{exc}; the file is not read further")

    def _numbered(self, progress: Progress | None) -> Numbered:
        if self.mapping is not None:
            if self.mapping.is_spans:
                return assemble(
                    _converted(self._rows(self.mapping, progress), to_span(self.mapping)), self._limits
                )
            return _converted(self._rows(self.mapping, progress), to_record(self.mapping))
        if self.kind.format in _SPAN_READERS:
            return assemble(self._spans(progress), self._limits)
        if self.kind.format is Format.PARQUET:
            return self._shared_progress(parquet.own_records(self.path), progress)
        if self.kind.format is Format.CSV:
            return _converted(self._rows(None, progress), lambda _, row: record_csv.from_cells(row))
        return _converted(self._rows(None, progress), lambda _, row: record_json.from_plain(row))

    def _rows(self, mapping: ColumnMapping | None, progress: Progress | None) -> Iterator[lines.Row]:
        if self.kind.format is Format.PARQUET:
            names = list(parquet.columns(self.path, self._limits))
            used = set(mapping.columns.values()) if mapping else set(names)
            wanted = [name for name in names if name in used or any(u.startswith(f"{name}.") for u in used)]
            yield from self._shared_progress(parquet.rows(self.path, wanted), progress)
            return
        with open_bytes(self.path, self._limits) as (stream, raw):
            yield from self._told(self._text_rows(stream), raw, progress)

    def _text_rows(self, stream: BinaryIO) -> Iterator[lines.Row]:
        head, encoding, limits = self.kind.head, self._encoding, self._limits
        if self.kind.format is Format.CSV:
            return lines.csv_rows(stream, head, encoding, limits)
        if self.kind.format is Format.JSONL:
            return lines.json_rows(stream, head, encoding, limits)
        found = documents.elements(stream, head, self.kind.path, encoding, limits)
        return ((number, lines.as_object(value)) for number, value in enumerate(found, 1))

    def _spans(self, progress: Progress | None) -> Iterator[tuple[int, Span | ValueError | None]]:
        read = _SPAN_READERS[self.kind.format]
        number = 0
        with open_bytes(self.path, self._limits) as (stream, raw):
            found = documents.elements(stream, self.kind.head, self.kind.path, self._encoding, self._limits)
            for element in self._told(found, raw, progress):
                for span in read(element):
                    number += 1
                    yield number, span
                if self.kind.format is Format.JAEGER or isinstance(element, list):
                    yield number, None  # the element was a whole trace

    def _told(self, found: Iterable[Any], raw: BinaryIO, progress: Progress | None) -> Iterator[Any]:
        if progress is None:
            yield from found
            return
        size = self.path.stat().st_size
        for n, value in enumerate(found):
            if n % _TOLD_EVERY == 0:
                progress(min(raw.tell(), size), size)
            yield value
        progress(size, size)

    def _shared_progress(
        self, found: Iterable[tuple[Any, float]], progress: Progress | None
    ) -> Iterator[Any]:
        size = self.path.stat().st_size
        told = -1.0
        for value, share in found:
            if progress is not None and share != told:
                progress(int(share * size), size)
                told = share
            yield value


def _converted(
    rows: Iterable[lines.Row], make: Callable[[int, Mapping[str, Any]], Any]
) -> Iterator[tuple[int, Any]]:
    for number, row in rows:
        if isinstance(row, ValueError):
            yield number, row
            continue
        try:
            yield number, make(number, row)
        except ValueError as exc:
            yield number, exc


def _names(row: Mapping[str, Any], prefix: str = "", depth: int = 3) -> Iterator[str]:
    """Give the names of an object's values, those inside objects with dots."""
    for name, value in row.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping) and depth > 1:
            yield from _names(value, f"{prefix}{name}.", depth - 1)


def _flat(row: Mapping[str, Any], prefix: str = "", depth: int = 3) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        flat[f"{prefix}{name}"] = value
        if isinstance(value, Mapping) and depth > 1:
            flat.update(_flat(value, f"{prefix}{name}.", depth - 1))
    return flat
