"""Which recalls: found by text, answer and latency, with how many there are of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from athena_tuning.model import QueryMetrics
from athena_tuning.model.source import kind_of
from athena_tuning.profiling.columns.block import Block, Rows
from athena_tuning.profiling.columns.names import Names
from athena_tuning.profiling.columns.records import records_of
from athena_tuning.profiling.columns.selection import Selection
from athena_tuning.profiling.columns.table import CACHE_HIT, PARTIAL, SUCCESS, SUCCESS_KNOWN
from athena_tuning.profiling.columns.window import View

BANDS_MS = tuple(float(edge) for edge in np.round(np.logspace(-1, 5, 25), 2))
"""Ends of the bands that latencies are counted in, four to a factor of ten."""


class Answer(StrEnum):
    """What became of a recall, each recall one of them."""

    FULL = "full"
    PARTIAL = "partial"
    FAILED = "failed"
    REFUSED = "refused"
    CACHED = "from the cache"


_EDGES_MS = np.array(BANDS_MS)
_ANSWERS = tuple(Answer)
Order = Literal["slowest", "newest"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RecallQuery:
    """What is looked for, beside what a ``Filter`` says.

    Attributes:
        text: words, all of which the query text has, in any case and order.
        answers: what may have become of them; empty: anything.
        least_ms: latency from which on; None: any.
        most_ms: latency below which; None: any.
        manager: who served them, by the name that begins their ids; None: anybody.
    """

    text: str = ""
    answers: frozenset[Answer] = frozenset()
    least_ms: float | None = None
    most_ms: float | None = None
    manager: str | None = None


@dataclass(frozen=True, slots=True)
class FoundRecalls:
    """What a search found.

    Attributes:
        count: recalls that fit.
        searched: recalls that were looked at.
        records: some of them, in the order that was asked for.
        by_answer: recalls with the text by what became of them, whichever answers were asked for.
        by_type: recalls that fit, by query type.
        by_version: recalls that fit, by config version.
        by_source: recalls that fit, by kind of source.
        bands: recalls with the text and one of the answers, by band of ``BANDS_MS``.
    """

    count: int
    searched: int
    records: Sequence[QueryMetrics]
    by_answer: Mapping[Answer, int]
    by_type: Mapping[str, int]
    by_version: Mapping[int, int]
    by_source: Mapping[str, int]
    bands: Sequence[int]


def search(
    view: View, selection: Selection, names: Names, wanted: RecallQuery, order: Order, limit: int
) -> FoundRecalls:
    """Return the recalls of a selection that fit a query, the first ``limit`` of them as whole records."""
    with_text = _texts(names, wanted.text)
    answers = [_ANSWERS.index(answer) for answer in wanted.answers]
    by_answer = np.zeros(len(_ANSWERS), np.int64)
    bands = np.zeros(len(BANDS_MS) - 1, np.int64)
    by_type: Counter[str] = Counter()
    by_version: Counter[int] = Counter()
    by_source: Counter[str] = Counter()
    matches: list[Rows] = []
    searched = 0
    for rows in selection.parts(view):
        searched += len(rows)
        named = rows if with_text is None else rows.where(with_text[rows["text"]])
        if wanted.manager is not None and len(named):
            named = named.where(named.block.served_by(wanted.manager)[named.at])
        became = answers_of(named)
        by_answer += np.bincount(became, minlength=len(_ANSWERS))
        answered = named.where(np.isin(became, answers)) if answers else named
        places = np.searchsorted(_EDGES_MS, answered["latency"], side="right")
        bands += np.bincount(places, minlength=len(_EDGES_MS) + 1)[1:-1]
        fits = answered.where(_in_band(answered["latency"], wanted))
        if len(fits):
            matches.append(fits)
            by_type.update(_counts(fits["type"], names.types.__getitem__))
            by_version.update(_counts(fits["config"], int))
            by_source.update(_counts(fits["source"], lambda number: kind_of(names.sources[number])))
    return FoundRecalls(
        sum(map(len, matches)),
        searched,
        list(_first(matches, order, limit)),
        dict(zip(_ANSWERS, by_answer.tolist(), strict=True)),
        dict(by_type.most_common()),
        dict(sorted(by_version.items(), reverse=True)),
        dict(by_source.most_common()),
        bands.tolist(),
    )


def slower_than(view: View, selection: Selection, ms: float) -> int:
    """Return how many recalls of a selection took longer than ``ms``, refused ones not among them."""
    return sum(int((rows["latency"] > ms).sum()) for rows in selection.parts(view))


def find(view: View, query_id: str) -> QueryMetrics | None:
    """Return the newest recall with an id; None if the window has none."""
    for block in reversed(list(view.blocks)):
        place = block.find(query_id)
        if place is not None:
            for record in records_of(Rows(block, np.array([place]))):
                return record
    return None


def answers_of(rows: Rows) -> npt.NDArray[np.int64]:
    """Return for each recall the place in ``Answer`` of what became of it."""
    flags = rows["flags"]
    partial, failed = (flags & PARTIAL) > 0, ((flags & SUCCESS_KNOWN) > 0) & ((flags & SUCCESS) == 0)
    became = [partial & failed, (flags & CACHE_HIT) > 0, partial, failed]
    order = (Answer.REFUSED, Answer.CACHED, Answer.PARTIAL, Answer.FAILED)
    return np.select(became, [_ANSWERS.index(answer) for answer in order], _ANSWERS.index(Answer.FULL))


def _texts(names: Names, wanted: str) -> npt.NDArray[np.bool_] | None:
    """Return by the number of a text whether it has all words; None: every text has."""
    words = wanted.casefold().split()
    if not words:
        return None
    fits = np.zeros(max(len(names.texts), 1), np.bool_)
    for number, text in names.texts.items():
        lowered = text.casefold()
        fits[number] = all(word in lowered for word in words)
    return fits


def _in_band(ms: npt.NDArray[np.float64], wanted: RecallQuery) -> npt.NDArray[np.bool_]:
    fits = np.ones(len(ms), np.bool_)
    if wanted.least_ms is not None:
        fits &= ms >= wanted.least_ms
    if wanted.most_ms is not None:
        fits &= ms < wanted.most_ms
    return fits


def _counts(column: npt.NDArray[np.int64], name: Callable[[int], T]) -> Counter[T]:
    counts = np.bincount(column)
    named: Counter[T] = Counter()
    for value in np.flatnonzero(counts).tolist():
        named[name(value)] += int(counts[value])
    return named


def _first(matches: Sequence[Rows], order: Order, limit: int) -> Iterator[QueryMetrics]:
    """Yield the first recalls in an order; those of unknown latency last."""
    if not matches:
        return
    column = "latency" if order == "slowest" else "time"
    keys = np.nan_to_num(np.concatenate([rows[column] for rows in matches]), nan=-1.0)
    part = np.repeat(np.arange(len(matches)), [len(rows) for rows in matches])
    places = np.concatenate([rows.places() for rows in matches])
    few = np.argpartition(keys, -limit)[-limit:] if len(keys) > limit else np.arange(len(keys))
    chosen = few[np.argsort(-keys[few], kind="stable")]
    whole: dict[tuple[int, int], QueryMetrics] = {}
    for number in np.unique(part[chosen]).tolist():
        own = np.sort(places[chosen[part[chosen] == number]])
        block: Block = matches[number].block
        whole |= {(number, at): m for at, m in zip(own.tolist(), records_of(Rows(block, own)), strict=True)}
    for at in chosen.tolist():
        yield whole[int(part[at]), int(places[at])]
