"""Reads a file of measurements: look at it first, correct the reading, then take the records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from athena_tuning.interchange import plausibility
from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.interchange.opening import LIMITS, Limits, check_encoding
from athena_tuning.interchange.recent import RecentNames
from athena_tuning.interchange.recognition import Doubt, OwnReading, Question, Refusal, TableReading
from athena_tuning.interchange.record_stream import EVERYTHING, RecordStream
from athena_tuning.interchange.registry import Registry, recognise
from athena_tuning.interchange.report import ImportRefused, ImportReport, Problem
from athena_tuning.interchange.retrieval_spans import SpanChoice, basis_of
from athena_tuning.interchange.row_source import Progress, RowSource
from athena_tuning.interchange.shape import Sample, Shape, layout_of
from athena_tuning.interchange.spans import Span
from athena_tuning.interchange.survey import Survey
from athena_tuning.model import QueryMetrics

OnBad = Literal["skip", "refuse"]
_LOOKED_AT = 2000
"""Spans of the beginning from which names are offered, and the rules are chosen."""


class Import:
    r"""A file of measurements, in any of the formats that are registered.

    What the file is, is told from its content; gzip is unpacked. A table's columns are mapped by the format,
    or by a guess; ``mapping`` shows it and a corrected one replaces it. The file is streamed: memory is
    bounded whatever its size. What it does not hold stays unknown.

    Args:
        path: the file.
        mapping: what the columns are; None: as the format has them, or guessed.
        format: name of the format; None: told from the content.
        recall_span: which spans of a trace are recalls: a name, or ATTRIBUTE=VALUE; None: by the rules of
            ``retrieval_spans``.
        layer_attribute: which attribute names the layer of a span; None: by the same rules.
        corrections: what of the mapping is to be another (names as in ``ColumnMapping``); a unit among them
            is settled.
        on_bad: "skip" leaves bad rows out and reports them; "refuse" reads the file twice and gives nothing
            if a row is bad.
        encoding: how text is written; None: by the byte order mark, else UTF-8.
        limits: what is too much.
        formats: the formats that are known; None: all that are registered.

    Attributes:
        format: name of the format.
        title: what the format is, in words.
        confidence: how sure that is, 0 to 1.
        reason: the marks by which it was told.
        shape: how the file is built.
        on_bad: what becomes of bad rows.
        columns: names of a table's columns.
        mapping: what they are taken for; None where none is needed. A guess may lack the time, which only
            ``records`` complains of.
        notes: why, and what a person should know.
        questions: units that are open: more than one reading fits.
        span_names: names of the first spans, of which one can be the recall.
        attribute_names: names of their attributes, of which one can name the layer.
        report: what became of the file when it was last read.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is nothing that is read here, is refused by its format, or the mapping does not fit.

    Examples:
        >>> import tempfile, pathlib
        >>> file = pathlib.Path(tempfile.mkdtemp(), "log.csv")
        >>> _ = file.write_text("ts,took_us,endpoint\n1700000000,1500,/search\n1700000001,,/search\n")
        >>> opened = Import(file)
        >>> opened.format, opened.mapping.latency, opened.mapping.latency_unit
        ('columns', 'took_us', 'us')
        >>> [(m.query_type, m.latency_ms, m.success) for m in opened.records()]
        [('/search', 1.5, None), ('/search', None, None)]
    """

    def __init__(
        self,
        path: Path | str,
        mapping: ColumnMapping | None = None,
        *,
        format: str | None = None,
        recall_span: str | None = None,
        layer_attribute: str | None = None,
        corrections: Mapping[str, Any] | None = None,
        on_bad: OnBad = "skip",
        encoding: str | None = None,
        limits: Limits = LIMITS,
        formats: Registry | None = None,
    ) -> None:
        if on_bad not in ("skip", "refuse"):
            raise ValueError(f"on_bad must be skip or refuse, not {on_bad!r}")
        check_encoding(encoding)
        self.path = Path(path)
        self.on_bad = on_bad
        self.report = ImportReport()
        self.choice = SpanChoice(recall_span, layer_attribute)
        self._limits = limits
        self._formats = formats
        self._source = RowSource(self.path, layout_of(self.path, encoding, limits), encoding, limits)
        self.shape = self._source.layout.shape
        sample, trouble = self._source.sample()
        self._recognise(sample, format, trouble)
        self.columns: tuple[str, ...] = ()
        self.mapping: ColumnMapping | None = None
        self.questions: tuple[Question, ...] = ()
        self.span_names: tuple[str, ...] = ()
        self.attribute_names: tuple[str, ...] = ()
        if isinstance(self._reading, TableReading):
            self._map(self._reading, sample, mapping, corrections or {})
        elif mapping is not None or corrections:
            raise ValueError(f"{self.path.name} is of the format {self.format}, which needs no mapping")
        self._stream = RecordStream(
            self._source, self._reading, self.mapping, self.columns, self.choice, limits
        )
        if self._stream.is_spans:
            self._look_at_spans()
        elif recall_span or layer_attribute:
            raise ValueError(
                f"{self.path.name} is of the format {self.format}, which has no spans to choose from"
            )

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
        if self.on_bad == "refuse" and (seen := self.survey()).report.bad:
            raise ImportRefused(self.path.name, seen.report)
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

    def survey(self, progress: Progress | None = None, *, limit: int | None = None) -> Survey:
        """Read the file, keep nothing of it but its figures, and return them.

        Args:
            progress: told (bytes read, bytes in all) now and then.
            limit: how many records are looked at; None: all.
        """
        while True:
            self.report = ImportReport()
            seen = Survey(self.report)
            records = self._good(self.report, progress)
            seen.take(records if limit is None else islice(records, limit))
            seen.whole = limit is None or seen.count < limit
            if not self._stream.is_spans or self._stream.unmarked_succeeded or not seen.failed:
                return seen
            # Failures are marked in this file: what is not marked did not fail.
            self._stream.unmarked_succeeded = True

    def doubts(self, seen: Survey, now: float) -> list[Doubt]:
        """Return what a person has to be asked before the file is stored.

        Args:
            seen: its figures.
            now: Unix seconds.
        """
        if isinstance(self._reading, OwnReading):
            return []
        table = self._reading if isinstance(self._reading, TableReading) else None
        opened = plausibility.doubts(
            seen,
            now,
            questions=self.questions,
            relative=table is not None and table.relative,
            without_latency=table is not None and table.without_latency,
        )
        return [*opened, *(table.doubts if table is not None else ())]

    def _recognise(self, sample: Sample, name: str | None, trouble: str) -> None:
        try:
            recogniser, recognition = recognise(sample, name, self._formats)
        except ValueError as exc:
            if self.shape is Shape.BINARY:
                raise ValueError(f"{self.path.name} is no text, no Parquet and no gzip of text") from None
            if not sample.rows and name is None:
                why = f": {trouble}" if trouble else ""
                raise ValueError(f"{self.path.name} has no rows that can be read{why}") from None
            raise ValueError(f"{self.path.name}: {exc}") from None
        if isinstance(recognition.reading, Refusal):
            raise ValueError(
                f"{self.path.name} is of the format {recogniser.name}: {recognition.reading.words}"
            )
        self.format, self.title = recogniser.name, recogniser.title
        self.confidence, self.reason = recognition.confidence, recognition.reason
        self.notes = recognition.notes
        self._reading = recognition.reading

    def _map(
        self,
        reading: TableReading,
        sample: Sample,
        mapping: ColumnMapping | None,
        corrections: Mapping[str, Any],
    ) -> None:
        mapped = tuple(reading.mapping.columns.values())
        if reading.line is not None:
            self.columns = mapped
        elif self.shape in (Shape.JSON, Shape.JSONL):  # what a format names may come later in the file
            self.columns = tuple(dict.fromkeys((*sample.columns, *mapped)))
        else:
            self.columns = sample.columns
        if mapping is not None:
            mapping.check(self.columns)
            self.mapping, self.notes = mapping, ()
            return
        if stated := _stated(reading.mapping, sample.units, corrections):
            self._recognise(replace(sample, units={**sample.units, **stated}), self.format, "")
            assert isinstance(self._reading, TableReading)  # noqa: S101 (the format is the same)
            reading = self._reading
        self.mapping = reading.mapping.corrected(**corrections)
        if corrections:
            self.mapping.check_columns(self.columns)
        self.questions = tuple(q for q in reading.questions if q.setting not in corrections)

    def _look_at_spans(self) -> None:
        """Look at the first spans for what can be chosen, and for which rules they go by."""
        names: dict[str, None] = {}
        attributes: dict[str, None] = {}
        first: list[Span] = []
        with suppress(ValueError):  # where the file breaks, whoever reads it is told
            for _, span in islice(self._stream.spans(EVERYTHING), _LOOKED_AT):
                if isinstance(span, Span):
                    names[span.name] = None
                    attributes.update(dict.fromkeys(span.attributes))
                    first.append(span)
        self.span_names, self.attribute_names = tuple(names), tuple(attributes)
        self._stream.first_spans, basis = basis_of(first, self.choice)
        if first:
            self.notes = (*self.notes, basis)
        records = (record for _, record in self._stream.assembled(enumerate(first)))
        self._stream.unmarked_succeeded = any(
            isinstance(m, QueryMetrics) and m.success is False for m in records
        )

    def _good(self, report: ImportReport, progress: Progress | None) -> Iterator[QueryMetrics]:
        if self.mapping is not None:
            self._check(self.mapping)
        number = 0
        seen = RecentNames(self._limits.ids)
        own = isinstance(self._reading, OwnReading)
        ids = own or (self.mapping is not None and self.mapping.query_id is not None)
        try:
            for number, record in self._stream.numbered(progress):
                if record is None:
                    report.passed += 1
                    continue
                if isinstance(record, ValueError):
                    report.wrong(number, str(record))
                    continue
                if ids and (first := seen.first(record.query_id, number)) != number:
                    report.repeated += 1
                    report.wrong(number, f"id {record.query_id!r:.80} is there twice, first in row {first:,}")
                    continue
                report.good(record.timestamp)
                yield record
        except ValueError as exc:
            report.wrong(number + 1, f"{exc}; the file is not read further")

    def _check(self, mapping: ColumnMapping) -> None:
        try:
            mapping.check(self.columns)
        except ValueError as exc:
            raise ValueError("; ".join([str(exc), *self.notes])) from None


def _stated(
    mapping: ColumnMapping, schema: Mapping[str, str], corrections: Mapping[str, Any]
) -> dict[str, str]:
    """Return the units that a person says columns are in.

    Raises:
        ValueError: if the file's own schema says another.
    """
    units = {}
    for setting, names in (("time_unit", ("start", "end")), ("latency_unit", ("latency",))):
        unit = corrections.get(setting)
        columns = [corrections.get(name, getattr(mapping, name)) for name in names]
        for column in columns if unit not in (None, "text") else ():
            if schema.get(column, unit) != unit:
                raise ValueError(f"{column!r} brings its unit in the file's schema: {unit} cannot be it")
            if column:
                units[column] = str(unit)
    return units
