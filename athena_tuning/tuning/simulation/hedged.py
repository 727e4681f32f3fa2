"""Second calls in virtual time: as a manager makes them, by the same delays, budget and room."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from heapq import heappush

import numpy as np
import numpy.typing as npt

from athena_tuning.hedging import HedgingBudget, HedgingDelays, has_room
from athena_tuning.model import ConfigSet, LayerTask, TaskOutcome, TuningConfig
from athena_tuning.model.metrics import SECOND_CALL
from athena_tuning.tuning.simulation.simulator import AGAIN, Simulation, Slowdown
from athena_tuning.tuning.trace import Trace

_RUNNING, _OVER = 1, 2


class HedgedSimulation(Simulation):
    """A simulation in which calls of a config's ``hedged_layers`` are made a second time where they are slow.

    A second call has the work of another call of that layer in the trace, drawn by chance: what makes a call
    slow is taken to be the call's own, and not the question's. The slower one of the two is cancelled, and
    its slot freed, as with layers that can be interrupted.

    Args:
        trace: what to run.
        configs: see ``Simulation``.
        slowdown: likewise.
        seed: of the works of second calls.
        clients: see ``Simulation``.
        cache_seconds: likewise.
        admission: likewise.
        connections: likewise.
        answered: layers whose works are what the first of two calls took already: they are not called again.
    """

    __slots__ = (
        "_again",
        "_answered",
        "_budget",
        "_delays",
        "_draw",
        "_first_of",
        "_second_of",
        "_won",
        "_works",
    )

    def __init__(
        self,
        trace: Trace,
        configs: TuningConfig | ConfigSet,
        slowdown: Mapping[str, Slowdown] | None = None,
        *,
        seed: int = 0,
        clients: int | None = None,
        cache_seconds: float = 300.0,
        admission: bool = False,
        connections: int | None = None,
        answered: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(
            trace,
            configs,
            slowdown,
            clients=clients,
            cache_seconds=cache_seconds,
            admission=admission,
            connections=connections,
        )
        self._recall, self._layer, self._work = list(self._recall), list(self._layer), list(self._work)
        self._answered = answered
        self._first_of: dict[int, int] = {}
        self._second_of: dict[int, int] = {}
        self._again: list[int] = []
        self._won: set[int] = set()
        self._draw = random.Random(seed)
        self._budget = HedgingBudget(left=0.0)
        self._delays = HedgingDelays(self._default.hedging_quantile)
        self._works: list[list[float]] = [[] for _ in self._layers]
        for layer, work in zip(trace.columns.layer, trace.columns.work, strict=True):
            self._works[layer].append(work)
        for name, works in zip(self._layers, self._works, strict=True):
            if works:
                self._delays.know(name, float(np.quantile(works, self._delays.quantile, method="higher")))

    @property
    def ample(self) -> int | None:
        """None: the more slots there are, the more room there is for second calls."""
        return None

    def _start(self, t: int) -> None:
        super()._start(t)
        name = self._layers[self._layer[t]]
        if name in self._config[self._recall[t]].hedged_layers - self._answered:
            heappush(self._events, (self.now + self._delays.of(name), AGAIN, t))

    def _call_again(self, t: int) -> None:
        if self._state[t] != _RUNNING:
            return
        if not has_room(self._busy, self._waiting, self._limit) or not self._budget.take():
            delay = self._delays.of(self._layers[self._layer[t]])
            if delay > 0:
                heappush(self._events, (self.now + delay, AGAIN, t))
            return
        layer, second = self._layer[t], len(self._work)
        self._recall.append(self._recall[t])
        self._layer.append(layer)
        self._work.append(self._draw.choice(self._works[layer]))
        self._state.append(0)
        self._queued.append(self.now)
        self._started.append(math.nan)
        self._over.append(math.nan)
        self._seen.append(0)
        self._timed_out.append(0)
        self._skipped.append(0)
        self._first_of[second], self._second_of[t] = t, second
        self._again.append(self._recall[t])
        super()._start(second)

    def _end(self, t: int, timed_out: bool = False) -> None:
        first = self._first_of.get(t)
        if first is not None and timed_out:
            self._cancel(t)
            if self._queue:
                self._give_out()
            return
        if first is not None:
            self._state[t], self._over[t] = _OVER, self.now
            self._busy -= 1
            self._freed += 1
            self._won.add(first)
            self._given_up += self._group_of[self._layer[first]] is not None
            if self._connections is not None:
                self._serve_next(self._connections.left(t))
            t = first
        elif (second := self._second_of.get(t)) is not None and self._state[second] == _RUNNING:
            self._cancel(second)
        name = self._layers[self._layer[t]]
        if name in self._config[self._recall[t]].hedged_layers:
            self._budget.earn()
            self._delays.learn(name, self.now - self._started[t])
        super()._end(t, timed_out)

    def _abandon(self, recall: int) -> None:
        for t in range(self._first[recall], self._first[recall + 1]):
            second = self._second_of.get(t)
            if second is not None and self._state[second] == _RUNNING:
                self._cancel(second)
        super()._abandon(recall)

    def _cancel(self, second: int) -> None:
        self._state[second], self._over[second] = _OVER, self.now
        self._busy -= 1
        self._freed += 1
        self._given_up += self._group_of[self._layer[second]] is not None
        if self._connections is not None:
            self._serve_next(self._connections.left(second))

    @property
    def _held_for(self) -> npt.NDArray[np.intp]:
        return np.concatenate((self.trace.columns.recalls, np.array(self._again, np.intp)))

    def _second_tasks(self, recall: int, begun: float) -> tuple[LayerTask, ...]:
        tasks = []
        for t in range(self._first[recall], self._first[recall + 1]):
            if t in self._second_of:
                task, won = self._task(self._second_of[t], begun), t in self._won
                outcome = TaskOutcome.OK if won else TaskOutcome.TIMEOUT
                layer = task.layer + SECOND_CALL
                tasks.append(task._replace(layer=layer, outcome=outcome, result_count=int(won)))
        return tuple(tasks)


def simulation_of(
    trace: Trace,
    configs: TuningConfig | ConfigSet,
    slowdown: Mapping[str, Slowdown],
    *,
    admission: bool,
    connections: int | None = None,
    answered: frozenset[str] = frozenset(),
) -> Simulation:
    """Return the simulation that configs call for: with second calls, or the faster one without."""
    if isinstance(configs, ConfigSet):
        each = [configs.default.config, *(version.config for version in configs.by_type.values())]
    else:
        each = [configs]
    if any(config.hedged_layers - answered for config in each):
        return HedgedSimulation(
            trace, configs, slowdown, admission=admission, connections=connections, answered=answered
        )
    return Simulation(trace, configs, slowdown, admission=admission, connections=connections)
