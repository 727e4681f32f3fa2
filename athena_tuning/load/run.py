"""A load run: asks a manager as a spec says, counts from the moment each recall was due.

Open loop: threads take the next arrival one after the other, wait until it is due and ask. When all of them
are busy, arrivals are asked late, and the lateness is part of their latency: a slow manager cannot hide by
slowing its caller down (no coordinated omission). Threads start as they are needed, and all of them have
ended when ``stop`` or ``wait`` returns.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from athena_tuning.load.blocks import RecallOutcome, Tally
from athena_tuning.load.mix import Questions
from athena_tuning.load.run_handle import UNDER_WAY, LoadProgress, RunHandle, State
from athena_tuning.load.spec import LoadSpec
from athena_tuning.load.summary import LoadSummary, summarize
from athena_tuning.model import QueryMetrics
from athena_tuning.model.source import of_load as source_of_load
from athena_tuning.model.source import recorded_as
from athena_tuning.samples.queries import sample_queries

log = logging.getLogger(__name__)

MAX_OUTSTANDING = 128
"""Recalls of an open loop that can be under way at once; beyond it they are asked late."""


class Recaller(Protocol):
    """What a run needs of a manager."""

    def recall(self, query: str, *, k: int) -> Mapping[str, Any]:
        """Answer a question; underscore keys tell what happened, as ``MemoryManager.recall`` does."""
        ...


@dataclass(frozen=True, slots=True)
class _Due:
    at: float
    query_type: str
    text: str


class LoadRun(RunHandle):
    """One run of a spec against a manager. All methods may be called from any thread.

    Args:
        manager: anything with ``recall``.
        spec: what load to make.
        questions: texts by query type; None: those of the sample memory.
        recorded: what the pattern "replay" replays, questions included.
        run_id: unique name; None: a new one.
        source: what its recalls are recorded as; None: load, with the run's name.
        max_outstanding: most recalls under way at once in an open loop.
        clock: seconds that never jump.
        wall: Unix seconds.
        wait: waits on the condition until notified, at most so many seconds (None: without end).

    Attributes:
        spec: what load it makes.

    Raises:
        ValueError: if there are no questions for a type of the mix, nothing to replay, or the manager's cache
            is to be emptied and it has no ``clear_cache``.

    Examples:
        >>> class Echo:
        ...     def recall(self, query, *, k):
        ...         return {"_success": True}
        >>> run = LoadRun(Echo(), LoadSpec(rate_per_s=500, duration_s=0.1, seed=1)).start()
        >>> run.wait(), run.summary().finished == run.summary().offered > 20
        (True, True)
    """

    def __init__(
        self,
        manager: Recaller,
        spec: LoadSpec,
        *,
        questions: Mapping[str, Sequence[str]] | None = None,
        recorded: Sequence[QueryMetrics] = (),
        run_id: str | None = None,
        source: str | None = None,
        max_outstanding: int = MAX_OUTSTANDING,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        wait: Callable[[threading.Condition, float | None], object] = threading.Condition.wait,
    ) -> None:
        super().__init__(run_id)
        if spec.cold and not hasattr(manager, "clear_cache"):
            raise ValueError(f"a cold run needs a manager with clear_cache(), not a {type(manager).__name__}")
        self.spec = spec
        self._manager = manager
        self._source = source or source_of_load(self.id, serving=True)
        self._most = spec.clients or max_outstanding
        self._clock, self._wall, self._wait = clock, wall, wait
        self._plan = _plan(spec, questions, recorded)
        self._length = _length(spec, recorded)
        self._origin = self._paused_at = self._ended = 0.0
        self._began: float | None = None
        self._offered = self._in_flight = self._idle = 0
        self._threads: set[threading.Thread] = set()
        self._tally = Tally()

    # Steering

    def start(self) -> LoadRun:
        """Begin; return the run itself.

        Raises:
            RuntimeError: if it was started before.
        """
        return self._begin(self._open)

    def pause(self) -> None:
        """Ask nothing until ``resume``; what is under way goes on. Without effect unless running."""
        with self._changed:
            if self._state is State.RUNNING:
                self._state = State.PAUSED
                self._paused_at = self._clock()

    def resume(self) -> None:
        """Go on where ``pause`` stopped: everything still due moves by the length of the pause."""
        with self._changed:
            if self._state is State.PAUSED:
                self._state = State.RUNNING
                self._origin += self._clock() - self._paused_at
                self._changed.notify_all()

    def stop(self) -> None:
        """End the run and wait until the recalls under way have; may be called again and at any time."""
        self._end(State.STOPPED)
        self.wait()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing of the run is left; False if ``timeout`` seconds passed first."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._threads, timeout)

    # Looking

    def progress(self) -> LoadProgress:
        """Return how far the run is."""
        whole = self._tally.total()
        with self._changed:
            elapsed = self._elapsed()
            p50, p99 = whole.latency.quantiles((0.5, 0.99))
            return LoadProgress(
                self.id,
                self._state,
                elapsed,
                min(1.0, elapsed / self._length) if self._length else None,
                self._offered,
                whole.counts["finished"],
                self._in_flight,
                whole.counts["errors"],
                whole.counts["finished"] / elapsed if elapsed > 0 else 0.0,
                float(p50),
                float(p99),
            )

    def summary(self) -> LoadSummary:
        """Return what came out so far; final once the run has ended."""
        with self._changed:
            state, elapsed, offered, began = self._state, self._elapsed(), self._offered, self._began
        return summarize(self.id, self.spec, str(state), began, elapsed, offered, self._tally)

    # Running

    def _open(self) -> None:
        if self.spec.cold:
            self._manager.clear_cache()  # type: ignore[attr-defined]
        self._began = self._wall()
        self._origin = self._clock()
        for _ in range(self.spec.clients or 1):
            self._add_thread()

    def _end(self, state: State, failure: str = "") -> bool:
        with self._changed:
            elapsed = self._elapsed()
            ended = super()._end(state, failure)
            if ended:
                self._ended = elapsed
            return ended

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"load-{self.id}", daemon=True)
        self._threads.add(thread)
        self._idle += 1
        thread.start()

    def _work(self) -> None:
        ask_next = self._next_of_client if self.spec.closed else self._next_arrival
        try:
            while due := ask_next():
                self._ask(due)
        except Exception as exc:
            log.exception("load run %s failed", self.id)
            self._end(State.FAILED, f"{type(exc).__name__}: {exc}")
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._changed:
            self._idle -= 1
            self._threads.discard(threading.current_thread())
            if not self._threads:
                self._end(State.FINISHED)
                self._changed.notify_all()

    def _next_arrival(self) -> _Due | None:
        """Wait for the next arrival; None when there is none or the run was stopped."""
        with self._changed:
            if self._state not in UNDER_WAY or (due := next(self._plan, None)) is None:
                return None
            if not self._wait_until(due.at):
                return None
            if self._idle == 1 and len(self._threads) < self._most:
                self._add_thread()
            return self._offer(due)

    def _next_of_client(self) -> _Due | None:
        """Return the client's next question; None when the time is over or the run was stopped."""
        with self._changed:
            if not self._wait_until(self._elapsed() + (self.spec.think_s if self._offered else 0.0)):
                return None
            if self.spec.duration_s is not None and self._elapsed() >= self.spec.duration_s:
                return None
            due = next(self._plan)
            return self._offer(_Due(self._elapsed(), due.query_type, due.text))

    def _offer(self, due: _Due) -> _Due:
        self._offered += 1
        self._in_flight += 1
        self._idle -= 1
        return due

    def _wait_until(self, at: float) -> bool:
        """Wait until ``at`` seconds of the run have passed; False if it was stopped."""
        while self._state in UNDER_WAY:
            if self._state is State.PAUSED:
                self._wait(self._changed, None)
                continue
            left = self._origin + at - self._clock()
            if left <= 0:
                return True
            self._wait(self._changed, left)
        return False

    def _ask(self, due: _Due) -> None:
        called = self._clock()
        due_at = min(called, self._origin + due.at)
        error, answer = "", {}
        try:
            with recorded_as(self._source):
                answer = dict(self._manager.recall(due.text, k=self.spec.k))
        except Exception as failure:  # whatever the manager raises is a result of the run
            log.debug("run %s: recall failed", self.id, exc_info=True)
            error = type(failure).__name__
        ended = self._clock()
        if not error and answer.get("_success") is False:
            error = "refused" if answer.get("_refused") else "no layer answered"
        self._tally.record(
            RecallOutcome(
                due.query_type,
                max(0.0, due.at),
                (ended - due_at) * 1000,
                (ended - called) * 1000,
                error,
                bool(answer.get("_partial")),
                answer.get("_cache_hit"),
                int(answer.get("_config_version") or 0),
            )
        )
        with self._changed:
            self._in_flight -= 1
            self._idle += 1

    def _elapsed(self) -> float:
        if self._state is State.NEW or self._began is None:
            return 0.0
        if self._state not in UNDER_WAY:
            return self._ended
        now = self._paused_at if self._state is State.PAUSED else self._clock()
        return now - self._origin


