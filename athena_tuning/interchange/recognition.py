"""What a recogniser says of a file: how sure it is and why, and how the file is read then."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.interchange.shape import Row, Sample
from athena_tuning.interchange.spans import Span

CERTAIN = 1.0
LIKELY = 0.9
POSSIBLE = 0.7
LEAST = 0.5
"""A file is only taken for a format whose recogniser is at least this sure."""

SpanReader = Callable[[Any, Container[str]], Iterator[Span | ValueError]]
"""Gives the spans of one element of the file, with the attributes that are to be kept."""


@dataclass(frozen=True, slots=True)
class Question:
    """A unit that more than one reading fits: it is asked, never chosen silently.

    Attributes:
        what: what the column is taken for: "start", "end" or "latency".
        column: whose unit it is.
        readings: for each unit that fits, what the file would say under it.
    """

    what: str
    column: str
    readings: Mapping[str, str]

    @property
    def setting(self) -> str:
        """What of a mapping is open: "time_unit" or "latency_unit"."""
        return "latency_unit" if self.what == "latency" else "time_unit"

    @property
    def answer(self) -> str:
        """How a person says it to ``--map``, by the example of the first unit that fits."""
        return f"{self.what}={self.column}:{next(iter(self.readings))}"

    def __str__(self) -> str:
        choices = " or ".join(f"{unit} ({why})" for unit, why in self.readings.items())
        what = "durations" if self.what == "latency" else "times"
        return f"{what} in {self.column!r} could be in {choices}"


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something about a file that is odd enough to be asked.

    Attributes:
        about: what it is about, as a word for scripts.
        words: what is seen.
        way_out: what would settle it.
    """

    about: str
    words: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.words}: {self.way_out}"


@dataclass(frozen=True, slots=True)
class TableReading:
    """The file is rows, each of them a request (or, with the ids of a span, a span).

    Attributes:
        mapping: what the columns are.
        select: makes the row that is mapped of a row of the file; None from it passes the row over.
        line: makes a row of a line of text, for files that are no table: None where it is not of the format.
        questions: units that are open.
        doubts: what else a person has to be asked before the file is stored.
        relative: the format counts times from its own beginning, as it should.
        without_latency: the format has no latency, as it should.
    """

    mapping: ColumnMapping
    select: Callable[[Row], Row | None] | None = None
    line: Callable[[str], Row | None] | None = None
    questions: tuple[Question, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    relative: bool = False
    without_latency: bool = False


@dataclass(frozen=True, slots=True)
class SpanReading:
    """The file is spans of traces.

    Attributes:
        read: gives the spans of an element.
        whole: whether an element is a whole trace, so that it need not wait for others.
        trace_is_request: whether several first spans of a trace are parts of one request.
    """

    read: SpanReader
    whole: Callable[[Any], bool] = lambda _: False
    trace_is_request: bool = False


@dataclass(frozen=True, slots=True)
class OwnReading:
    """The file is an export of ours, which is read as it was written."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The file is known, and is nothing that requests can be read from.

    Attributes:
        words: why, and what would do instead.
    """

    words: str


Reading = TableReading | SpanReading | OwnReading | Refusal


@dataclass(frozen=True, slots=True)
class Recognition:
    """That a file is of a format.

    Attributes:
        confidence: 0 to 1; below ``LEAST`` the format has to be named by a person.
        reason: the marks by which it is told.
        reading: how it is read.
        notes: what a person should know of the reading.
    """

    confidence: float
    reason: str
    reading: Reading
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recogniser:
    """Tells one format.

    Others are registered under the entry point group ``athena_tuning.formats``; ``athena_tuning.testing``
    has the tests that they must pass.

    Attributes:
        name: what a person calls the format by: small letters, digits and hyphens.
        title: the same for reading.
        recognise: looks at a sample; None where it has not the marks of the format.
        refuses: whether such files are only known to be refused.

    Examples:
        >>> def recognise(sample):
        ...     if not sample.has("when", "took_ms", "shelf"):
        ...         return None
        ...     mapping = ColumnMapping(start="when", latency="took_ms", query_type="shelf")
        ...     return Recognition(LIKELY, "the columns when, took_ms and shelf", TableReading(mapping))
        >>> Recogniser("library", "Loans of the library", recognise).name
        'library'
    """

    name: str
    title: str
    recognise: Callable[[Sample], Recognition | None]
    refuses: bool = False
