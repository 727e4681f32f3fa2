"""A load run on a manager in another process, ordered and steered through the store that both share.

Whoever wants load posts an order; the manager that it names, or the first that is free, takes it, really
asks itself, and posts how far it is and what came out. So load reaches managers that no process here could
make anew: on other machines, with layers of their own. The store is all they need to share.

An order has an end. Steering is eventual: it takes a poll (``LOOK_S``) until an order is obeyed.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from athena_tuning.load.recordings import recorded_for
from athena_tuning.load.run import LoadRun
from athena_tuning.load.run_handle import UNDER_WAY, LoadProgress, RunHandle, State
from athena_tuning.load.spec import LoadSpec
from athena_tuning.load.summary import LoadSummary
from athena_tuning.recall import MemoryManager
from athena_tuning.store import Store, StoreError

log = logging.getLogger(__name__)

ORDERS = "load orders"
"""Topic of the messages that say which runs are ordered, and of whom; each run has a topic of its own."""

LOOK_S = 0.5
TAKEN_WITHIN_S = 10.0
"""An order that nobody has taken by then has failed."""

SILENT_S = 15.0
"""A manager that reports nothing for so long is taken for gone."""

_ORDER, _REPORT = "order", "report"
_WANTED = {"run": LoadRun.resume, "pause": LoadRun.pause, "stop": LoadRun.stop}


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted: ``state`` is "run", "pause" or "stop"; an empty ``worker`` is whoever is free."""

    spec: Mapping[str, Any]
    worker: str = ""
    state: str = "run"


@dataclass(frozen=True, slots=True)
class Report:
    """How far an ordered run is; ``summary`` once it has ended, ``failure`` if it could not run."""

    worker: str
    progress: Mapping[str, Any]
    summary: Mapping[str, Any] | None = None
    failure: str = ""


