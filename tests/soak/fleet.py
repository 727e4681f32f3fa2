"""Processes of the soak, what is done to them, and the row of the table that comes of it."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from athena_tuning.store import Store
from athena_tuning.testing.waiting import until
from tests.soak.worker import CLOSE_SECONDS, Report, Start

ROOT = Path(__file__).parents[2]
TAKEOVER_SECONDS = 10.0


@dataclass
class Row:
    """What a fault did.

    Attributes:
        fault: what was done.
        store: to managers on which kind of store.
        recalls: that were asked for, at least: a process that is killed tells its last tenth of a second to
            nobody.
        failed: of them, that raised or had no answer at all.
        acknowledged: records that the store had taken.
        lost: of them, that it does not have at the end.
        exceeded: layer calls above the limit.
        slots_lost: given and never returned.
        takeover_seconds: longest time until another manager led; None: nobody had to.
        refused: records whose time could not be.
        dropped: records that could not be delivered in time, counted and logged.
        why: of the first recall that failed.
    """

    fault: str
    store: str
    recalls: int = 0
    failed: int = 0
    acknowledged: int = 0
    lost: int = 0
    exceeded: int = 0
    slots_lost: int = 0
    takeover_seconds: float | None = None
    refused: int = 0
    dropped: int = 0
    why: str = ""


@dataclass
class Fleet:
    """Managers in processes of their own, on one store.

    Attributes:
        url: of the store.
        folder: for what the processes write beside it.
        row: what came of it so far.
        gone: ids of records that somebody took away together with the store's content.
    """

    url: str
    folder: Path
    row: Row
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    _begun: int = 0

    def start(self, count: int = 3) -> None:
        """Start processes and wait until they recall."""
        names = []
        for _ in range(count):
            self._begun += 1
            names.append(f"w{self._begun}")
            told = json.dumps(asdict(self.told(names[-1])))
            command = [sys.executable, "-m", "tests.soak.worker", told]
            log = (self.folder / f"{names[-1]}.log").open("wb")
            self.processes[names[-1]] = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        for name in names:
            until(lambda name=name: self.report(name).recalls > 5 or self.check(name), 60.0)

    def told(self, name: str) -> Start:
        """Return what a process was told."""
        return Start(self.url, str(self.folder), name)

    def check(self, name: str) -> None:
        """Fail if a process has ended."""
        process = self.processes[name]
        assert process.poll() is None, (self.folder / f"{name}.log").read_text()[-2000:]

    def report(self, name: str) -> Report:
        """Return what a process last said."""
        try:
            return Report(**json.loads(self.told(name).report.read_text()))
        except FileNotFoundError:
            return Report()

    def leader(self) -> str | None:
        """Return who leads; two at once are a fault."""
        leading = self._leading()
        if len(leading) > 1:
            time.sleep(1.0)  # one of them may have said so just before it ended
            leading = self._leading()
            assert len(leading) < 2, f"{leading} lead at once"
        return leading[0] if leading else None

    def _leading(self) -> list[str]:
        now = time.monotonic()
        alive = [name for name, process in self.processes.items() if process.poll() is None]
        told = {name: self.report(name) for name in alive}
        return [name for name, said in told.items() if said.leads and now - said.time < 0.5]

    def someone_leads(self, other_than: str | None = None, seconds: float = 2 * TAKEOVER_SECONDS) -> str:
        """Wait until somebody (else) leads, and note how long it took."""
        took = until(lambda: self.leader() not in (None, other_than), seconds)
        if other_than is not None:
            self.row.takeover_seconds = max(self.row.takeover_seconds or 0.0, took)
        led = self.leader()
        return led if led is not None else self.someone_leads(None, seconds)

    @contextmanager
    def suspended_leader(self, can_be_written: Callable[[], bool]) -> Iterator[str]:
        """Have the leader stand still, but not in the midst of a write: then it would keep its lock."""
        while True:
            leader = self.someone_leads()
            with stopped(self.processes[leader].pid):
                if can_be_written():
                    yield leader
                    return

    def tell(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process."""
        self.processes[name].send_signal(number)

    def set_clock(self, name: str, wrong_by_seconds: float) -> None:
        """Have the clock of a process step."""
        path = self.told(name).clock
        written = path.with_suffix(".set")
        written.write_bytes(struct.pack("d", wrong_by_seconds))
        written.replace(path)

    def kill(self, name: str) -> None:
        """Kill a process with SIGKILL, and count what it had said."""
        process = self.processes[name]
        process.kill()
        process.wait()
        self._count(name)

    def end(self, name: str) -> float:
        """End a process in good order; return how long its manager took to close."""
        process = self.processes[name]
        process.terminate()
        process.wait(CLOSE_SECONDS + 60.0)
        return self._count(name).close_seconds

    def recalls(self) -> int:
        """Return the recalls of those that run."""
        return sum(self.report(name).recalls for name in self.processes)

    def go_on(self, recalls: int = 50, seconds: float = 30.0) -> None:
        """Wait until so many more recalls were asked for."""
        goal = self.recalls() + recalls
        until(lambda: self.recalls() >= goal, seconds)

    def obey(self, limit: int) -> None:
        """Wait until all that run have a limit in force."""
        until(lambda: all(self.report(name).limit == limit for name in self.processes))

    def acknowledged(self) -> set[str]:
        """Return the ids of all records that the store has taken so far."""
        files = self.folder.glob("*.ids")
        return {line for file in files for line in file.read_text().split("\n")[:-1]}

    def take_away(self, kept: Set[str] = frozenset()) -> None:
        """Expect no more what was acknowledged until now, but for what somebody kept."""
        time.sleep(0.3)  # until what was on its way is told
        self.gone |= self.acknowledged() - kept

    def end_all(self, store: Store) -> Row:
        """End all processes, look for what was acknowledged, and return the row."""
        for name in list(self.processes):
            took = self.end(name)
            assert took < CLOSE_SECONDS + 1.0, f"{name} took {took:.1f} s to close"
        told = self.acknowledged()
        self.row.acknowledged = len(told)
        self.row.lost = len(told - self.gone - stored(store))
        return self.row

    def _count(self, name: str) -> Report:
        del self.processes[name]
        said = self.report(name)
        row = self.row
        row.recalls += said.recalls
        row.failed += said.failed
        row.exceeded += said.exceeded
        row.slots_lost += said.slots_lost
        row.refused += said.refused
        row.dropped += said.dropped
        row.why = row.why or said.why
        return said


@contextmanager
def fleet(url: str, folder: Path, row: Row, count: int = 3) -> Iterator[Fleet]:
    """Run a fleet; whatever happens, none of its processes is left."""
    folder.mkdir(parents=True, exist_ok=True)
    running = Fleet(url, folder, row)
    try:
        running.start(count)
        yield running
    finally:
        for process in running.processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def stored(store: Store) -> set[str]:
    """Return the ids of all records that a store has."""
    ids: set[str] = set()
    cursor = ""
    while records := (tail := store.tail_metrics(cursor)).records:
        ids |= {record.query_id for record in records}
        cursor = tail.cursor
    return ids


def pids_of(process_id: int) -> list[int]:
    """Return a process and its children."""
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    return [process_id, *map(int, children)]


@contextmanager
def stopped(*process_ids: int) -> Iterator[None]:
    """Have processes stand still."""
    for process_id in process_ids:
        os.kill(process_id, signal.SIGSTOP)
    try:
        yield
    finally:
        for process_id in process_ids:
            os.kill(process_id, signal.SIGCONT)
