"""What a manager has done since it started: counts that only grow, though the window forgets."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from athena_tuning.model import QueryMetrics
from athena_tuning.model.source import LIVE_ALONE
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.columns.name_bound import OTHER

BOUNDS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets; above the last there is one more."""

MOST_NAMES = 100
"""Query types, and layers, that are told apart; what comes later counts as ``OTHER``."""

_BATCH = 1_000  # the window is locked while they are read

Labels = tuple[str, str]


@dataclass(slots=True)
class Durations:
    """Durations in seconds: how many fell into each bucket, and their sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_SECONDS) + 1))
    sum: float = 0.0

    def add(self, ms: float) -> None:
        """Count one duration."""
        seconds = ms / 1000.0
        self.counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
        self.sum += seconds

    def copy(self) -> Durations:
        """Return the same, to keep."""
        return Durations(self.counts.copy(), self.sum)


@dataclass(slots=True)
class Counted:
    """Totals by labels.

    Attributes:
        recalls: by type and outcome ("success", "partial", "failure", "refused", "unknown").
        recall_seconds: durations by type and outcome, where they are known.
        cache: by type and result ("hit", "miss").
        layer_seconds: service times by layer and outcome ("ok", "timeout", "error").
        queue_seconds: waits for a slot, by layer; the second label is "".
        missed: records that left the window before they were counted.
    """

    recalls: Counter[Labels] = field(default_factory=Counter)
    recall_seconds: dict[Labels, Durations] = field(default_factory=dict)
    cache: Counter[Labels] = field(default_factory=Counter)
    layer_seconds: dict[Labels, Durations] = field(default_factory=dict)
    queue_seconds: dict[Labels, Durations] = field(default_factory=dict)
    missed: int = 0


class Totals:
    """Follows a profiler's records and counts those that were measured live.

    Recalls pay nothing: whoever calls ``catch_up`` does, a few µs a record. It must be called before the
    window has turned over once; what it misses is counted as missed. All of it is thread-safe.

    Args:
        profiler: whose records.

    Examples:
        >>> profiler = PerformanceProfiler()
        >>> totals = Totals(profiler)
        >>> with profiler.measure("last deploy?", "temporal") as query, query.layer("semantic"):
        ...     pass
        >>> totals.catch_up()
        >>> totals.counted().recalls
        Counter({('temporal', 'success'): 1})
    """

    def __init__(self, profiler: PerformanceProfiler) -> None:
        self._profiler = profiler
        self._cursor = 0
        self._counted = Counted()
        self._names: tuple[dict[str, str], dict[str, str]] = ({}, {})
        self._lock = threading.Lock()

    def catch_up(self) -> None:
        """Count what was recorded since the last call."""
        with self._lock:
            while True:
                records, self._cursor, missed = self._profiler.read_since(self._cursor, _BATCH)
                self._counted.missed += missed
                for record in records:
                    if record.source in LIVE_ALONE:
                        self._count(record)
                if not records:
                    return

    def counted(self) -> Counted:
        """Return a copy of the totals."""
        with self._lock:
            now = self._counted
            return Counted(
                now.recalls.copy(),
                _copied(now.recall_seconds),
                now.cache.copy(),
                _copied(now.layer_seconds),
                _copied(now.queue_seconds),
                now.missed,
            )

    def _count(self, m: QueryMetrics) -> None:
        types, layers = self._names
        counted, query_type = self._counted, _name(types, m.query_type)
        labels = query_type, outcome(m)
        counted.recalls[labels] += 1
        if m.latency_ms is not None:
            counted.recall_seconds.setdefault(labels, Durations()).add(m.latency_ms)
        if m.cache_hit is not None:
            counted.cache[query_type, "hit" if m.cache_hit else "miss"] += 1
        for task in m.tasks:
            layer = _name(layers, task.layer)
            counted.layer_seconds.setdefault((layer, task.outcome.value), Durations()).add(task.service_ms)
            counted.queue_seconds.setdefault((layer, ""), Durations()).add(task.queue_ms)


def outcome(m: QueryMetrics) -> str:
    """Return how a recall ended: "success", "partial", "failure", "refused" or "unknown"."""
    if m.success is None:
        return "unknown"
    if not m.success:
        return "refused" if m.refused else "failure"
    return "partial" if m.partial else "success"


def _name(known: dict[str, str], name: str) -> str:
    """Return a name, or ``OTHER`` for those that come after so many others that no monitor bears them."""
    if name not in known and len(known) >= MOST_NAMES:
        return OTHER
    return known.setdefault(name, name)


def _copied(durations: Mapping[Labels, Durations]) -> dict[Labels, Durations]:
    return {labels: each.copy() for labels, each in durations.items()}
