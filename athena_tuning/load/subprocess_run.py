"""A load run in a process of its own, so that heavy load leaves the caller's process alone.

The child opens the same memory and the same store as any further worker would: configs that are written reach
it, and its metrics reach everybody. Parent and child talk in JSON lines over the child's standard input and
output; when the parent is gone, the input ends and so does the run.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from athena_tuning.load.recordings import recorded_for
from athena_tuning.load.run import LoadRun
from athena_tuning.load.run_handle import LoadProgress, RunHandle, State
from athena_tuning.load.spec import LoadSpec
from athena_tuning.load.summary import LoadSummary
from athena_tuning.recall import MemoryManager
from athena_tuning.store import open_store

log = logging.getLogger(__name__)

HEAVY_PER_S = 50.0
HEAVY_CLIENTS = 4
GRACE_S = 60.0
_REPORT_S = 0.25
_KEPT_LINES = 40


def is_heavy(spec: LoadSpec) -> bool:
    """Whether a load should run apart from a process that has something else to do, a page for instance."""
    if spec.clients is not None:
        return spec.clients > HEAVY_CLIENTS
    return spec.rate_per_s > HEAVY_PER_S


class SubprocessRun(RunHandle):
    """A ``LoadRun`` in a child process: the same methods, the same meaning. Starts once.

    Args:
        memory: the memory's file.
        store_url: the store that the other managers share.
        spec: what load to make; a replay names in ``replay_of`` what ``recordings`` knows.
        run_id: unique name; None: a new one.

    ``summary`` is None until the run has ended.
    """

    def __init__(self, memory: Path, store_url: str, spec: LoadSpec, *, run_id: str | None = None) -> None:
        super().__init__(run_id)
        self.spec = spec
        self._order = {"id": self.id, "memory": str(memory), "store": store_url, "spec": spec.to_dict()}
        self._process: subprocess.Popen[str] | None = None
        self._progress = LoadProgress(self.id, State.NEW)
        self._summary: LoadSummary | None = None
        self._output: deque[str] = deque(maxlen=_KEPT_LINES)
        self._readers: list[threading.Thread] = []

    def start(self) -> SubprocessRun:
        """Begin; return the run itself.

        Raises:
            RuntimeError: if it was started before.
        """
        self._begin(self._open)
        self._send(self._order)
        return self

    def pause(self) -> None:
        """Ask nothing until ``resume``."""
        self._send("pause")

    def resume(self) -> None:
        """Go on where ``pause`` stopped."""
        self._send("resume")

    def stop(self) -> None:
        """End the run and its process; may be called again and at any time."""
        process = self._process
        if process is None:
            self._end(State.STOPPED)
            return
        self._send("stop")
        if not self.wait(GRACE_S):
            log.warning("load run %s did not stop within %.0f s: its process is ended", self.id, GRACE_S)
            process.kill()
            self.wait()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the process has ended; False if ``timeout`` seconds passed first."""
        process = self._process
        if process is None:
            return True
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        for reader in self._readers:
            reader.join()
        with self._changed:
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
            if self._end(State.FAILED, self._output[-1].strip() if self._output else ""):
                log.error("load run %s failed: %s", self.id, "".join(self._output).strip())
        return True

    @property
    def state(self) -> State:
        """Where the run is."""
        return self.progress().state

    def progress(self) -> LoadProgress:
        """Return how far the run is, at most a quarter of a second ago."""
        if self._process is not None and self._process.poll() is not None:
            self.wait()
        return replace(self._progress, state=self._state)

    def summary(self) -> LoadSummary | None:
        """Return what came out, once the run has ended; None before, or if it failed."""
        return self._summary

    def _open(self) -> None:
        pipe = subprocess.PIPE
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )
        for read, source in ((self._listen, process.stdout), (self._output.extend, process.stderr)):
            reader = threading.Thread(target=read, args=(source,), name="load output", daemon=True)
            self._readers.append(reader)
            reader.start()

    def _send(self, message: Mapping[str, Any] | str) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        try:
            with self._changed:
                process.stdin.write(json.dumps(message) + "\n")
                process.stdin.flush()
        except (BrokenPipeError, ValueError):  # it has ended by itself
            log.debug("load run %s has ended already", self.id)

    def _listen(self, lines: IO[str]) -> None:
        for line in lines:
            kind, values = json.loads(line)
            with self._changed:
                if kind == "progress":
                    self._progress = LoadProgress(**{**values, "state": State(values["state"])})
                    self._state = self._progress.state
                else:
                    self._summary = LoadSummary.from_dict(values)


def _child(orders: IO[str], answers: IO[str]) -> None:
    """Do what the first line orders, obey the lines after it, and report."""
    order = json.loads(orders.readline())
    spec = LoadSpec.from_dict(order["spec"])
    with (
        open_store(order["store"]) as store,
        MemoryManager(order["memory"], store=store, worker_id=f"load-{order['id']}") as manager,
    ):
        run = LoadRun(manager, spec, recorded=recorded_for(spec, store), run_id=order["id"]).start()
        threading.Thread(target=_obey, args=(run, orders), name="load input", daemon=True).start()
        ended = False
        while not ended:
            ended = run.wait(_REPORT_S)
            _report(answers, "progress", asdict(run.progress()))
        _report(answers, "summary", run.summary().to_dict())


def _obey(run: LoadRun, orders: IO[str]) -> None:
    for line in orders:
        {"pause": run.pause, "resume": run.resume, "stop": run.stop}[json.loads(line)]()
    run.stop()


def _report(answers: IO[str], kind: str, values: Mapping[str, Any]) -> None:
    answers.write(json.dumps([kind, values]) + "\n")
    answers.flush()


if __name__ == "__main__":
    _child(sys.stdin, sys.stdout)
