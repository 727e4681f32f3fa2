"""Known limits to be compared with: doing nothing, Vegas, Gradient2."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from random import Random
from typing import ClassVar, NamedTuple

from athena_tuning.model import Decision, TaskOutcome
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.base import Outcome, Policy, decision


class FixedPolicy(Policy):
    """Leaves everything as it is."""

    name = "fixed"

    def reads_figures(self, evidence: Evidence) -> bool:
        """Whether it reads the window's figures: no."""
        return False

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


class Track(NamedTuple):
    """What a limit remembers of earlier samples.

    Attributes:
        samples: how many there were, since the last fresh start.
        rtt_ms: the service time that others are compared with.
        starts: how often it started afresh.
    """

    samples: int = 0
    rtt_ms: float = math.nan
    starts: int = 0


@dataclass(frozen=True, slots=True)
class LimitMemory:
    """The window that is open, and the limit so far.

    Attributes:
        position: recalls that were read.
        tasks: of the window so far.
        service_ms: of all of them.
        in_flight: most that any of them met.
        dropped: whether one was given up.
        opened: Unix seconds; NaN before the first.
        estimate: the limit, not rounded.
        limit: the limit that was set.
        track: of earlier samples.
    """

    position: int = 0
    tasks: int = 0
    service_ms: float = 0.0
    in_flight: int = 0
    dropped: bool = False
    opened: float = math.nan
    estimate: float = math.nan
    limit: int = 0
    track: Track = field(default_factory=Track)


class LimitPolicy(Policy):
    """A limit that follows the service times of tasks, window by window.

    A window is a second and ten tasks at least, and tells the limit one sample: the published default.
    Queue wait is no part of a service time, so that a limit does not blame the backend for itself.
    """

    SECONDS = 1.0
    TASKS = 10

    memory: ClassVar[type] = LimitMemory

    def due(self, evidence: Evidence) -> bool:
        """Whether recalls came."""
        return evidence.fresh > 0

    def reads_figures(self, evidence: Evidence) -> bool:
        """Whether it reads the window's figures: no."""
        return False

    def propose(self, evidence: Evidence, scope: str = "all") -> Decision:
        """Return the present limit: it only moves when it decides."""
        before = evidence.incumbent(scope)
        summary = f"Limit {before.max_concurrent}."
        return decision(self, evidence, scope, before, summary, evidence.memory.tasks)

    def decide(self, evidence: Evidence) -> Outcome:
        """Move the limit by one window."""
        memory = _watched(evidence)
        if evidence.now - memory.opened < self.SECONDS or memory.tasks < self.TASKS:
            return Outcome((), memory)
        sample = Sample(memory.service_ms / memory.tasks, memory.in_flight, memory.dropped)
        before = evidence.incumbent("all")
        estimate = memory.estimate if memory.limit == before.max_concurrent else float(before.max_concurrent)
        wanted, track = self.updated(estimate, sample, memory.track)
        estimate = min(max(wanted, evidence.bounds.min_concurrent), evidence.bounds.max_concurrent)
        limit = int(estimate)
        begun = LimitMemory(memory.position, opened=evidence.now, estimate=estimate, limit=limit, track=track)
        if limit == before.max_concurrent:
            return Outcome((), begun)
        after = replace(before, max_concurrent=limit)
        summary = f"Service time {sample.rtt_ms:.1f} ms: limit {before.max_concurrent} → {limit}."
        return Outcome((decision(self, evidence, "all", after, summary, memory.tasks),), begun)

    @abstractmethod
    def updated(self, limit: float, sample: Sample, track: Track) -> tuple[float, Track]:
        """Return the next limit, not yet held within bounds, and what is known of samples by then."""


def _watched(evidence: Evidence) -> LimitMemory:
    """Return what is remembered, with the tasks that came."""
    memory: LimitMemory = evidence.memory
    telemetry = evidence.telemetry
    count, service, most, dropped = memory.tasks, memory.service_ms, memory.in_flight, memory.dropped
    for recall in telemetry.newest(telemetry.position - memory.position):
        for task in recall.tasks:
            count, service = count + 1, service + task.service_ms
            most, dropped = max(most, task.in_flight), dropped or task.outcome is TaskOutcome.TIMEOUT
    opened = evidence.now if math.isnan(memory.opened) else memory.opened
    return replace(
        memory,
        position=telemetry.position,
        tasks=count,
        service_ms=service,
        in_flight=most,
        dropped=dropped,
        opened=opened,
    )


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
        self._seed = seed

    def updated(self, limit: float, sample: Sample, track: Track) -> tuple[float, Track]:
        """Compare with the least service time seen."""
        samples, least, starts = track.samples + 1, track.rtt_ms, track.starts
        jitter = Random(f"{self._seed} {starts}").uniform(0.5, 1.0)
        if samples >= jitter * self.PROBE * limit:
            return limit, Track(0, sample.rtt_ms, starts + 1)
        if not sample.rtt_ms >= least:
            return limit, Track(samples, sample.rtt_ms, starts)
        track = Track(samples, least, starts)
        log = max(1, int(math.log10(max(int(limit), 1))))
        if sample.in_flight * 2 < limit and not sample.dropped:
            return limit, track
        return limit + self._step(limit, sample, least, log), track

    @staticmethod
    def _step(limit: float, sample: Sample, least: float, log: int) -> int:
        if sample.dropped:
            return -log
        queue = math.ceil(limit * (1 - least / sample.rtt_ms)) if sample.rtt_ms > 0 else 0
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

    def updated(self, limit: float, sample: Sample, track: Track) -> tuple[float, Track]:
        """Compare with the long-term mean."""
        samples = track.samples + 1
        weight = 1 / samples if samples <= self.WARM else 2 / (self.LONG + 1)
        before = 0.0 if samples == 1 else track.rtt_ms
        long = before + weight * (sample.rtt_ms - before)
        track = Track(samples, long * 0.95 if long > 2 * sample.rtt_ms else long)
        if sample.in_flight < limit / 2 or sample.rtt_ms <= 0:
            return limit, track
        gradient = min(1.0, max(0.5, 1.5 * long / sample.rtt_ms))
        return 0.8 * limit + 0.2 * (limit * gradient + 4), track
