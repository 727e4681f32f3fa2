"""A discrete-event world of its own: recalls, a shared limit, and backends that do what backends do.

It shares no code and no law with the tuner's simulator. A backend is a place where tasks stand in line or get
into each other's way, not a factor by the number in flight: what the tuner sees of it is only what a manager
would record.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from athena_tuning.model import LayerTask, QueryMetrics

LAYERS = ("semantic", "graph")
EPOCH = 1_750_000_000.0

Works = Callable[[random.Random], float]
"""Draws a task's own work in seconds."""


class Events:
    """What happens when."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def at(self, time: float, what: Callable[[], None]) -> None:
        """Let something happen at a time."""
        self._number += 1
        heappush(self._heap, (time, self._number, what))

    def run(self) -> None:
        """Let everything happen."""
        while self._heap:
            self.now, _, what = heappop(self._heap)
            what()


class Backend(ABC):
    """Serves the tasks that hold a slot of the manager."""

    @abstractmethod
    def serve(self, events: Events, work: float, done: Callable[[], None]) -> None:
        """Serve a task and call ``done`` at its end."""


class Free(Backend):
    """No task minds another."""

    def serve(self, events: Events, work: float, done: Callable[[], None]) -> None:
        """Take as long as the task's own work."""
        events.at(events.now + work, done)


class Pool(Backend):
    """So many connections; tasks beyond stand in line behind them."""

    def __init__(self, connections: int) -> None:
        self._free = connections
        self._line: deque[tuple[float, Callable[[], None]]] = deque()

    def serve(self, events: Events, work: float, done: Callable[[], None]) -> None:
        """Stand in line, then take as long as the task's own work."""
        self._line.append((work, done))
        self._next(events)

    def _next(self, events: Events) -> None:
        if not (self._free and self._line):
            return
        self._free -= 1
        work, done = self._line.popleft()

        def over() -> None:
            self._free += 1
            done()
            self._next(events)

        events.at(events.now + work, over)


class Convoy(Backend):
    """A share of each task runs under one lock, whose handover costs more the more wait for it."""

    def __init__(self, share: float, handover: float) -> None:
        self._share, self._handover = share, handover
        self._held = False
        self._line: deque[tuple[float, Callable[[], None]]] = deque()

    def serve(self, events: Events, work: float, done: Callable[[], None]) -> None:
        """Run freely, then under the lock."""
        locked = (work * self._share, done)
        events.at(events.now + work * (1 - self._share), lambda: self._ask(events, locked))

    def _ask(self, events: Events, task: tuple[float, Callable[[], None]]) -> None:
        self._line.append(task)
        self._next(events)

    def _next(self, events: Events) -> None:
        if self._held or not self._line:
            return
        self._held = True
        work, done = self._line.popleft()

        def over() -> None:
            self._held = False
            done()
            self._next(events)

        events.at(events.now + work * (1 + self._handover * len(self._line)), over)


@dataclass(slots=True)
class Task:
    """One layer's share of a recall, as it goes."""

    recall: int
    layer: str
    work: float
    asked: float
    started: float = 0.0
    ended: float = 0.0
    in_flight: int = 0


@dataclass(slots=True)
class World:
    """Recalls of two layers that ask one backend under one limit.

    Attributes:
        backend: makes a backend.
        works: draws a task's own work.
        tasks: of each recall, filled as it runs.
        versions: how often the limit had changed when each began.
    """

    backend: Callable[[], Backend]
    works: Works
    tasks: list[list[Task]] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)

    def run(
        self, arrivals: Sequence[float], seed: int, limit: int, later: Sequence[tuple[float, int]] = ()
    ) -> World:
        """Run recalls from some arrivals on (seconds) under a limit, later under others from a time on."""
        rng, events, backend = random.Random(seed), Events(), self.backend()
        works = [[self.works(rng) for _ in LAYERS] for _ in arrivals]
        self.tasks, self.versions = [[] for _ in arrivals], [0 for _ in arrivals]
        line: deque[Task] = deque()
        busy = version = 0

        def give_out() -> None:
            nonlocal busy
            while line and busy < limit:
                busy += 1
                start(line.popleft())

        def start(task: Task) -> None:
            task.started, task.in_flight = events.now, busy

            def done() -> None:
                nonlocal busy
                task.ended = events.now
                busy -= 1
                give_out()

            backend.serve(events, task.work, done)

        def ask(recall: int) -> None:
            self.versions[recall] = version
            self.tasks[recall] = [
                Task(recall, layer, work, events.now)
                for layer, work in zip(LAYERS, works[recall], strict=True)
            ]
            line.extend(self.tasks[recall])
            give_out()

        def change(to: int) -> None:
            nonlocal limit, version
            limit, version = to, version + 1
            give_out()

        for recall, time in enumerate(arrivals):
            events.at(time, lambda recall=recall: ask(recall))  # type: ignore[misc]
        for time, to in later:
            events.at(time, lambda to=to: change(to))  # type: ignore[misc]
        events.run()
        return self

    def latencies(self) -> list[float]:
        """Return the ms that each recall took."""
        return [1000 * (max(t.ended for t in tasks) - tasks[0].asked) for tasks in self.tasks]

    def ends(self) -> list[float]:
        """Return when recalls ended, rising."""
        return sorted(max(t.ended for t in tasks) for tasks in self.tasks)

    def records(self) -> list[QueryMetrics]:
        """Return what a manager would have recorded, in the order in which recalls ended."""
        order = sorted(self.tasks, key=lambda tasks: max(t.ended for t in tasks))
        return [self._record(tasks) for tasks in order]

    def _record(self, tasks: Sequence[Task]) -> QueryMetrics:
        begun = tasks[0].asked
        layers = {t.layer: 1000 * (t.ended - t.started) for t in tasks}
        latency = 1000 * (max(t.ended for t in tasks) - begun)
        return QueryMetrics(
            *(f"w{tasks[0].recall}", "?", "factual", EPOCH + begun, latency, None, False, 1),
            *(list(layers), layers, True),
            parallel_execution=True,
            config_version=self.versions[tasks[0].recall],
            tasks=tuple(
                LayerTask(
                    t.layer,
                    0.0,
                    1000 * (t.started - t.asked),
                    1000 * (t.ended - t.started),
                    t.in_flight,
                )
                for t in tasks
            ),
        )


def poisson(recalls: int, rate: float, seed: int) -> list[float]:
    """Return the times of independent arrivals."""
    rng, now, times = random.Random(f"arrivals {seed}"), 0.0, []
    for _ in range(recalls):
        now += rng.expovariate(rate)
        times.append(now)
    return times
