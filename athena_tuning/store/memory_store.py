"""The store of a manager that shares with nobody: everything in this process, gone with it."""

from __future__ import annotations

import math
import threading
import time as time_module
import uuid
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import islice, takewhile

from athena_tuning import fork
from athena_tuning.frames import Records
from athena_tuning.model import (
    Annotation,
    ConfigSet,
    ConfigVersion,
    Decision,
    Feedback,
    QueryMetrics,
    SourceBatch,
    WorkerStatus,
)
from athena_tuning.store.base import WITH_EVIDENCE, MetricsTail, Store
from athena_tuning.store.batches import known_batch, newest_first, without_source
from athena_tuning.store.configs import ConfigChange, check_together, versions_after
from athena_tuning.store.encoding import Encoded
from athena_tuning.store.errors import StoreError
from athena_tuning.store.health import StoreEvent, StoreHealth
from athena_tuning.store.leases import NOBODY, UNTAKEN, Lease, LeaseState, LeaseWatch, check_held
from athena_tuning.store.paging import Extent, page
from athena_tuning.store.records import StoredRecords, encoded, of_sources
from athena_tuning.store.retention import DEFAULT, LASTING, Level, Retention, spans_of
from athena_tuning.store.rollup import Rollups, chosen_keys
from athena_tuning.store.rollup_shelf import RollupShelf
from athena_tuning.store.segment import Segment
from athena_tuning.store.text_policy import TextPolicy

_MAINTAIN_SECONDS = 3600.0


