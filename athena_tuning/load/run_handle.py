"""What all runs have in common: a name, one way through the states, and how far they are."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from athena_tuning.load.spec import LoadSpec
from athena_tuning.load.summary import LoadSummary


class State(StrEnum):
    """Where a run is."""

    NEW = "new"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"


UNDER_WAY = (State.RUNNING, State.PAUSED)
"""States from which a run goes on."""


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """A load run at one moment. Pauses do not count into ``elapsed_s``; ``share`` is None without an end."""

    id: str
    state: State
    elapsed_s: float = 0.0
    share: float | None = None
    offered: int = 0
    finished: int = 0
    in_flight: int = 0
    errors: int = 0
    achieved_per_s: float = 0.0
    p50_ms: float = float("nan")
    p99_ms: float = float("nan")


class RunHandle:
    """A run that starts once and ends once. All methods may be called from any thread.

    new → running ⇄ paused → stopped, finished or failed; a new run may be stopped as well.

    Args:
        run_id: unique name; None: a new one.

    Attributes:
        id: its name.
    """

    def __init__(self, run_id: str | None = None) -> None:
        self.id = run_id or uuid.uuid4().hex[:12]
        self._changed = threading.Condition()
        self._state = State.NEW
        self._failure = ""

    @property
    def state(self) -> State:
        """Where the run is."""
        return self._state

    @property
    def failure(self) -> str:
        """Why it failed, in words; "" if it did not."""
        return self._failure

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run has ended; False if ``timeout`` seconds passed first."""
        with self._changed:
            return self._changed.wait_for(lambda: self._state not in UNDER_WAY, timeout)

    def _begin(self, first: Callable[[], None]) -> Self:
        """Do what comes first and be running.

        Raises:
            RuntimeError: if the run was started before.
        """
        with self._changed:
            if self._state is not State.NEW:
                raise RuntimeError(f"run {self.id} is {self._state}: a run starts once")
            self._state = State.RUNNING
            try:
                first()
            except BaseException:
                self._state = State.NEW
                raise
        return self

    def _end(self, state: State, failure: str = "") -> bool:
        """Be stopped, finished or failed; False if the run had ended before."""
        with self._changed:
            if self._state is not State.NEW and self._state not in UNDER_WAY:
                return False
            self._state, self._failure = state, failure
            self._changed.notify_all()
            return True


class Run(Protocol):
    """A load run, wherever it is: here, in a process of its own, or on a manager elsewhere."""

    @property
    def id(self) -> str:
        """Unique name."""

    @property
    def spec(self) -> LoadSpec:
        """What load it makes."""

    @property
    def state(self) -> State:
        """Where it is."""

    @property
    def failure(self) -> str:
        """Why it failed; "" if it did not."""

    def start(self) -> Run:
        """Begin; return the run itself."""

    def pause(self) -> None:
        """Send no recall until ``resume``."""

    def resume(self) -> None:
        """Go on where ``pause`` stopped."""

    def stop(self) -> None:
        """End it and wait until it has."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing of it is left; False if ``timeout`` seconds passed first."""

    def progress(self) -> LoadProgress:
        """Return how far it is."""

    def summary(self) -> LoadSummary | None:
        """Return what came out; elsewhere None until it has ended, or if it failed."""
