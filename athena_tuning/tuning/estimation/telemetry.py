"""What a policy remembers of the recalls it saw: the newest of them, and what each layer's tasks met."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.tuning.estimation.concurrency_levels import Floats, Levels, time_beside
from athena_tuning.tuning.estimation.contention import ContentionLaw, fit
from athena_tuning.tuning.trace import Ask, Trace

KEPT = 4000
REMEMBERED = 20_000
"""Recalls after which what a number in flight cost is forgotten."""

TOGETHER_MS = 0.3
"""Tasks of a recall that start within so long of each other started together."""

SETTLING = 32
"""Newest recalls whose overlap is not known yet: those beside them have not ended."""


_NEWEST = 1 << 62  # a cursor beyond everything


class Seen(NamedTuple):
    """One recall that was seen. Times are Unix seconds, ``latency_ms`` includes queue waits."""

    began: float
    ended: float
    query_type: str
    text: str
    hit: bool
    success: bool
    partial: bool
    version: int
    latency_ms: float
    tasks: tuple[LayerTask, ...]


class Telemetry:
    """The newest ``KEPT`` recalls and the levels of every layer, read from the profiler as they come.

    The laws are fitted when asked for and then kept until 3 % more recalls have come, ``SETTLING`` at least.
    """

    def __init__(self) -> None:
        self.seen: deque[Seen] = deque(maxlen=KEPT)
        self.position = 0  # recalls with a known latency, ever
        self.measured = 0  # of those, with tasks
        self.levels: dict[str, Levels] = {}
        self._cursor = 0
        self._overlapped = 0
        self._laws: Mapping[str, ContentionLaw] = {}
        self._fitted_at = -1

    def take(self, profiler: PerformanceProfiler) -> int:
        """Read what is new; return how many recalls came."""
        came = 0
        _, end, _ = profiler.read_since(_NEWEST, 0)
        self._cursor = max(self._cursor, end - KEPT)
        while True:
            records, self._cursor, _ = profiler.read_since(self._cursor)
            for m in records:
                came += self.add(m)
            if not records:
                return came

    def newest(self, count: int) -> list[Seen]:
        """Return up to ``count`` of the newest recalls, oldest first."""
        return list(islice(reversed(self.seen), count))[::-1]

    def asking(self, count: int) -> list[Seen]:
        """Return up to ``count`` of the newest recalls that asked layers, oldest first."""
        return list(islice((s for s in reversed(self.seen) if s.tasks), count))[::-1]

    def since(self, time: float) -> list[Seen]:
        """Return the recalls that began at ``time`` or later, in the order in which they ended."""
        found = []
        for s in reversed(self.seen):
            if s.ended < time:
                break
            if s.began >= time:
                found.append(s)
        return found[::-1]

    def laws(self) -> Mapping[str, ContentionLaw]:
        """Return the fitted laws by layer; layers that were seen too seldom are missing."""
        self._overlap()
        if self._fitted_at != self._overlapped:
            self._laws = fit(self.levels)
            self._fitted_at = self._overlapped
        return self._laws

    def refitted(self, rng: np.random.Generator) -> Mapping[str, ContentionLaw]:
        """Return laws as they could have come out by chance."""
        return fit(self.levels, rng)

    def largest(self) -> int:
        """Return the most tasks in flight that were met often enough to learn from."""
        return max((law.largest for law in self.laws().values()), default=1)

    def trace(self, recalls: Sequence[Seen], laws: Mapping[str, ContentionLaw]) -> Trace:
        """Return recalls as a trace: arrivals as they were, works freed from contention.

        A task's own work is what it got done: the time beside each number of others, divided by the law
        there. Recalls that the cache answered are left out.
        """
        order = sorted((s for s in recalls if s.tasks), key=lambda s: s.began)
        if not order:
            return Trace(())
        tasks = [(s, t) for s in order for t in s.tasks]
        beside = time_beside(*_spans(tasks))
        works = iter(self._works(tasks, beside, laws))
        begin = order[0].began
        return Trace(
            tuple(
                Ask(s.began - begin, s.query_type, tuple((t.layer, next(works)) for t in s.tasks))
                for s in order
            )
        )

    @staticmethod
    def _works(
        tasks: Sequence[tuple[Seen, LayerTask]], beside: Floats, laws: Mapping[str, ContentionLaw]
    ) -> Floats:
        """Return each task's own work in seconds."""
        numbers = range(1, beside.shape[1] + 1)
        speed = {layer: np.array([1 / law.factor(n) for n in numbers]) for layer, law in laws.items()}
        alone = np.ones(len(numbers))
        rows = np.array([speed.get(task.layer, alone) for _, task in tasks])
        done: Floats = (beside * rows).sum(axis=1)
        return done

    def add(self, m: QueryMetrics) -> bool:
        """Take in one recall as it ended; return whether it says what it took and whether it succeeded."""
        if m.latency_ms is None or m.success is None:
            return False
        hit = bool(m.cache_hit)
        self.seen.append(
            Seen(
                m.timestamp,
                m.timestamp + m.latency_ms / 1000,
                m.query_type,
                m.query_text,
                hit,
                m.success,
                m.partial,
                m.config_version,
                m.latency_ms,
                m.tasks,
            )
        )
        self.position += 1
        self.measured += bool(m.tasks)
        return True

    def _overlap(self) -> None:
        """Note the tasks of recalls that have settled under the number in flight that they met."""
        fresh = self.position - self._overlapped - SETTLING
        if fresh < max(SETTLING, min(self.position // 32, 4 * SETTLING)):
            return
        around = self.newest(fresh + 4 * SETTLING)
        tasks = [(s, t) for s in around for t in s.tasks]
        first = self.position - len(around)
        place = {id(s): first + i for i, s in enumerate(around)}
        beside = time_beside(*_spans(tasks))
        rows: dict[str, list[int]] = {}
        for i, (s, task) in enumerate(tasks):
            settled = self._overlapped <= place[id(s)] < self._overlapped + fresh
            if settled and task.outcome is TaskOutcome.OK:
                rows.setdefault(task.layer, []).append(i)
        for layer, which in rows.items():
            self.levels.setdefault(layer, Levels()).add(
                [_started_with(*tasks[i]) for i in which],
                beside[which] * 1000,
                [place[id(tasks[i][0])] for i in which],
            )
        self._overlapped += fresh
        for levels in self.levels.values():
            levels.forget(self.position - REMEMBERED)


def _started_with(seen: Seen, task: LayerTask) -> int:
    """Return the number in flight once the tasks that start together with this one have started."""
    by = task.offset_ms + task.queue_ms + TOGETHER_MS
    return max(t.in_flight for t in seen.tasks if t.offset_ms + t.queue_ms <= by)


def _spans(tasks: Sequence[tuple[Seen, LayerTask]]) -> tuple[list[float], list[float]]:
    start = [s.began + (t.offset_ms + t.queue_ms) / 1000 for s, t in tasks]
    return start, [a + t.service_ms / 1000 for a, (_, t) in zip(start, tasks, strict=True)]
