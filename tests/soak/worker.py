"""A process of the soak: a manager under load, which notes what was acknowledged and what failed.

Its parent starts it with one argument, a ``Start`` as JSON, and reads its report, a file that is replaced ten
times a second. SIGTERM ends it in good order, SIGUSR1 raises in the midst of a recall, SIGUSR2 has it fork.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from athena_tuning.model import ConfigSet, QueryMetrics
from athena_tuning.recall import MemoryManager
from athena_tuning.store import Store, open_store
from tests.support.forked import forked

CLOSE_SECONDS = 5.0


@dataclass
class Start:
    """What a process is told.

    Attributes:
        url: of the store.
        folder: where its files are.
        name: its worker id.
        threads: that recall without a pause between them but ``pause``.
        pause: seconds.
    """

    url: str
    folder: str
    name: str
    threads: int = 2
    pause: float = 0.03

    @property
    def report(self) -> Path:
        """What it says of itself."""
        return Path(self.folder, f"{self.name}.json")

    @property
    def acknowledged(self) -> Path:
        """Ids of the records that the store has taken, a line each."""
        return Path(self.folder, f"{self.name}.ids")

    @property
    def clock(self) -> Path:
        """By how many seconds its clock is wrong: a double."""
        return Path(self.folder, f"{self.name}.clock")


@dataclass
class Report:
    """What a process says of itself.

    Attributes:
        time: monotonic seconds of the machine.
        recalls: that were asked for.
        failed: of them, that raised or had no answer at all.
        why: of the first that failed.
        leads: whether it has the lease on tuning.
        limit: in force.
        exceeded: layer calls that began while the limit was reached.
        raised: recalls that a signal broke off.
        forks: children that did their work.
        troubles: background tasks that failed.
        refused: records whose time cannot be.
        dropped: records that could not be delivered.
        slots_lost: given and never returned; known once it has ended.
        close_seconds: how long closing took; 0 before.
    """

    time: float = 0.0
    recalls: int = 0
    failed: int = 0
    why: str = ""
    leads: bool = False
    limit: int = 0
    exceeded: int = 0
    raised: int = 0
    forks: int = 0
    troubles: int = 0
    refused: int = 0
    dropped: int = 0
    slots_lost: int = 0
    close_seconds: float = 0.0


class Alarm(Exception):
    """Raised by a signal handler, as time limits of task queues are."""


class Calls:
    """Counts layer calls under way against the limits of the last second: who had a slot may use it."""

    def __init__(self) -> None:
        self.exceeded = 0
        self._inside = 0
        self._lock = threading.Lock()
        self._limits: deque[tuple[float, int]] = deque()

    def note_limit(self, limit: int) -> None:
        """Note a limit before it is in force."""
        with self._lock:
            self._limits.append((time.monotonic(), limit))

    def __enter__(self) -> None:
        now = time.monotonic()
        with self._lock:
            while len(self._limits) > 1 and self._limits[1][0] < now - 1.0:
                self._limits.popleft()
            self._inside += 1
            if self._inside > max(limit for _, limit in self._limits):
                self.exceeded += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1


class Manager(MemoryManager):
    """A manager that tells ``Calls`` of each limit."""

    def __init__(self, calls: Calls, memory: str, **settings: Any) -> None:
        self.calls = calls
        super().__init__(memory, **settings)

    def _obey(self, configs: ConfigSet) -> None:
        self.calls.note_limit(configs.default.config.max_concurrent)
        super()._obey(configs)


class Work:
    """A layer that takes its time, and fails now and then."""

    def __init__(self, name: str, calls: Calls, seconds: float, fails: float = 0.0) -> None:
        self.name = name
        self.calls = calls
        self.seconds = seconds
        self.fails = fails

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, str]]:
        """Wait, then find one thing."""
        with self.calls:
            time.sleep(random.uniform(0.5, 1.5) * self.seconds)
            return self.answer(query)

    def answer(self, query: Any) -> list[dict[str, str]]:
        """Give one thing, or fail."""
        if random.random() < self.fails:
            raise ConnectionError("no route")
        return [{"id": f"{self.name}-{random.randrange(50)}", "text": f"{self.name} on {query}"}]


class LocalWork(Work):
    """The same on the caller's own thread."""

    keeps_deadline = True


class AwaitedWork(Work):
    """The same as a coroutine."""

    async def search(self, query: Any, k: int, deadline: float) -> list[dict[str, str]]:  # type: ignore[override]
        """Wait, then find one thing."""
        with self.calls:
            await asyncio.sleep(random.uniform(0.5, 1.5) * self.seconds)
            return self.answer(query)


