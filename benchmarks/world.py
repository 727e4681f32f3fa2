"""A discrete-event world of its own: recalls, a shared limit, and backends that do what backends do.

It shares no code and no law with the tuner's simulator. A backend is a place where tasks stand in line or get
into each other's way, not a factor by the number in flight: what the tuner sees of it is only what a manager
would record.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from athena_tuning.admission import Place, QueueLaw
from athena_tuning.model import LayerTask, QueryMetrics

LAYERS = ("semantic", "graph")
EPOCH = 1_750_000_000.0

Works = Callable[[random.Random], float]
"""Draws a task's own work in seconds."""


class Events:
    """What happens when."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._number = 0

    def at(self, time: float, what: Callable[[], object]) -> None:
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


class Thrash(Backend):
    """A processor that all tasks share: beyond a knee each one more makes all of them lose.

    With n tasks it gets ``min(n, knee) · (knee / n)^power`` done, as much as n up to the knee.
    """

    def __init__(self, knee: int, power: float = 1.0) -> None:
        self._knee, self._power = knee, power
        self._left: dict[int, tuple[float, Callable[[], None]]] = {}
        self._at = 0.0
        self._number = 0

    def serve(self, events: Events, work: float, done: Callable[[], None]) -> None:
        """Share the processor until the work is done."""
        self._advance(events.now)
        self._number += 1
        self._left[self._number] = work, done
        self._next(events)

    def _speed(self) -> float:
        n = len(self._left)
        return 1.0 if n <= self._knee else (self._knee / n) ** (1 + self._power)

    def _advance(self, now: float) -> None:
        passed, self._at = (now - self._at) * self._speed(), now
        self._left = {k: (work - passed, done) for k, (work, done) in self._left.items()}

    def _next(self, events: Events) -> None:
        if not self._left:
            return
        key = min(self._left, key=lambda k: self._left[k][0])
        state, when = frozenset(self._left), max(self._left[key][0], 0.0) / self._speed()

        def over() -> None:
            if frozenset(self._left) != state:
                return
            self._advance(events.now)
            _, done = self._left.pop(key)
            done()
            self._next(events)

        events.at(events.now + when, over)


class Neighbour(Backend):
    """Another backend, whose tasks are slower by a factor for some seconds out of so many."""

    def __init__(self, inner: Backend, factor: float, seconds: float, every: float) -> None:
        self._inner, self._factor, self._seconds, self._every = inner, factor, seconds, every

    def serve(self, events: Events, work: float, done: Callable[[], None]) -> None:
        """Serve it, slower while the neighbour is busy."""
        is_busy = events.now % self._every < self._seconds
        self._inner.serve(events, work * (self._factor if is_busy else 1.0), done)


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
    queued: float = 0.0


class Manager:
    """Recalls of two layers that ask one backend under one limit.

    Args:
        events: what happens when.
        backend: serves.
        works: draws a task's own work.
        rng: of the works.
        limit: tasks in flight at most.
        ended: called with each recall's number as it ends, or is refused.
        law: bounds the wait for slots, as a manager's admission does; None: all wait.

    Attributes:
        limit: see ``apply``.
        parallel: whether the layers of a recall run side by side.
        version: how often ``apply`` was called.
        tasks: of each recall, filled as it runs.
        versions: the version as each began.
        refused: numbers of recalls that were.
    """

    def __init__(
        self,
        events: Events,
        backend: Backend,
        works: Works,
        rng: random.Random,
        limit: int,
        ended: Callable[[int], object] = id,
        law: QueueLaw | None = None,
    ) -> None:
        self.limit, self.parallel, self.version = limit, True, 0
        self.tasks: list[list[Task]] = []
        self.versions: list[int] = []
        self._events, self._backend, self._works, self._rng = events, backend, works, rng
        self._ended = ended
        self._line: deque[Task] = deque()
        self._busy = self._freed = 0
        self.refused: set[int] = set()
        self._law, self._places = law, dict[int, Place]()

    @property
    def in_flight(self) -> int:
        """Tasks that hold a slot."""
        return self._busy

    @property
    def waiting(self) -> int:
        """Tasks that wait for one."""
        return len(self._line)

    def apply(self, limit: int, *, parallel: bool = True) -> None:
        """Run under another limit from now on."""
        self.limit, self.parallel, self.version = limit, parallel, self.version + 1
        self._give_out()

    def shed(self) -> None:
        """Treat what waits as an overload: it came about under a limit that was a mistake."""
        if self._law is not None and self._line:
            self._law.shed(self._events.now)

    def ask(self) -> int:
        """Ask all layers; return the number of the recall."""
        recall = len(self.tasks)
        works = [self._works(self._rng) for _ in LAYERS]
        mine = [Task(recall, layer, w, self._events.now) for layer, w in zip(LAYERS, works, strict=True)]
        self.tasks.append(mine)
        self.versions.append(self.version)
        if not self._may_queue(recall):
            self._refuse(recall)
            return recall
        self._line.extend(mine if self.parallel else mine[:1])
        self._give_out()
        return recall

    def _give_out(self) -> None:
        while self._line and self._busy < self.limit:
            task = self._line.popleft()
            place = self._places.get(task.recall)
            if place is not None and not place.may_start(self._events.now, len(self._line)):
                self._line = deque(t for t in self._line if t.recall != task.recall)
                self._refuse(task.recall)
                continue
            self._busy += 1
            self._start(task)

    def _may_queue(self, recall: int) -> bool:
        if self._law is None:
            return True
        now = self._events.now
        place = self._places[recall] = Place(self._law, "factual", now)
        return place.may_queue(now, len(self._line), self._freed, self._busy >= self.limit)

    def _refuse(self, recall: int) -> None:
        self.refused.add(recall)
        self._places.pop(recall)
        self._ended(recall)

    def _start(self, task: Task) -> None:
        task.started, task.in_flight = self._events.now, self._busy
        self._backend.serve(self._events, task.work, lambda: self._over(task))

    def _over(self, task: Task) -> None:
        task.ended = self._events.now
        self._busy, self._freed = self._busy - 1, self._freed + 1
        mine = self.tasks[task.recall]
        waiting = next((t for t in mine if not t.ended and not t.started and t not in self._line), None)
        if waiting is not None:
            waiting.queued = self._events.now
            self._line.append(waiting)
        elif all(t.ended for t in mine):
            if self._law is not None:
                self._law.served("factual", task.ended - min(t.started for t in mine))
                self._places.pop(task.recall)
            self._ended(task.recall)
        self._give_out()

    def latency(self, recall: int) -> float:
        """Return the ms that a recall took, infinite if it was refused."""
        if recall in self.refused:
            return math.inf
        mine = self.tasks[recall]
        return 1000 * (max(t.ended for t in mine) - mine[0].asked)

    def record(self, recall: int) -> QueryMetrics:
        """Return what a manager would have recorded of a recall."""
        tasks = self.tasks[recall]
        begun = tasks[0].asked
        if recall in self.refused:
            return QueryMetrics(
                *(f"w{recall}", "?", "factual", EPOCH + begun, None, None, False, 0, [], {}, False),
                partial=True,
                config_version=self.versions[recall],
            )
        layers = {t.layer: 1000 * (t.ended - t.started) for t in tasks}
        return QueryMetrics(
            *(f"w{recall}", "?", "factual", EPOCH + begun, self.latency(recall), None, False, 1),
            *(list(layers), layers, True),
            parallel_execution=self.parallel,
            config_version=self.versions[recall],
            tasks=tuple(
                LayerTask(
                    t.layer,
                    1000 * (max(t.queued, begun) - begun),
                    1000 * (t.started - max(t.queued, begun)),
                    1000 * (t.ended - t.started),
                    t.in_flight,
                )
                for t in tasks
            ),
        )


@dataclass(slots=True)
class World:
    """A manager whose limits are known beforehand.

    Attributes:
        backend: makes a backend.
        works: draws a task's own work.
        manager: that ran.
    """

    backend: Callable[[], Backend]
    works: Works
    manager: Manager = field(init=False)

    def run(
        self, arrivals: Sequence[float], seed: int, limit: int, later: Sequence[tuple[float, int]] = ()
    ) -> World:
        """Run recalls from some arrivals on (seconds) under a limit, later under others from a time on."""
        events = Events()
        self.manager = manager = Manager(events, self.backend(), self.works, random.Random(seed), limit)
        for time in arrivals:
            events.at(time, manager.ask)
        for time, to in later:
            events.at(time, lambda to=to: manager.apply(to))  # type: ignore[misc]
        events.run()
        return self

    def latencies(self) -> list[float]:
        """Return the ms that each recall took."""
        return [self.manager.latency(recall) for recall in range(len(self.manager.tasks))]

    def ends(self) -> list[float]:
        """Return when recalls ended, rising."""
        return sorted(max(t.ended for t in tasks) for tasks in self.manager.tasks)

    def records(self) -> list[QueryMetrics]:
        """Return what a manager would have recorded, in the order in which recalls ended."""
        tasks = self.manager.tasks
        order = sorted(range(len(tasks)), key=lambda recall: max(t.ended for t in tasks[recall]))
        return [self.manager.record(recall) for recall in order]


def poisson(recalls: int, rate: float, seed: int) -> list[float]:
    """Return the times of independent arrivals."""
    rng, now, times = random.Random(f"arrivals {seed}"), 0.0, []
    for _ in range(recalls):
        now += rng.expovariate(rate)
        times.append(now)
    return times
