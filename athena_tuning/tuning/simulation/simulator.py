"""Runs a trace in virtual time: what the recalls would have met under other configs."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from heapq import heappop, heappush

from athena_tuning.admission import Place, QueueLaw
from athena_tuning.model import ConfigSet, TuningConfig
from athena_tuning.tuning.simulation.connections import Connections
from athena_tuning.tuning.simulation.simulated_recalls import SimulatedRecalls
from athena_tuning.tuning.simulation.simulated_run import SimulatedRun, joined
from athena_tuning.tuning.trace import Trace

__all__ = ["AGAIN", "HIT_SECONDS", "SimulatedRun", "Simulation", "Slowdown", "in_force", "joined", "simulate"]

Slowdown = Callable[[int], float]
"""How many times longer a task takes with n tasks in flight than alone; at least 1."""

HIT_SECONDS = 5e-5
_WAITING, _RUNNING, _OVER = 0, 1, 2
_LEFT_OUT, _LATER = 1, 2
_ARRIVAL, _END, _TIMEOUT, _DEADLINE, AGAIN = 0, 1, 2, 3, 4


class Simulation(SimulatedRecalls):
    """One manager in virtual time: first-come-first-served limit, admission, contention, timeouts, cache.

    A task that holds a slot progresses at ``1 / slow(n)`` while n tasks hold one, and all tasks of a layer
    alike (processor sharing), so contention is exact at every change of n and not only at a task's start. A
    task over its timeout is given up and its slot freed, as with layers that can be interrupted; a recall
    over its deadline goes on without what is missing. Without slowdown it is a plain event queue and exact
    to the last digit.

    About 5 µs a recall of two layers, 7 µs with contention.

    Args:
        trace: what to run.
        configs: what is in force from the start; ``apply`` changes it on the way.
        slowdown: by layer; a layer that is not named knows no contention.
        clients: run a closed loop: so many callers, each asking the trace's next question as soon as it has
            its answer, at no time that the trace says. None: the trace's own times.
        cache_seconds: lifetime of a cached result.
        admission: refuse recalls in an overload, as the configs say; else they all wait.
        connections: tasks that the backend serves at once; others that hold a slot stand in line there. None:
            as many as hold a slot.

    Raises:
        ValueError: if tasks are to slow each other down and to stand in line as well.

    Examples:
        >>> from athena_tuning.tuning.trace import Arrival
        >>> trace = Trace(tuple(Arrival(0.0, "meta", (("semantic", 0.1),)) for _ in range(4)))
        >>> Simulation(trace, TuningConfig(max_concurrent=2)).run().result().latency_ms.round().tolist()
        [100.0, 100.0, 200.0, 200.0]
    """

    __slots__ = (
        "_admission",
        "_admitted",
        "_busy",
        "_by_type",
        "_cache_seconds",
        "_cached",
        "_clients",
        "_connections",
        "_default",
        "_done",
        "_events",
        "_freed",
        "_given_up",
        "_group_of",
        "_head",
        "_heaps",
        "_law",
        "_laws",
        "_left",
        "_limit",
        "_next",
        "_places",
        "_queue",
        "_recall",
        "_slow",
        "_state",
        "_times",
        "_waiting",
        "_work",
        "configs",
        "now",
    )

    def __init__(
        self,
        trace: Trace,
        configs: TuningConfig | ConfigSet,
        slowdown: Mapping[str, Slowdown] | None = None,
        *,
        clients: int | None = None,
        cache_seconds: float = 300.0,
        admission: bool = False,
        connections: int | None = None,
    ) -> None:
        if connections is not None and slowdown:
            raise ValueError(f"tasks behind {connections} connections do not slow each other down")
        super().__init__(trace)
        self.now = 0.0
        columns = trace.columns
        self._times, self._recall, self._work = columns.times, columns.recall, columns.work
        self._group_of, self._laws = _grouped(self._layers, slowdown or {})
        self._slow: list[tuple[float, ...]] = []  # by tasks in flight, how many times longer each group takes
        self._done = [0.0] * len(self._laws)  # progress that a task of the group has had so far
        self._heaps: list[list[tuple[float, int]]] = [[] for _ in self._laws]  # by progress at their end
        n, m = len(trace), len(self._work)
        self._clients = clients
        self._cache_seconds = cache_seconds
        self._cached: dict[str, float] = {}
        self._next = 0
        self._left = [0] * n
        self._state = bytearray(m)
        self._queue: deque[int] = deque()
        self._events: list[tuple[float, int, int]] = []
        self._busy = self._limit = self._waiting = self._freed = self._given_up = 0
        self._admission = admission
        self._law: QueueLaw | None = None
        self._places: dict[int, Place] = {}
        self._connections = None if connections is None else Connections(connections)
        self._admitted = bytearray(n)
        self.apply(configs if isinstance(configs, ConfigSet) else in_force(configs))
        for _ in range(min(clients or 0, n)):
            heappush(self._events, (0.0, _ARRIVAL, -1))

    @property
    def in_flight(self) -> int:
        """Slots held now."""
        return self._busy

    def apply(self, configs: ConfigSet) -> None:
        """Put other configs in force, for recalls that begin from now on; the limit holds at once."""
        self.configs = configs
        config = configs.default.config
        if self._admission:
            self._obey(config)
        self._limit, self._head, self._default = config.max_concurrent, configs.head, config
        self._by_type = {name: version.config for name, version in configs.by_type.items()}
        for in_flight in range(len(self._slow), self._limit + 1):
            self._slow.append(tuple(max(1.0, law(in_flight)) if in_flight else 1.0 for law in self._laws))
        self._give_out()

    def _obey(self, config: TuningConfig) -> None:
        """Let the queue be bounded as a config says; without a law, where it never was."""
        if self._law is None and config.overload_after_seconds is not None:
            self._law = QueueLaw(1.0, 0.1)
        if self._law is not None:
            self._law.after, self._law.wait = config.overload_after_seconds, config.overload_wait_seconds
            if config.max_concurrent < self._limit:
                self._law.shed(self.now)

    def run(self, until: float = math.inf) -> Simulation:  # noqa: C901, PLR0912 (calls are a fifth of it)
        """Go on to ``until`` (seconds from the trace's start) or to the end of the trace."""
        events, done, times = self._events, self._done, self._times
        heaps = list(enumerate(self._heaps))
        open_loop = len(times) if self._clients is None else 0
        while True:
            if self._given_up:
                self._pass_over()
            when, ending, arriving = events[0][0] if events else math.inf, None, self._next
            arrives = arriving < open_loop and times[arriving] <= when
            if arrives:
                when = times[arriving]
            now, slow = self.now, self._slow[self._busy]
            for group, heap in heaps:
                if heap:
                    due = now + (heap[0][0] - done[group]) * slow[group]
                    if due < when:
                        when, ending = due, heap
            if when > until or when == math.inf:
                break
            if when > now:
                for group, factor in enumerate(slow):
                    done[group] += (when - now) / factor
                self.now = when
            if ending is not None:
                self._end(heappop(ending)[1])
            elif arrives:
                self._begin(arriving)
            else:
                _, kind, which = heappop(events)
                if kind == _DEADLINE:
                    self._abandon(which)
                elif kind == AGAIN:
                    self._call_again(which)
                elif kind == _ARRIVAL:
                    if self._next < len(times):
                        self._begin(self._next)
                elif self._state[which] == _RUNNING:
                    self._end(which, timed_out=kind == _TIMEOUT)
        if until != math.inf:
            self._advance(until)
        return self

    def _call_again(self, t: int) -> None:
        """Make a call a second time, if it is still under way; here nothing is called again."""

    def _advance(self, when: float) -> None:
        passed = when - self.now
        if passed > 0:
            slow = self._slow[self._busy]
            for group, factor in enumerate(slow):
                self._done[group] += passed / factor
            self.now = when

    def _pass_over(self) -> None:
        """Drop what was given up from the heads of the heaps."""
        state = self._state
        for heap in self._heaps:
            while heap and state[heap[0][1]] != _RUNNING:
                heappop(heap)
                self._given_up -= 1

    def _begin(self, recall: int) -> None:
        self._next = recall + 1
        self._begun[recall] = self.now
        arrival = self.trace.arrivals[recall]
        config = self._config[recall] = self._by_type.get(arrival.query_type, self._default)
        self._version[recall] = self._head
        if config.enable_cache and arrival.text and self._cached.get(arrival.text, -math.inf) >= self.now:
            self._hit[recall] = 1
            self._over_recall(recall, self.now + HIT_SECONDS)
            return
        ready = self._asked_first(recall, config)
        self._left[recall] = len(ready)
        if not ready:
            self._over_recall(recall, self.now)
            return
        if config.deadline_seconds is not None:
            heappush(self._events, (self.now + config.deadline_seconds, _DEADLINE, recall))
        if not config.enable_parallel:
            ready = ready[:1]
        if self._law is not None and not self._is_admitted(self._law, recall, config, len(ready)):
            self._refuse(recall)
            return
        for t in ready:
            self._wait(t)
        if self._queue:
            self._give_out()

    def _asked_first(self, recall: int, config: TuningConfig) -> Sequence[int]:
        """Return the tasks of a recall's first round; those of later ones wait for theirs."""
        first, end = self._first[recall], self._first[recall + 1]
        ready: Sequence[int] = range(first, end)
        if config.skipped_layers and config.layer_selection_enabled:
            skipped = config.skipped_layers
            for t in ready:
                self._skipped[t] = _LEFT_OUT if self._layers[self._layer[t]] in skipped else 0
            ready = [t for t in ready if not self._skipped[t]] or self._unskip(first, end)
        if rounds := self.trace.arrivals[recall].rounds:
            earliest = min(rounds[t - first] for t in ready)
            for t in ready:
                if rounds[t - first] > earliest:
                    self._skipped[t] = _LATER
            ready = [t for t in ready if not self._skipped[t]]
        return ready

    def _is_admitted(self, law: QueueLaw, recall: int, config: TuningConfig, tasks: int) -> bool:
        """Whether a recall may queue; if it starts at once, it has nothing to ask the law for later."""
        now, arrival = self.now, self.trace.arrivals[recall]
        if not self._waiting and self._busy + tasks <= self._limit:
            law.queued(now, 0, self._freed, full=False)
            law.left(now, 0.0, tasks - 1)
            self._admitted[recall] = 1
            return True
        deadline = None if config.deadline_seconds is None else now + config.deadline_seconds
        place = Place(law, arrival.query_type, now, deadline, arrival.background)
        if not place.may_queue(now, self._waiting, self._freed, self._busy >= self._limit):
            return False
        self._places[recall] = place
        self._admitted[recall] = 1
        return True

    def _unskip(self, first: int, end: int) -> range:
        for t in range(first, end):
            self._skipped[t] = 0
        return range(first, end)

    def _wait(self, t: int) -> None:
        self._queued[t] = self.now
        if self._busy < self._limit and not self._queue and not self._places:
            self._start(t)
            return
        self._queue.append(t)
        self._waiting += 1

    def _refuse(self, recall: int) -> None:
        for t in range(self._first[recall], self._first[recall + 1]):
            if self._state[t] == _WAITING and self._queued[t] == self._queued[t]:
                self._waiting -= 1
            self._state[t] = _OVER
            self._queued[t] = math.nan
        self._refused[recall] = 1
        self._left[recall] = 0
        self._over_recall(recall, self.now)

    def _give_out(self) -> None:
        queue, state, places = self._queue, self._state, self._places
        while queue and self._busy < self._limit:
            t = queue.popleft()
            if state[t] != _WAITING:
                continue
            place = places.get(self._recall[t])
            if place is not None and not place.may_start(self.now, self._waiting - 1):
                self._refuse(self._recall[t])
                continue
            self._waiting -= 1
            self._start(t)
        if queue:
            self._queued_up = True

    def _start(self, t: int) -> None:
        self._state[t] = _RUNNING
        self._busy += 1
        self._started[t] = self.now
        self._seen[t] = self._busy
        layer, work = self._layer[t], self._work[t]
        group, config = self._group_of[layer], self._config[self._recall[t]]
        longest = config.timeout_seconds
        if config.layer_timeouts:
            longest = config.timeout_for(self._layers[layer])
        if self._connections is not None and not self._connections.serves(t):
            heappush(self._events, (self.now + longest, _TIMEOUT, t))
        elif group is None:
            in_time = work <= longest
            ends = self.now + (work if in_time else longest)
            heappush(self._events, (ends, _END if in_time else _TIMEOUT, t))
        else:
            heappush(self._heaps[group], (self._done[group] + work, t))
            if work * self._slow[-1][group] > longest:
                heappush(self._events, (self.now + longest, _TIMEOUT, t))

    def _end(self, t: int, timed_out: bool = False) -> None:
        self._state[t] = _OVER
        self._over[t] = self.now
        self._busy -= 1
        self._freed += 1
        recall = self._recall[t]
        if self._connections is not None:
            self._serve_next(self._connections.left(t))
        if timed_out:
            self._timed_out[t] = 1
            self._lost[recall] += 1
            self._given_up += self._group_of[self._layer[t]] is not None
        self._left[recall] -= 1
        if not self._left[recall]:
            if not (self.trace.arrivals[recall].rounds and self._begin_next_round(recall)):
                self._over_recall(recall, self.now)
        elif not self._config[recall].enable_parallel and self._ended[recall] != self._ended[recall]:
            self._ask_next(recall)
        if self._queue:
            self._give_out()

    def _serve_next(self, t: int | None) -> None:
        if t is not None:
            heappush(self._events, (self.now + self._work[t], _END, t))

    def _ask_next(self, recall: int) -> None:
        for t in range(self._first[recall], self._first[recall + 1]):
            if self._queued[t] != self._queued[t] and not self._skipped[t]:
                self._wait(t)
                return

    def _begin_next_round(self, recall: int) -> bool:
        """Ask the next round of a recall whose tasks are over; return whether there is one."""
        first, end = self._first[recall], self._first[recall + 1]
        later = [t for t in range(first, end) if self._skipped[t] == _LATER]
        if not later:
            return False
        rounds = self.trace.arrivals[recall].rounds
        following = min(rounds[t - first] for t in later)
        ready = [t for t in later if rounds[t - first] == following]
        for t in ready:
            self._skipped[t] = 0
        self._left[recall] = len(ready)
        for t in ready if self._config[recall].enable_parallel else ready[:1]:
            self._wait(t)
        return True

    def _abandon(self, recall: int) -> None:
        if self._ended[recall] == self._ended[recall]:
            return
        for t in range(self._first[recall], self._first[recall + 1]):
            state = self._state[t]
            if state != _OVER and not self._skipped[t]:
                if state == _RUNNING:
                    self._busy -= 1
                    self._freed += 1
                    self._given_up += self._group_of[self._layer[t]] is not None
                    if self._connections is not None:
                        self._serve_next(self._connections.left(t))
                self._waiting -= state == _WAITING and self._queued[t] == self._queued[t]
                self._state[t] = _OVER
                self._over[t] = self.now
                self._timed_out[t] = 1
                self._lost[recall] += 1
        self._over_recall(recall, self.now)
        self._give_out()

    def _over_recall(self, recall: int, when: float) -> None:
        self._ended[recall] = when
        self.finished.append(recall)
        arrival = self.trace.arrivals[recall]
        refused = self._refused[recall]
        if self._law is not None and self._admitted[recall] and not refused:
            self._places.pop(recall, None)
            longest, started, over = 0.0, self._started, self._over
            for t in range(self._first[recall], self._first[recall + 1]):
                longest = max(longest, over[t] - started[t])
            self._law.served(arrival.query_type, longest)
        if arrival.text and not self._hit[recall] and not self._lost[recall] and not refused:
            self._cached[arrival.text] = when + self._cache_seconds
        if self._clients is not None:
            heappush(self._events, (when, _ARRIVAL, -1))


def _grouped(
    layers: tuple[str, ...], slowdown: Mapping[str, Slowdown]
) -> tuple[tuple[int | None, ...], tuple[Slowdown, ...]]:
    """Return for each layer the group of those that slow down alike, None for none, and the groups' laws."""
    laws = tuple(dict.fromkeys(slowdown[layer] for layer in layers if layer in slowdown))
    number = {law: i for i, law in enumerate(laws)}
    return tuple(number[slowdown[layer]] if layer in slowdown else None for layer in layers), laws


def simulate(
    trace: Trace, config: TuningConfig, slowdown: Mapping[str, Slowdown] | None = None
) -> SimulatedRun:
    """Run a whole trace under one config; see ``Simulation``."""
    return Simulation(trace, config, slowdown).run().result()


def in_force(config: TuningConfig) -> ConfigSet:
    """Return a config as the one in force for all types."""
    defaults = ConfigSet()
    return replace(defaults, default=replace(defaults.default, config=config))
