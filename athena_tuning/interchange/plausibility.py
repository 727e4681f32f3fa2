"""What cannot well be true of a file of requests: it is said, and a person decides."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from athena_tuning.interchange.recognition import Doubt, Question
from athena_tuning.interchange.survey import Survey
from athena_tuning.interchange.unit_readings import MOST_AT_ONCE

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
AHEAD_S = 300.0
"""Seconds by which a clock may be ahead of this one."""

LONGEST_S = 400 * 86_400.0
UNKNOWN_SHARE = 0.2
REPEATED_SHARE = 0.05
LEAST = 20
"""Queries below which shares and spreads say nothing."""


class NeedsConfirmation(ValueError):
    """A file is odd enough that a person has to say that it is right; nothing of it was stored.

    Attributes:
        doubts: what is odd.
    """

    def __init__(self, name: str, doubts: Sequence[Doubt]) -> None:
        super().__init__(f"{name} needs a word: " + "; ".join(map(str, doubts)))
        self.doubts = tuple(doubts)


def doubts(
    seen: Survey,
    now: float,
    *,
    questions: Sequence[Question] = (),
    relative: bool = False,
    without_latency: bool = False,
) -> list[Doubt]:
    """Return what a person has to be asked before a file is stored.

    Args:
        seen: its figures under the reading it is given.
        now: Unix seconds.
        questions: units that are open.
        relative: whether times count from the file's own beginning, as its format has them.
        without_latency: whether its format has no latency.
    """
    all_doubts = [Doubt("unit", str(question), f"say which, as {question.answer}") for question in questions]
    all_doubts += _of_latencies(seen, without_latency)
    all_doubts += _of_times(seen, now, relative)
    return all_doubts + _of_outcomes(seen)


def _of_latencies(seen: Survey, without_latency: bool) -> list[Doubt]:
    doubts = []
    if seen.at_once is not None and seen.count >= LEAST:
        median = (seen.quantile_ms(0.5) or 0.0) / 1e3
        if seen.at_once > MOST_AT_ONCE:
            words = f"{seen.at_once:,.0f} requests at once are implied (their rate times their mean latency)"
            doubts.append(Doubt("at once", words, "is the unit of latencies or times right?"))
        elif median > max(seen.length_s, 1.0):
            words = (
                f"half of the requests take {median:,.1f} s or more; all begin within {seen.length_s:,.1f} s"
            )
            doubts.append(Doubt("at once", words, "is the unit of latencies or times right?"))
    unknown = seen.count - seen.known
    if seen.count and not without_latency and unknown > UNKNOWN_SHARE * seen.count:
        words = f"{unknown:,} of {seen.count:,} requests have no latency"
        doubts.append(Doubt("latency unknown", words, "is another column their latency?"))
    return doubts


def _of_times(seen: Survey, now: float, relative: bool) -> list[Doubt]:
    report, doubts = seen.report, []
    if report.first is None or report.last is None:
        return []
    if report.first < EARLIEST and not relative:
        words = f"the first request is of {_moment(report.first)}"
        doubts.append(
            Doubt(
                "before 2000", words, "is their unit right, or is an origin to be set (origin=UNIX_SECONDS)?"
            )
        )
    if report.last > now + AHEAD_S:
        words = f"the last request is of {_moment(report.last)}, which is ahead of now"
        doubts.append(Doubt("ahead of now", words, "is the unit of times right, and their zone?"))
    if seen.length_s > LONGEST_S:
        words = f"the requests span {seen.length_s / 86_400:,.0f} days"
        doubts.append(Doubt("length", words, "is the unit of times right?"))
    if seen.count >= LEAST and seen.length_s == 0:
        words = f"all {seen.count:,} requests begin at the same moment"
        doubts.append(Doubt("length", words, "is another column the time?"))
    return doubts


def _of_outcomes(seen: Survey) -> list[Doubt]:
    doubts = []
    if seen.failed and not seen.succeeded and seen.failed < seen.count:
        words = f"{seen.failed:,} of {seen.count:,} requests failed, and none is known to have succeeded"
        doubts.append(Doubt("one-sided success", words, "which column tells of success?"))
    repeated = seen.report.repeated
    if repeated > REPEATED_SHARE * (seen.count + repeated):
        words = f"{repeated:,} of {seen.count + repeated:,} rows have an id that was there before"
        doubts.append(Doubt("repeated ids", words, "is the column of ids one?"))
    return doubts


def _moment(timestamp: float) -> str:
    try:
        return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return f"{timestamp:,.0f} s after 1970"
