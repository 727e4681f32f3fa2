"""What became of a file while it was read: how much came, what was left out and why."""

from __future__ import annotations

from dataclasses import dataclass, field

KEPT_PROBLEMS = 1000


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
        repeated: of the rows left out, those with an id that was there before.
        passed: rows that are no requests, as the format has them: other metrics, traces without a recall.
        backwards: records that begin before the one before them.
        first: earliest time, Unix seconds.
        last: latest time.
    """

    records: int = 0
    bad: int = 0
    problems: list[Problem] = field(default_factory=list)
    repeated: int = 0
    passed: int = 0
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
