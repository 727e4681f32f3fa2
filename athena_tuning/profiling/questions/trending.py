"""What is asked now: texts by frequency and recency, and the slowest recalls."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from athena_tuning.model import QueryMetrics
from athena_tuning.profiling.columns.block import One, Rows
from athena_tuning.profiling.columns.incremental import IncrementalSummaries
from athena_tuning.profiling.columns.names import Names
from athena_tuning.profiling.columns.records import records_of
from athena_tuning.profiling.columns.selection import Selection, times
from athena_tuning.profiling.columns.window import View
from athena_tuning.profiling.histogram import Floats, Ints
from athena_tuning.profiling.questions.statistics import percentiles

_MOST_HALVINGS = 256.0


@dataclass(frozen=True, slots=True)
class TrendingQuery:
    """A text that was asked lately.

    Attributes:
        text: what was asked.
        count: how often.
        score: an asking counts 1 when new, half after half of the time looked at, a quarter at its end.
    """

    text: str
    count: int
    score: float


class Trend:
    """Count and score by text number. Later weights are larger, so that earlier ones need no shrinking."""

    def __init__(self, half_life: float) -> None:
        self.counts: Ints = np.zeros(16, np.int64)
        self.weights: Floats = np.zeros(16)
        self._half_life = half_life
        self._since = math.nan

    def apply(self, rows: Rows, sign: int) -> None:
        """Count rows (+1) or take them away (−1)."""
        texts, times = rows["text"], rows["time"]
        self._make_room(int(texts.max()) + 1)
        self._rebase(float(times.max()))
        np.add.at(self.counts, texts, sign)
        np.add.at(self.weights, texts, sign * np.exp2((times - self._since) / self._half_life))
        self.weights[texts[self.counts[texts] == 0]] = 0.0

    def apply_one(self, one: One, layer: str | None, sign: int) -> None:
        """Count a record (+1) or take it away (−1)."""
        text, asked_at = one.record.text, one.record.time
        self._make_room(text + 1)
        self._rebase(asked_at)
        self.counts[text] += sign
        weight = 2.0 ** ((asked_at - self._since) / self._half_life)
        self.weights[text] = self.weights[text] + sign * weight if self.counts[text] else 0.0

    def scores(self, now: float) -> Floats:
        """Return the score of each text at ``now``."""
        scores: Floats = self.weights * float(np.exp2(min((self._since - now) / self._half_life, 1000.0)))
        return scores

    def _rebase(self, newest: float) -> None:
        if math.isnan(self._since):
            self._since = newest
        halvings = (newest - self._since) / self._half_life
        if halvings > _MOST_HALVINGS:
            self.weights *= 2.0**-halvings if halvings < 1000 else 0.0
            self._since = newest

    def _make_room(self, texts: int) -> None:
        if texts > len(self.counts):
            more = max(texts, 2 * len(self.counts)) - len(self.counts)
            self.counts = np.concatenate([self.counts, np.zeros(more, np.int64)])
            self.weights = np.concatenate([self.weights, np.zeros(more)])


def trending(
    summaries: IncrementalSummaries,
    view: View,
    selection: Selection,
    names: Names,
    now: float,
    hours: float,
    limit: int,
) -> list[TrendingQuery]:
    """Return the texts of the last hours with the highest score, highest first.

    Raises:
        ValueError: if ``hours`` is not above 0.
    """
    if not hours > 0:
        raise ValueError(f"hours must be above 0, not {hours}")
    trend = summaries.summary(_trend(hours), selection, view.since(now - hours * 3600))
    scores = trend.scores(now)
    candidates = np.flatnonzero(trend.counts)
    if len(candidates) > limit:
        lowest = np.partition(scores[candidates], -limit)[-limit] if limit > 0 else math.inf
        candidates = candidates[scores[candidates] >= lowest]
    queries = [
        TrendingQuery(names.texts[number], int(trend.counts[number]), float(scores[number]))
        for number in candidates.tolist()
    ]
    return sorted(queries, key=lambda query: (-query.score, -query.count, query.text))[:limit]


@lru_cache(maxsize=64)
def _trend(hours: float) -> Callable[[], Trend]:
    return partial(Trend, hours * 1800)


def slowest(
    summaries: IncrementalSummaries, view: View, selection: Selection, percentile: float, limit: int
) -> list[tuple[float, Rows]]:
    """Return the selected recalls at or above a percentile, slowest first, with their latency in ms.

    Raises:
        ValueError: if ``percentile`` is not 0 to 100.
    """
    if not 0 <= percentile <= 100:
        raise ValueError(f"a percentile is within 0 to 100, not {percentile}")
    threshold = float(percentiles(summaries, view, selection, (percentile / 100,))[0])
    parts, slow = [], []
    for selected in selection.parts(view):
        ms = times(selected)
        places = np.flatnonzero(ms >= threshold)
        parts.append((selected, places))
        slow.append(ms[places])
    ms = np.concatenate(slow) if slow else np.zeros(0)
    part = np.repeat(np.arange(len(parts)), [len(places) for _, places in parts])
    first = np.concatenate([[0], np.cumsum([len(places) for _, places in parts])])
    rows_by_ms = []
    for i in np.argsort(-ms, kind="stable")[: max(limit, 0)].tolist():
        selected, places = parts[part[i]]
        place = int(places[i - first[part[i]]])
        rows_by_ms.append((float(ms[i]), selected.part(place, place + 1)))
    return rows_by_ms


def slow_records(
    summaries: IncrementalSummaries, view: View, selection: Selection, percentile: float, limit: int
) -> list[QueryMetrics]:
    """Return the slowest recalls as whole records, slowest first."""
    slow = [
        (rows.block, int(rows.places()[0]))
        for _, rows in slowest(summaries, view, selection, percentile, limit)
    ]
    record_at = {}
    for block in {block for block, _ in slow}:
        places = np.array(sorted(place for other, place in slow if other is block))
        records = records_of(Rows(block, places))
        record_at.update({(block, place): m for place, m in zip(places.tolist(), records, strict=True)})
    return [record_at[which] for which in slow]
