"""Roll-ups: counts, sums and histograms of latency by time, layer, type, config version, worker and source.

They add up: a table of several rows merged is what one row over all their recalls would be. So hours are made
of minutes, days of hours, and all workers together of each worker, with true percentiles.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from athena_tuning.model.source import is_among
from athena_tuning.profiling.histogram import bucket_bounds
from athena_tuning.store.packing import Floats, Ints
from athena_tuning.store.retention import Level, Span

RECALLS = ""
"""In place of a layer's name: the row speaks of whole recalls."""

KEYS = ("seconds", "start", "layer", "query_type", "config_version", "worker_id", "source")
COUNTS = ("count", "known", "errors", "judged", "partial", "hits", "cacheable", "refused")
SUMS = ("sum_ms", "queue_ms")

HISTOGRAM_ENTRY = 4
"""Bytes of a stored histogram that speak of one bucket: its number and its count."""

BUCKETS = 4096  # more than a histogram has, a power of two
_MOST = 65535  # of a bucket in one pair of the blob

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What several roll-up rows say together. Latencies in ms, rates 0 to 1, NaN where nothing is known.

    Attributes:
        count: recalls, or a layer's tasks.
        known: those of known latency; the percentiles rest on them.
        errors: failed ones, refused ones not among them.
        judged: those whose success is known.
        partial: recalls of which a layer is missing in the answer.
        hits: recalls answered from the cache.
        cacheable: recalls of which is known whether they were.
        refused: recalls that were turned away unserved.
        sum_ms: all latencies together.
        queue_ms: all waits for a slot together.
        p50_ms: median latency; likewise the others.
    """

    count: int
    known: int
    errors: int
    judged: int
    partial: int
    hits: int
    cacheable: int
    refused: int
    sum_ms: float
    queue_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float

    @property
    def mean_ms(self) -> float:
        """Average latency."""
        return self.sum_ms / self.known if self.known else float("nan")

    @property
    def error_rate(self) -> float:
        """Share of failed ones among those whose success is known."""
        return self.errors / self.judged if self.judged else float("nan")

    @property
    def hit_rate(self) -> float:
        """Share answered from the cache."""
        return self.hits / self.cacheable if self.cacheable else float("nan")


class Rollups:
    """A table of roll-ups: keys, counts, sums, and a histogram of latency a row.

    Attributes:
        keys: for each row seconds, start (Unix seconds), layer ("" for whole recalls), query type, config
            version, worker and source.
        counts: a row of ``COUNTS`` for each key.
        sums: a row of ``SUMS`` in ms for each key.
        buckets: histogram buckets of all rows, one row after the other.
        weights: how many latencies each of these buckets holds.
        at: ``buckets[at[i]:at[i + 1]]`` are those of row ``i``.
    """

    def __init__(
        self, keys: Sequence[Key], counts: Ints, sums: Floats, buckets: Ints, weights: Ints, at: Ints
    ) -> None:
        self.keys = keys
        self.counts = counts
        self.sums = sums
        self.buckets = buckets
        self.weights = weights
        self.at = at

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def empty(cls) -> Rollups:
        """Return a table without rows."""
        none = np.zeros(0, np.int64)
        return cls((), np.zeros((0, len(COUNTS)), np.int64), np.zeros((0, 2)), none, none, none[:1])

    @classmethod
    def joined(cls, tables: Iterable[Rollups]) -> Rollups:
        """Return the rows of several tables one after the other."""
        parts = [table for table in tables if len(table)]
        if not parts:
            return cls.empty()
        sizes = np.concatenate([np.diff(table.at) for table in parts])
        return cls(
            list(chain.from_iterable(table.keys for table in parts)),
            np.concatenate([table.counts for table in parts]),
            np.concatenate([table.sums for table in parts]),
            np.concatenate([table.buckets for table in parts]),
            np.concatenate([table.weights for table in parts]),
            np.concatenate([[0], np.cumsum(sizes)]),
        )

    def merged(self, keys: Sequence[Key] | None = None) -> Rollups:
        """Return a table with one row for each distinct key, in order of appearance.

        Args:
            keys: a key for each row; None: the rows' own.
        """
        keys = self.keys if keys is None else keys
        groups: dict[Key, int] = {}
        group = np.array([groups.setdefault(key, len(groups)) for key in keys], np.int64)
        counts = np.zeros((len(groups), len(COUNTS)), np.int64)
        sums = np.zeros((len(groups), len(SUMS)))
        np.add.at(counts, group, self.counts)
        np.add.at(sums, group, self.sums)
        entries = np.repeat(group, np.diff(self.at)) * BUCKETS + self.buckets
        return Rollups(list(groups), counts, sums, *histograms(entries, self.weights, len(groups)))

    def at_level(self, level: Level) -> Rollups:
        """Return the table with longer units of time."""
        step = int(level)
        if all(key[0] == step for key in self.keys):
            return self
        return self.merged([(step, key[1] // step * step, *key[2:]) for key in self.keys])

    def where(self, keep: npt.NDArray[np.bool_]) -> Rollups:
        """Return some of the rows."""
        sizes = np.diff(self.at)
        entries = np.repeat(keep, sizes)
        return Rollups(
            [key for key, kept in zip(self.keys, keep.tolist(), strict=True) if kept],
            self.counts[keep],
            self.sums[keep],
            self.buckets[entries],
            self.weights[entries],
            np.concatenate([[0], np.cumsum(sizes[keep])]),
        )

    def negated(self) -> Rollups:
        """Return a table that takes away what this one adds."""
        return Rollups(self.keys, -self.counts, -self.sums, self.buckets, -self.weights, self.at)

    def is_count(self) -> npt.NDArray[np.bool_]:
        """Return for each row whether nothing in it is below zero."""
        row = np.repeat(np.arange(len(self)), np.diff(self.at))
        fewest = np.zeros(len(self), np.int64)
        np.minimum.at(fewest, row, self.weights)
        return np.asarray((self.counts >= 0).all(axis=1) & (fewest >= 0))

    def of_sources(self, sources: Collection[str] | None) -> Rollups:
        """Return the rows of some kinds of sources, or batches; None: of all."""
        if sources is None:
            return self
        place = KEYS.index("source")
        return self.where(np.array([is_among(key[place], sources) for key in self.keys], bool))

    def quantiles(self, qs: Sequence[float]) -> Floats:
        """Return for each row the latency in ms at each quantile, interpolated in its bucket; NaN if empty.

        The value of rank ``int(q · n)``, as in ``LatencyHistogram.quantiles``.
        """
        figures = np.full((len(self), len(qs)), np.nan)
        cumulated = np.concatenate([[0], np.cumsum(self.weights)])
        before = cumulated[self.at[:-1]]
        totals = cumulated[self.at[1:]] - before
        some = np.flatnonzero(totals)
        if not len(some):
            return figures
        n = totals[some, None]
        ranks = np.minimum((np.asarray(qs) * n).astype(np.int64), n - 1) + before[some, None]
        entry = np.searchsorted(cumulated[1:], ranks, side="right")
        inside = self.weights[entry]
        share = (ranks - (cumulated[1:][entry] - inside) + 0.5) / inside
        low, high = bucket_bounds(self.buckets[entry])
        figures[some] = low + share * (high - low)
        return figures

    def summaries(self, *by: str) -> dict[Key, Summary]:
        """Return what the rows say together, by some of ``KEYS``.

        Layers' rows and whole recalls' rows (layer "") speak of different things: ask for one, or group by
        "layer".

        Examples:
            >>> Rollups.empty().summaries("layer")
            {}
        """
        places = [KEYS.index(name) for name in by]
        table = self.merged([tuple([key[place] for place in places]) for key in self.keys])
        columns = (
            table.keys,
            table.counts.tolist(),
            table.sums.tolist(),
            table.quantiles((0.5, 0.9, 0.95, 0.99, 0.999)).tolist(),
        )
        return {
            key: Summary(*counts, *sums, *quantiles)
            for key, counts, sums, quantiles in zip(*columns, strict=True)
        }

    def total(self) -> Summary:
        """Return what all rows say together."""
        nothing = Summary(0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, *([float("nan")] * 5))
        return self.summaries().get((), nothing)

    def blobs(self) -> list[bytes]:
        """Return each row's histogram as pairs of bucket and count, two bytes each, little-endian.

        A count above 65,535 takes several pairs.
        """
        pieces = np.maximum(-(-self.weights // _MOST), 1)
        pairs = np.empty((int(pieces.sum()), 2), "<u2")
        pairs[:, 0] = np.repeat(self.buckets, pieces)
        pairs[:, 1] = _MOST
        ends = np.cumsum(pieces)
        pairs[ends - 1, 1] = self.weights - (pieces - 1) * _MOST
        edges = np.concatenate([[0], ends])[self.at] * HISTOGRAM_ENTRY
        data = pairs.tobytes()
        return [data[a:b] for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]


def chosen_keys(
    layer: str | None, query_type: str | None, config_version: int | None, worker_id: str | None
) -> dict[str, str | int]:
    """Return the ``KEYS`` that were asked for with their values.

    Examples:
        >>> chosen_keys(RECALLS, None, 7, None)
        {'layer': '', 'config_version': 7}
    """
    conditions = {
        "layer": layer,
        "query_type": query_type,
        "config_version": config_version,
        "worker_id": worker_id,
    }
    return {name: value for name, value in conditions.items() if value is not None}


def selected(minutes: Rollups, spans: Sequence[Span], chosen: Mapping[str, str | int]) -> Rollups:
    """Return what some spans show of a table by minute, each at its level."""
    places = [(KEYS.index(name), value) for name, value in chosen.items()]
    fits = np.array([all(key[at] == value for at, value in places) for key in minutes.keys], bool)
    start = np.array([key[1] for key in minutes.keys], np.int64)
    return Rollups.joined(
        minutes.where(fits & (start >= span.first) & (start < span.end)).at_level(span.level)
        for span in spans
    )


def from_blobs(keys: Sequence[Key], counts: Ints, sums: Floats, blobs: Sequence[bytes]) -> Rollups:
    """Return the table of which ``Rollups.blobs`` gave the histograms."""
    pairs = np.frombuffer(b"".join(blobs), "<u2").reshape(-1, 2).astype(np.int64)
    at = np.cumsum([0, *(len(blob) // HISTOGRAM_ENTRY for blob in blobs)], dtype=np.int64)
    return Rollups(keys, counts.reshape(-1, len(COUNTS)), sums.reshape(-1, 2), pairs[:, 0], pairs[:, 1], at)


def histograms(entries: Ints, weights: Ints, rows: int) -> tuple[Ints, Ints, Ints]:
    """Return buckets, weights and row edges of entries given as ``row · 4096 + bucket``, in order."""
    if rows * BUCKETS <= 64 * len(entries) + 65536:
        dense = np.bincount(entries, weights, minlength=rows * BUCKETS).astype(np.int64)
        distinct = np.flatnonzero(dense)
        total = dense[distinct]
    else:
        distinct, place = np.unique(entries, return_inverse=True)
        total = np.bincount(place, weights, minlength=len(distinct)).astype(np.int64)
    at = np.searchsorted(distinct, np.arange(rows + 1) * BUCKETS)
    return distinct % BUCKETS, total, at