class RemoteRun(RunHandle):
    """A ``LoadRun`` on a manager elsewhere: the same methods, the same meaning. Starts once.

    Args:
        store: shared with the managers.
        spec: what load to make; it must have an end.
        worker: the manager that is to ask itself; "": the first that is free.
        run_id: unique name; None: a new one.
        clock: seconds that never jump.
        sleep: waits so many seconds.

    Raises:
        ValueError: if the load has no end.
    """

    def __init__(
        self,
        store: Store,
        spec: LoadSpec,
        *,
        worker: str = "",
        run_id: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if spec.duration_s is None:
            raise ValueError("a load on a manager elsewhere needs an end: give it a duration")
        super().__init__(run_id)
        self.spec = spec
        self._store = store
        self._order = Order(spec.to_dict(), worker)
        self._clock, self._sleep = clock, sleep
        self._heard_at = -math.inf
        self._last_report = ""
        self._progress = LoadProgress(self.id, State.NEW)
        self._summary: LoadSummary | None = None
        self._worker = worker

    @property
    def worker(self) -> str:
        """The manager that runs it, as far as that is known."""
        return self._worker

    def start(self) -> RemoteRun:
        """Order it; return the run itself.

        Raises:
            RuntimeError: if it was started before.
            StoreError: if the order could not be stored.
        """
        return self._begin(self._place)

    def pause(self) -> None:
        """Have nothing asked until ``resume``."""
        self._order_state("pause")

    def resume(self) -> None:
        """Have it go on where ``pause`` stopped it."""
        self._order_state("run")

    def stop(self) -> None:
        """Have it ended and wait until it has; may be called again and at any time."""
        with self._changed:
            if self._state is State.NEW:
                self._end(State.STOPPED)
        self._order_state("stop")
        self.wait()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended; False if ``timeout`` seconds passed first."""
        until = math.inf if timeout is None else self._clock() + timeout
        while self.progress().state in UNDER_WAY:
            left = until - self._clock()
            if left <= 0:
                return False
            self._sleep(min(LOOK_S, left))
        return True

    @property
    def state(self) -> State:
        """Where the run is."""
        return self.progress().state

    def progress(self) -> LoadProgress:
        """Return how far it is, as its manager last told."""
        with self._changed:
            if self._state in UNDER_WAY:
                self._listen()
            return replace(self._progress, state=self._state)

    def summary(self) -> LoadSummary | None:
        """Return what came out, once it has ended; None before, or if it failed."""
        return self._summary

    def _place(self) -> None:
        self._post(self._order)
        self._store.post(ORDERS, self.id, self._order.worker)
        self._heard_at = self._clock()

    def _order_state(self, state: str) -> None:
        with self._changed:
            if self._state in UNDER_WAY:
                self._order = replace(self._order, state=state)
                self._post(self._order)

    def _post(self, order: Order) -> None:
        self._store.post(_topic(self.id), _ORDER, json.dumps(asdict(order)))

    def _listen(self) -> None:
        try:
            report = self._store.posted(_topic(self.id)).get(_REPORT, "")
        except StoreError as exc:
            log.warning("load run %s cannot be followed now: %s", self.id, exc)
            report = self._last_report
        now = self._clock()
        if report != self._last_report:
            self._heard_at, self._last_report = now, report
            self._apply(Report(**json.loads(report)))
        elif now - self._heard_at > (SILENT_S if report else TAKEN_WITHIN_S):
            who = f"the manager {self._worker}" if self._worker else "any manager that takes orders"
            self._fail(f"{who} was silent for {now - self._heard_at:.0f} s")

    def _apply(self, report: Report) -> None:
        self._worker = report.worker
        self._progress = _progress_of(report.progress)
        self._state = self._progress.state
        if report.summary is not None:
            self._summary = LoadSummary.from_dict(report.summary)
        if report.failure:
            self._fail(report.failure)

    def _fail(self, why: str) -> None:
        self._state, self._failure = State.FAILED, why
        log.warning("load run %s failed: %s", self.id, why)
        try:
            self._post(replace(self._order, state="stop"))
        except StoreError:
            log.debug("load run %s cannot be called off", self.id, exc_info=True)


def steer(store: Store, run_id: str, state: str) -> None:
    """Have an ordered run paused, going on or stopped, whoever ordered it.

    Args:
        store: shared with its manager.
        run_id: the run.
        state: "pause", "run" or "stop".

    Raises:
        KeyError: if there is no such order.
    """
    order = _read(store, run_id)
    if order is None:
        raise KeyError(run_id)
    if order.state != "stop":
        store.post(_topic(run_id), _ORDER, json.dumps(asdict(replace(order, state=state))))


class OrderTaker:
    """Has a manager take load orders from its store, one at a time.

    Args:
        manager: asks itself; its store is where orders are.

    A store that fails is tried again; a run under way goes on meanwhile, to its end.
    """

    def __init__(self, manager: MemoryManager) -> None:
        self._manager = manager
        self._store = manager.store
        self._run: LoadRun | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False

    def start(self) -> OrderTaker:
        """Begin to look for orders, in a thread of its own; return the taker itself."""
        self._thread = threading.Thread(target=self._serve, name="load orders", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop what is under way, report it, and look no more. May be called twice."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._run is not None:
            self._run.stop()
            self.look()

    def look(self) -> None:
        """Obey what is ordered now: steer and report the run under way, or take a new order."""
        try:
            if self._run is not None:
                self._obey(self._run)
            elif not self._stop.is_set():
                self._take_next()
        except StoreError as exc:
            if not self._failing:
                log.warning("load orders cannot be read and are looked for again: %s", exc)
            self._failing = True
        else:
            self._failing = False

    def _serve(self) -> None:
        while not self._stop.wait(LOOK_S):
            self.look()

    def _obey(self, run: LoadRun) -> None:
        order = _read(self._store, run.id)
        if order is not None and run.state in UNDER_WAY:
            _WANTED[order.state](run)
        if self._report(run) not in UNDER_WAY:
            self._run = None

    def _report(self, run: LoadRun) -> State:
        """Report a run; return the state that was reported.

        A run may end at any time, so its state is read once: what says that it has ended has its summary.
        """
        progress, summary = run.progress(), None
        if progress.state not in UNDER_WAY:
            run.wait()
            progress, summary = run.progress(), run.summary().to_dict()
        self._post(run.id, Report(self._manager.worker_id, asdict(progress), summary))
        return progress.state

    def _take_next(self) -> None:
        for run_id, worker in self._store.posted(ORDERS, within=TAKEN_WITHIN_S).items():
            if worker not in ("", self._manager.worker_id) or not self._is_first(run_id):
                continue
            order = _read(self._store, run_id)
            if order is not None and order.state == "run":
                self._begin(run_id, order)
                return

    def _is_first(self, run_id: str) -> bool:
        """Whether no other manager takes this order, or has taken it."""
        if _REPORT in self._store.posted(_topic(run_id)):
            return False
        name, worker = f"load {run_id}", self._manager.worker_id
        return self._store.acquire_lease(name, worker, 10 * TAKEN_WITHIN_S) is not None

    def _begin(self, run_id: str, order: Order) -> None:
        try:
            spec = LoadSpec.from_dict(order.spec)
            if spec.duration_s is None:
                raise ValueError("it has no end")  # noqa: TRY301 (all that is wrong is reported below)
            replayed = recorded_for(spec, self._store, files=False)
            self._run = LoadRun(self._manager, spec, recorded=replayed, run_id=run_id).start()
        except (ValueError, TypeError) as exc:
            log.warning("load order %s cannot be obeyed: %s", run_id, exc)
            nothing = LoadProgress(run_id, State.FAILED)
            self._post(run_id, Report(self._manager.worker_id, asdict(nothing), failure=str(exc)))
        else:
            self._report(self._run)

    def _post(self, run_id: str, report: Report) -> None:
        self._store.post(_topic(run_id), _REPORT, json.dumps(asdict(report)))


def _read(store: Store, run_id: str) -> Order | None:
    """Return an order; None if there is none, or something else in its place."""
    try:
        order = Order(**json.loads(store.posted(_topic(run_id))[_ORDER]))
    except (ValueError, TypeError, KeyError) as exc:
        log.warning("load order %s cannot be read: %r", run_id, exc)
        return None
    return order if order.state in _WANTED else None


def _topic(run_id: str) -> str:
    return f"load run {run_id}"


def _progress_of(values: Mapping[str, Any]) -> LoadProgress:
    return LoadProgress(**{**values, "state": State(values["state"])})
