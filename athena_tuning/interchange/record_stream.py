"""The records of a file under one reading of it: rows are converted, spans put together."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from athena_tuning.interchange import record_csv, record_json
from athena_tuning.interchange.converting import to_record, to_span
from athena_tuning.interchange.lines import Row
from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.interchange.open_traces import Numbered, assemble
from athena_tuning.interchange.opening import Limits
from athena_tuning.interchange.recognition import Reading, SpanReading, TableReading
from athena_tuning.interchange.retrieval_spans import SpanChoice
from athena_tuning.interchange.row_source import Progress, RowSource
from athena_tuning.interchange.shape import Shape
from athena_tuning.interchange.spans import Span
from athena_tuning.model import QueryMetrics


class _Everything:
    """Contains whatever is asked for."""

    def __contains__(self, _: object) -> bool:
        return True


EVERYTHING: Container[str] = _Everything()


@dataclass(slots=True)
class RecordStream:
    """Gives the records of a file, as often as is asked.

    Attributes:
        source: the file.
        reading: how its format is read.
        mapping: what a table's columns are.
        columns: their names.
        choice: which spans are recalls, and what names a layer.
        limits: what is too much.
        first_spans: whether first spans are recalls where none says that it is one.
        unmarked_succeeded: whether a span that is not marked as failed has succeeded.
    """

    source: RowSource
    reading: Reading
    mapping: ColumnMapping | None
    columns: tuple[str, ...]
    choice: SpanChoice
    limits: Limits
    first_spans: bool = True
    unmarked_succeeded: bool = False

    @property
    def is_spans(self) -> bool:
        """Whether the file holds spans of traces."""
        mapped = self.mapping is not None and self.mapping.is_spans
        return isinstance(self.reading, SpanReading) or mapped

    def numbered(self, progress: Progress | None = None) -> Numbered:
        """Give the records with their numbers; what is wrong with a row; None for what is no request."""
        if self.is_spans:
            return self.assembled(self.spans(self.choice.kept, progress))
        if isinstance(self.reading, TableReading) and self.mapping is not None:
            return _converted(self._rows(self.reading, self.mapping, progress), to_record(self.mapping))
        return self._own(progress)

    def spans(
        self, keep: Container[str], progress: Progress | None = None
    ) -> Iterator[tuple[int, Span | ValueError | None]]:
        """Give the spans with their numbers; None where all that came before are whole traces.

        Args:
            keep: names of attributes that are kept.
            progress: told (bytes read, bytes in all) now and then.
        """
        if isinstance(self.reading, SpanReading):
            yield from self._read(self.reading, keep, progress)
        elif isinstance(self.reading, TableReading) and self.mapping is not None:
            named = [column.removeprefix("attributes.") for column in self.columns]
            read = to_span(self.mapping, [name for name in named if name in keep])
            yield from _converted(self._rows(self.reading, self.mapping, progress), read)

    def assembled(self, spans: Iterable[tuple[int, Span | ValueError | None]]) -> Numbered:
        """Give the records of spans."""
        return assemble(
            spans,
            self.limits,
            self.choice,
            unmarked_succeeded=self.unmarked_succeeded,
            trace_is_request=isinstance(self.reading, SpanReading) and self.reading.trace_is_request,
            first_spans=self.first_spans,
        )

    def _read(
        self, reading: SpanReading, keep: Container[str], progress: Progress | None
    ) -> Iterator[tuple[int, Span | ValueError | None]]:
        number = 0
        try:
            for _, element in self.source.elements(progress):
                for span in [element] if isinstance(element, ValueError) else reading.read(element, keep):
                    number += 1
                    yield number, span
                if reading.whole(element):
                    yield number, None
        except ValueError as exc:  # traces that are there by now are told nevertheless
            yield number + 1, ValueError(f"{exc}; the file is not read further")

    def _own(self, progress: Progress | None) -> Numbered:
        if self.source.layout.shape is Shape.PARQUET:
            return self.source.own_parquet(progress)
        is_csv = self.source.layout.shape is Shape.CSV
        read: Callable[[Any], QueryMetrics] = record_csv.from_cells if is_csv else record_json.from_plain
        return _converted(self.source.rows(None, progress), lambda _, row: read(row))

    def _rows(
        self, reading: TableReading, mapping: ColumnMapping, progress: Progress | None
    ) -> Iterator[tuple[int, Any]]:
        if reading.line is not None:
            rows: Iterable[Row] = _parsed(self.source.text_lines(progress), reading.line)
        else:
            used = None if reading.select is not None or self.is_spans else list(mapping.columns.values())
            rows = self.source.rows(used, progress)
        if reading.select is None:
            yield from rows
            return
        for number, row in rows:
            yield number, row if isinstance(row, ValueError) else reading.select(row)


def _parsed(
    lines: Iterable[tuple[int, str | ValueError]], parse: Callable[[str], Mapping[str, Any] | None]
) -> Iterator[Row]:
    for number, line in lines:
        row = line if isinstance(line, ValueError) else parse(line)
        if row is None:
            yield number, ValueError(f"not a line of this format: {line!r:.80}")
        else:
            yield number, row if isinstance(row, ValueError) else dict(row)


def _converted(
    rows: Iterable[tuple[int, Any]], make: Callable[[int, Mapping[str, Any]], Any]
) -> Iterator[tuple[int, Any]]:
    for number, row in rows:
        if row is None or isinstance(row, ValueError):
            yield number, row
            continue
        try:
            yield number, make(number, row)
        except ValueError as exc:
            yield number, exc
