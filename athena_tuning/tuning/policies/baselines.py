"""Known limits to be compared with: doing nothing, Vegas, Gradient2."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace
from random import Random
from typing import NamedTuple

from athena_tuning.model import Decision, LayerTask, TaskOutcome
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.base import Policy, decision


class FixedPolicy(Policy):
    """Leaves everything as it is."""

    name = "fixed"

    def propose(self, evidence: Evidence, scope: str = "all") -> Decision:
        """Keep the incumbent."""
        return decision(
            self, evidence, scope, evidence.incumbent(scope), "No change: the config is fixed.", 0
        )


class Sample(NamedTuple):
    """What a window of tasks met: mean service time, most in flight, whether one was given up."""

    rtt_ms: float
    in_flight: int
    dropped: bool = False


class LimitPolicy(Policy):
    """A limit that follows the service times of tasks, window by window.

    A window is a second and ten tasks at least, and tells the limit one sample: the published default.
    Queue wait is no part of a service time, so that a limit does not blame the backend for itself.
    """

    SECONDS = 1.0
    TASKS = 10

    def __init__(self) -> None:
        self._cursor = 0
        self._tasks: list[LayerTask] = []
        self._opened = math.nan
        self._estimate = math.nan
        self._limit = 0

    def due(self, evidence: Evidence) -> bool:
        """Whether recalls came."""
        return evidence.fresh > 0

    def propose(self, evidence: Evidence, scope: str = "all") -> Decision:
        """Return the present limit: it only moves when it decides."""
        before = evidence.incumbent(scope)
        return decision(self, evidence, scope, before, f"Limit {before.max_concurrent}.", len(self._tasks))

    def decide(self, evidence: Evidence) -> tuple[Decision, ...]:
        """Move the limit by one window."""
        records, self._cursor, _ = evidence.profiler.read_since(self._cursor)
        self._tasks += (t for m in records for t in m.tasks)
        if math.isnan(self._opened):
            self._opened = evidence.now
        if evidence.now - self._opened < self.SECONDS or len(self._tasks) < self.TASKS:
            return ()
        tasks, self._tasks, self._opened = self._tasks, [], evidence.now
        sample = Sample(
            sum(t.service_ms for t in tasks) / len(tasks),
            max(t.in_flight for t in tasks),
            any(t.outcome is TaskOutcome.TIMEOUT for t in tasks),
        )
        before = evidence.incumbent("all")
        if self._limit != before.max_concurrent:
            self._estimate = float(before.max_concurrent)
        bounds = evidence.bounds
        wanted = self.updated(self._estimate, sample)
        self._estimate = min(max(wanted, bounds.min_concurrent), bounds.max_concurrent)
        self._limit = int(self._estimate)
        if self._limit == before.max_concurrent:
            return ()
        after = replace(before, max_concurrent=self._limit)
        summary = f"Service time {sample.rtt_ms:.1f} ms: limit {before.max_concurrent} → {self._limit}."
        return (decision(self, evidence, "all", after, summary, len(tasks)),)

    @abstractmethod
    def updated(self, limit: float, sample: Sample) -> float:
        """Return the next limit, not yet held within bounds."""


class VegasPolicy(LimitPolicy):
    """TCP Vegas as a concurrency limit, as published with its defaults.

    ``queue = ⌈L·(1 − rtt₀/rtt)⌉`` with rtt₀ the least service time seen. Up by ``6·log`` if the queue is at
    most ``log``, up by ``log`` below ``3·log``, down by ``log`` above ``6·log`` or after a drop, with
    ``log = max(1, ⌊log₁₀ L⌋)``. Regimes: an idle limit (fewer than half of the slots taken) stays; a new
    least service time is only noted; after ``30·L`` samples, times 0.5 to 1, rtt₀ starts afresh, so that a
    backend that has become slower is not taken for a queue for ever.
    """

    name = "vegas"
    PROBE = 30

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        self._random = Random(seed)
        self._least = math.inf
        self._samples = 0
        self._jitter = self._random.uniform(0.5, 1.0)

    def updated(self, limit: float, sample: Sample) -> float:
        """Compare with the least service time seen."""
        self._samples += 1
        if self._samples >= self._jitter * self.PROBE * limit:
            self._samples, self._jitter = 0, self._random.uniform(0.5, 1.0)
            self._least = sample.rtt_ms
            return limit
        if sample.rtt_ms < self._least:
            self._least = sample.rtt_ms
            return limit
        log = max(1, int(math.log10(max(int(limit), 1))))
        if sample.in_flight * 2 < limit and not sample.dropped:
            return limit
        return limit + self._step(limit, sample, log)

    def _step(self, limit: float, sample: Sample, log: int) -> int:
        if sample.dropped:
            return -log
        queue = math.ceil(limit * (1 - self._least / sample.rtt_ms)) if sample.rtt_ms > 0 else 0
        if queue <= log:
            return 6 * log
        if queue < 3 * log:
            return log
        return -log if queue > 6 * log else 0


class GradientPolicy(LimitPolicy):
    """Gradient2, as published with its defaults: the ratio of the long-term to the short-term service time.

    ``L' = 0.8·L + 0.2·(L·clip(1.5·long/short, 0.5, 1) + 4)``; long is the mean of the first 10 samples,
    then exponential over 600. Regimes: while service times are steady the limit creeps up until they rise
    by half; after a spell of load (long above twice short) long falls by 5 % a sample; an idle limit stays.
    """

    name = "gradient"
    WARM, LONG = 10, 600

    def __init__(self) -> None:
        super().__init__()
        self._long = 0.0
        self._samples = 0

    def updated(self, limit: float, sample: Sample) -> float:
        """Compare with the long-term mean."""
        self._samples += 1
        weight = 1 / self._samples if self._samples <= self.WARM else 2 / (self.LONG + 1)
        self._long += weight * (sample.rtt_ms - self._long)
        long = self._long
        if long > 2 * sample.rtt_ms:
            self._long *= 0.95
        if sample.in_flight < limit / 2 or sample.rtt_ms <= 0:
            return limit
        gradient = min(1.0, max(0.5, 1.5 * long / sample.rtt_ms))
        return 0.8 * limit + 0.2 * (limit * gradient + 4)