def _plan(
    spec: LoadSpec, questions: Mapping[str, Sequence[str]] | None, recorded: Sequence[QueryMetrics]
) -> Iterator[_Due]:
    replayed = spec.pattern == "replay" and not spec.closed
    if replayed and not recorded:
        raise ValueError("a replay needs recorded queries")
    if replayed and all(m.query_text for m in recorded):
        return _replay(spec, recorded, {})
    texts = questions or {
        name: [query.text for query in queries] for name, queries in sample_queries().items()
    }
    if replayed:
        return _replay(spec, recorded, texts)
    drawn = iter(Questions(texts, spec.mix, repetition=spec.repetition, seed=spec.seed))
    arrivals = itertools.repeat(0.0) if spec.closed else spec.arrivals()
    return (_Due(at, *next(drawn)) for at in arrivals)


def _replay(
    spec: LoadSpec, recorded: Sequence[QueryMetrics], texts: Mapping[str, Sequence[str]]
) -> Iterator[_Due]:
    """Ask what was asked when it was asked; where the recording lacks the text, one of its type or of any."""
    ordered = sorted(recorded, key=lambda m: m.timestamp)
    arrivals = spec.arrivals([m.timestamp for m in ordered])
    ask = partial(Questions, texts, repetition=spec.repetition, seed=spec.seed)
    any_type = iter(ask(dict.fromkeys(texts, 1.0))) if texts else iter(())
    of_type = {name: iter(ask({name: 1.0})) for name in texts}
    return (
        _Due(at, m.query_type, m.query_text or next(of_type.get(m.query_type, any_type))[1])
        for at, m in zip(arrivals, ordered, strict=False)
    )


def _length(spec: LoadSpec, recorded: Sequence[QueryMetrics]) -> float | None:
    if spec.pattern != "replay" or spec.closed:
        return spec.duration_s
    times = [m.timestamp for m in recorded]
    return min((max(times) - min(times)) / spec.speed, spec.duration_s or float("inf"))