class MemoryStore(Store):
    """A store in this process. Raw records are bounded by ``max_records``; the oldest go first.

    Args:
        text: what to keep of query texts.
        retention: how long what is kept.
        max_records: raw records kept, about 60 bytes each.
        clock: Unix seconds; stamps what comes without a time.
        monotonic: seconds that never jump, for leases.
    """

    def __init__(
        self,
        *,
        text: TextPolicy | str = TextPolicy.KEEP,
        retention: Retention = DEFAULT,
        max_records: int = 1_000_000,
        clock: Callable[[], float] = time_module.time,
        monotonic: Callable[[], float] = time_module.monotonic,
    ) -> None:
        self.texts = TextPolicy(text)
        self._retention = retention
        self._max_records = max_records
        self._clock = clock
        self._lock = threading.RLock()
        self._at_forks = fork.HeldLock(self._lock)
        self._closed = False
        self._id = uuid.uuid4().hex
        self._batches: deque[tuple[int, str, Encoded]] = deque()
        self._kept = self._newest = 0
        self._sequences: dict[str, int] = {}
        self._shelf = RollupShelf()
        self._foreign: dict[str, SourceBatch] = {}
        self._maintained = clock()
        self._versions: list[ConfigVersion] = []
        self._in_force = ConfigSet()
        self._by_key: dict[str, ConfigVersion] = {}
        self._decisions: dict[str, Decision] = {}
        self._evidence: dict[str, tuple[float, bytes]] = {}
        self._workers: dict[str, WorkerStatus] = {}
        self._annotations: list[Annotation] = []
        self._events: dict[str, StoreEvent] = {}
        self._feedback: dict[str, Feedback] = {}
        self._messages: dict[tuple[str, str], tuple[float, str]] = {}
        self._leases: dict[str, LeaseState] = {}
        self._lease_watch = LeaseWatch(monotonic)

    def append_metrics(self, worker_id: str, sequence: int, records: Sequence[QueryMetrics]) -> None:
        """See ``Store``."""
        batch = encoded(records, self.texts)
        with self._open():
            if sequence <= self._sequences.get(worker_id, -1):
                return
            self._sequences[worker_id] = sequence
            if not batch.records:
                return
            self._newest += 1
            self._batches.append((self._newest, worker_id, batch))
            self._shelf.add(worker_id, batch)
            for part in batch.batches:
                known = self._foreign.get(part.source)
                self._foreign[part.source] = known.and_then(part) if known else part
            self._kept += batch.records
            while self._kept > self._max_records and len(self._batches) > 1:
                self._kept -= self._batches.popleft()[2].records
            if self._clock() - self._maintained >= _MAINTAIN_SECONDS:
                self._maintained = self._clock()
                self.maintain()

    def next_sequence(self, worker_id: str) -> int:
        """See ``Store``."""
        with self._open():
            return self._sequences.get(worker_id, -1) + 1

    def tail_metrics(
        self,
        cursor: str = "",
        *,
        since: float = 0.0,
        limit: int = 100_000,
        newest: int | None = None,
        without: str | None = None,
        sources: Collection[str] | None = None,
    ) -> MetricsTail:
        """See ``Store``."""
        seen = int(cursor or 0)
        with self._open():
            new = list(takewhile(lambda entry: entry[0] > seen, reversed(self._batches)))[::-1]
        others = [(number, batch) for number, worker, batch in new if worker != without]
        wanted, done = page([Extent(b.records, b.newest) for _, b in others], since, limit, newest)
        found = [others[place][1] for place in wanted]
        if done == len(others):
            seen = new[-1][0] if new else seen
        elif done:
            seen = others[done - 1][0]
        texts = {key: text for batch in found for key, text in batch.texts.items()}
        segments = [Segment(batch.data).since(since) for batch in found]
        return MetricsTail(StoredRecords(of_sources(segments, sources), texts), str(seen))

    def rollups(
        self,
        start: float,
        end: float,
        *,
        level: Level | None = None,
        layer: str | None = None,
        query_type: str | None = None,
        config_version: int | None = None,
        worker_id: str | None = None,
        sources: Collection[str] | None = None,
    ) -> Rollups:
        """See ``Store``."""
        spans = spans_of(start, end, level, self._clock(), self._retention)
        chosen = chosen_keys(layer, query_type, config_version, worker_id)
        with self._open():
            self._shelf.roll_up()
            return self._shelf.read(spans, chosen).of_sources(sources)

    def batches(self) -> list[SourceBatch]:
        """See ``Store``."""
        with self._open():
            return newest_first(self._foreign.values())

    def _take_out(self, source: str) -> SourceBatch:
        with self._open():
            gone = known_batch(self._foreign.pop(source, None), source)
            self._shelf.take_out(source)
            left = deque(
                (number, worker, rest)
                for number, worker, batch in self._batches
                if (rest := without_source(batch, source)) is not None
            )
            workers = {worker for _, worker, _ in left}
            for _, worker, batch in self._batches:  # so that it may come again under its old name
                if worker not in workers and any(part.source == source for part in batch.batches):
                    self._sequences.pop(worker, None)
            self._batches, self._kept = left, sum(batch.records for _, _, batch in left)
            return gone

    def maintain(self) -> None:
        """See ``Store``."""
        now = self._clock()
        keep = self._retention
        with self._open():
            self._shelf.roll_up()
            self._shelf.forget(keep, now)
            for part in [b for b in self._foreign.values() if b.newest < now - keep.days]:
                del self._foreign[part.source]
            while self._batches and self._batches[0][2].newest < now - keep.raw:
                self._kept -= self._batches.popleft()[2].records
            for decision in [d for d in self._decisions.values() if d.time < now - keep.decisions]:
                del self._decisions[decision.decision_id]
            for key in [key for key, event in self._events.items() if event.time < now - keep.decisions]:
                del self._events[key]
            for given in [f for f in self._feedback.values() if f.time < now - keep.raw]:
                del self._feedback[given.query_id]
            old = [place for place, (time, _) in self._messages.items() if time < now - keep.workers]
            for topic, key in old:
                if topic not in LASTING:
                    del self._messages[topic, key]
            for status in [w for w in self._workers.values() if w.last_seen < now - keep.workers]:
                del self._workers[status.worker_id]

    def apply_configs(
        self, changes: Sequence[ConfigChange], *, under: Lease | None = None
    ) -> list[ConfigVersion]:
        """See ``Store``."""
        check_together(changes)
        with self._open():
            if under is not None:
                check_held(under, self._leases.get(under.name, UNTAKEN))
            head, in_force = self._in_force.head, self._in_force
            current = {c.scope: at for c in changes if (at := in_force.in_scope(c.scope)) and at.version}
            past = dict(enumerate(self._versions, 1))
            versions = versions_after(changes, head, current, self._by_key, past, self._clock())
            for change, version in zip(changes, versions, strict=True):
                if version.version > head:
                    self._versions.append(version)
                    in_force = in_force.with_version(version)
                if change.idempotency_key is not None:
                    self._by_key[change.idempotency_key] = version
            self._in_force = in_force
            return versions

    def config_set(self) -> ConfigSet:
        """See ``Store``."""
        with self._open():
            return self._in_force

    def config_history(self, *, limit: int = 200, scope: str | None = None) -> Records[ConfigVersion]:
        """See ``Store``."""
        with self._open():
            newest_first = (v for v in reversed(self._versions) if scope in (None, v.scope))
            return Records(ConfigVersion, islice(newest_first, limit))

    def append_decision(self, decision: Decision, evidence: bytes | None = None) -> None:
        """See ``Store``."""
        with self._open():
            self._decisions[decision.decision_id] = decision
            if evidence is not None:
                self._evidence[decision.decision_id] = decision.time, evidence
                while len(self._evidence) > WITH_EVIDENCE:
                    del self._evidence[min(self._evidence, key=lambda name: (self._evidence[name][0], name))]

    def decision_evidence(self, decision_id: str) -> bytes | None:
        """See ``Store``."""
        with self._open():
            kept = self._evidence.get(decision_id)
            return None if kept is None else kept[1]

    def decisions(self, *, limit: int = 200) -> Records[Decision]:
        """See ``Store``."""
        with self._open():
            decisions = list(self._decisions.values())
        newest_first = sorted(decisions, key=lambda d: (d.time, d.decision_id), reverse=True)
        return Records(Decision, newest_first[:limit])

    def report_worker(self, status: WorkerStatus) -> None:
        """See ``Store``."""
        with self._open():
            self._workers[status.worker_id] = status

    def workers(self) -> Records[WorkerStatus]:
        """See ``Store``."""
        with self._open():
            workers = list(self._workers.values())
        last_seen_first = sorted(workers, key=lambda status: (-status.last_seen, status.worker_id))
        return Records(WorkerStatus, last_seen_first)

    def annotate(self, annotation: Annotation) -> None:
        """See ``Store``."""
        with self._open():
            self._annotations.append(annotation)

    def annotations(self, *, since: float = 0.0) -> list[Annotation]:
        """See ``Store``."""
        with self._open():
            notes = [note for note in self._annotations if note.time >= since]
        return sorted(notes, key=lambda note: note.time)

    def append_feedback(self, given: Sequence[Feedback]) -> None:
        """See ``Store``."""
        with self._open():
            self._feedback.update((feedback.query_id, feedback) for feedback in given)

    def feedback(self, *, since: float = 0.0) -> list[Feedback]:
        """See ``Store``."""
        with self._open():
            scores = [feedback for feedback in self._feedback.values() if feedback.time >= since]
        return sorted(scores, key=lambda feedback: (feedback.time, feedback.query_id))

    def post(self, topic: str, key: str, text: str) -> None:
        """See ``Store``."""
        with self._open():
            self._messages[topic, key] = self._clock(), text

    def posted(self, topic: str, *, within: float = math.inf) -> dict[str, str]:
        """See ``Store``."""
        since = self._clock() - within
        with self._open():
            found = [
                (time, key, text)
                for (about, key), (time, text) in self._messages.items()
                if about == topic and time >= since
            ]
        return {key: text for _, key, text in sorted(found)}

    def acquire_lease(self, name: str, holder: str, ttl_seconds: float) -> Lease | None:
        """See ``Store``."""
        with self._open():
            state = self._leases.get(name, UNTAKEN)
            has_run_out = self._lease_watch.has_run_out(name, state)
            taken = state.taken_by(holder, ttl_seconds, has_run_out=has_run_out)
            if taken is None:
                return None
            self._leases[name] = taken
            return Lease(name, holder, taken.number)

    def release_lease(self, name: str, holder: str) -> None:
        """See ``Store``."""
        with self._open():
            state = self._leases.get(name, UNTAKEN)
            if state.holder == holder:
                self._leases[name] = replace(state, holder=NOBODY)

    def change_token(self) -> str:
        """See ``Store``."""
        with self._open():
            return str(self._in_force.head)

    def append_event(self, event: StoreEvent, *, key: str | None = None) -> None:
        """See ``Store``."""
        with self._open():
            self._events.setdefault(key or uuid.uuid4().hex, event)

    def events(self, *, since: float = 0.0) -> list[StoreEvent]:
        """See ``Store``."""
        with self._open():
            events = [event for event in self._events.values() if event.time >= since]
        return sorted(events, key=lambda event: event.time)

    def health(self) -> StoreHealth:
        """See ``Store``."""
        return StoreHealth(self._id, 0, "known at once")

    def close(self) -> None:
        """See ``Store``."""
        self._closed = True

    def _open(self) -> threading.RLock:
        if self._closed:
            raise StoreError("memory://: the store is closed")
        return self._lock