class Process:
    """The manager, its load and its report."""

    def __init__(self, start: Start) -> None:
        self.start = start
        self.ending = False
        self.asking = False
        self.to_fork = 0
        self.counted = Report()
        self.lock = threading.Lock()
        self.calls = Calls()
        self.ids = os.open(start.acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.store = self.noted(open_store(start.url, clock=self.clock))
        layers = [
            Work("semantic", self.calls, 0.004),
            LocalWork("episodic", self.calls, 0.002),
            AwaitedWork("graph", self.calls, 0.004),
            Work("procedural", self.calls, 0.003, fails=0.1),
        ]
        self.manager = Manager(
            self.calls, ":memory:", store=self.store, layers=layers, worker_id=start.name, clock=self.clock
        )

    def clock(self) -> float:
        """A clock of Unix seconds that somebody may set wrong."""
        try:
            [wrong] = struct.unpack("d", self.start.clock.read_bytes())
        except (OSError, struct.error):
            wrong = 0.0
        return time.time() + wrong

    def noted(self, store: Store) -> Store:
        """Note the ids of the records that a store has taken."""
        append = store.append_metrics

        def append_metrics(worker_id: str, sequence: int, records: Sequence[QueryMetrics]) -> None:
            append(worker_id, sequence, records)
            os.write(self.ids, "".join(f"{record.query_id}\n" for record in records).encode())

        store.append_metrics = append_metrics  # type: ignore[method-assign]
        return store

    def run(self) -> None:
        """Recall until it is to end, then end in good order."""
        signal.signal(signal.SIGTERM, self.on_term)
        signal.signal(signal.SIGUSR1, self.on_alarm)
        signal.signal(signal.SIGUSR2, self.on_fork)
        clients = [threading.Thread(target=self.client) for _ in range(self.start.threads)]
        clients.append(threading.Thread(target=lambda: asyncio.run(self.awaiting_client())))
        reporter = threading.Thread(target=self.report_on, daemon=True)
        for thread in (*clients, reporter):
            thread.start()
        while not self.ending:
            try:
                self.ask_once()
            except Alarm:
                self.counted.raised += 1
                self.counted.recalls += 1
            if self.to_fork:
                self.to_fork -= 1
                self.count(forked(self.as_child))
            time.sleep(self.start.pause)
        for thread in clients:
            thread.join()
        self.end()

    def on_term(self, *_: object) -> None:
        """End."""
        self.ending = True

    def on_alarm(self, _: int, frame: FrameType | None) -> None:
        """Break off the recall under way, wherever it is but in the counting of calls."""
        while frame is not None:
            if frame.f_code in (Calls.__enter__.__code__, Calls.__exit__.__code__):
                return
            frame = frame.f_back
        if self.asking:
            raise Alarm

    def on_fork(self, *_: object) -> None:
        """Fork after the recall under way."""
        self.to_fork += 1

    def ask_once(self) -> None:
        """Recall in the main thread, where signals strike."""
        self.asking = True
        try:
            self.ask()
        finally:
            self.asking = False

    def client(self) -> None:
        """Recall from a thread."""
        while not self.ending:
            self.ask()
            time.sleep(self.start.pause)

    async def awaiting_client(self) -> None:
        """Recall from an event loop, and give up now and then."""
        while not self.ending:
            asked = asyncio.ensure_future(self.manager.arecall(self.question(), use_cache=False))
            if random.random() < 0.1:
                await asyncio.sleep(0.002)
                asked.cancel()
            (answer,) = await asyncio.gather(asked, return_exceptions=True)
            self.note(answer)
            await asyncio.sleep(self.start.pause)

    def ask(self) -> None:
        """Recall and note how it went."""
        try:
            answer: Any = self.manager.recall(self.question(), use_cache=random.random() < 0.3)
        except Alarm:
            raise
        except BaseException as exc:  # noqa: BLE001  (whatever it is, a recall raised it)
            answer = exc
        self.note(answer)

    def question(self) -> str:
        """Ask something that asks all layers, sometimes again."""
        return f"how did the deploy {random.randrange(300)} that depends on billing fail last time?"

    def note(self, answer: Any) -> None:
        """Count a recall; one that was given up has not failed."""
        with self.lock:
            self.counted.recalls += 1
            if isinstance(answer, asyncio.CancelledError) or (
                isinstance(answer, dict) and answer["_success"]
            ):
                return
            self.counted.failed += 1
            self.counted.why = self.counted.why or str(
                answer["_errors"] if isinstance(answer, dict) else repr(answer)
            )

    def as_child(self) -> tuple[int, int, str]:
        """Recall in a forked child; give recalls, failed ones and why."""
        self.lock = threading.Lock()
        self.counted = Report()
        for _ in range(5):
            self.ask()
        return self.counted.recalls, self.counted.failed, self.counted.why

    def count(self, child: tuple[int, int, str]) -> None:
        """Count what a child did."""
        with self.lock:
            self.counted.recalls += child[0]
            self.counted.failed += child[1]
            self.counted.why = self.counted.why or child[2]
            self.counted.forks += 1

    def report_on(self) -> None:
        """Report ten times a second."""
        while not self.ending:
            self.report()
            time.sleep(0.1)

    def report(self) -> None:
        """Write the report in one piece."""
        status = self.manager.status()
        said = self.counted
        said.time = time.monotonic()
        said.leads = self.manager._membership.lease.held is not None
        said.limit = self.manager.limit
        said.troubles = sum(self.manager.housekeeping_failures.values())
        said.exceeded = self.calls.exceeded
        said.refused, said.dropped = status.rejected_metrics, status.dropped_metrics
        written = self.start.report.with_suffix(".new")
        written.write_text(json.dumps(asdict(said)))
        written.replace(self.start.report)

    def end(self) -> None:
        """Close, and tell how that went and what became of the slots."""
        executor = self.manager._executor
        executor.stop(15.0)
        ledger = executor.ledger
        self.counted.slots_lost = ledger.given - ledger.returned
        began = time.monotonic()
        self.manager.close(CLOSE_SECONDS)
        self.counted.close_seconds = time.monotonic() - began
        self.report()
        os._exit(0)  # a store that does not answer may not keep a process that has closed its manager


if __name__ == "__main__":
    Process(Start(**json.loads(sys.argv[1]))).run()
