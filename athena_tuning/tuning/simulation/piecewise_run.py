"""Pieces of recalls under one config, simulated as far as somebody wants to know."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence

import numpy as np

from athena_tuning.model import TuningConfig
from athena_tuning.tuning.settings import SEARCH
from athena_tuning.tuning.simulation.simulated_run import SimulatedRun, joined, lead_in
from athena_tuning.tuning.simulation.simulator import Simulation, Slowdown
from athena_tuning.tuning.trace import Trace


class PiecewiseRun:
    """A simulation in slices of one piece after the other, each from an empty queue.

    Args:
        traces: the pieces.
        config: what is in force.
        slowdown: by layer.
    """

    def __init__(
        self, traces: Sequence[Trace], config: TuningConfig, slowdown: Mapping[str, Slowdown]
    ) -> None:
        self._traces, self._config, self._slowdown = traces, config, slowdown
        self._runs: list[SimulatedRun] = []
        self._amples: list[int | None] = []
        self._simulation: Simulation | None = None
        self._reached = 0

    @property
    def ample(self) -> int | None:
        """The least limit under which all would have been the same; None if a task had to wait for a slot."""
        known = [ample for ample in self._amples if ample is not None]
        return max(known) if len(known) == len(self._traces) else None

    def unless_slower(self, p99_ms: float) -> Generator[int, None, SimulatedRun | None]:
        """Go on to the end, in slices that yield how many recalls they were.

        Args:
            p99_ms: p99 of the answers that did not come from the cache, of those that count.

        Returns:
            What the recalls met, or None as soon as p99 is surely above.
        """
        counted = sum(len(trace) - lead_in(self._traces, trace) for trace in self._traces)
        left = counted - int(0.99 * counted)  # so many above it, and p99 is
        left -= sum(self._above(i, p99_ms) for i in range(len(self._runs)))
        while len(self._runs) < len(self._traces):
            trace = self._traces[len(self._runs)]
            first, seen = lead_in(self._traces, trace), 0
            simulation = self._simulation
            if simulation is None:
                simulation = Simulation(trace, self._config, self._slowdown, admission=True)
                self._simulation, self._reached = simulation, 0
            while self._reached + SEARCH.slice < len(trace):
                if p99_ms < math.inf:
                    left -= simulation.slower(p99_ms, seen, first)
                    seen = len(simulation.finished)
                    if left <= 0:
                        return None
                self._reached += SEARCH.slice
                simulation.run(trace.arrivals[self._reached].time)
                yield SEARCH.slice
            self._runs.append(simulation.run().result())
            self._amples.append(simulation.ample)
            self._simulation = None
            if p99_ms < math.inf:
                left -= simulation.slower(p99_ms, seen, first)
            yield len(trace) - self._reached
        return joined(self._runs)

    def _above(self, piece: int, p99_ms: float) -> int:
        """Return how many answers of a piece that was simulated took longer."""
        run, first = self._runs[piece], lead_in(self._traces, self._traces[piece])
        answered = ~(run.refused | run.hits)[first:]
        return int(np.count_nonzero(run.latency_ms[first:][answered] > p99_ms))
