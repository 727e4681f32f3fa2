"""The one contract of all stores: what managers, the app and the command line share.

A store holds five append-only things (metrics, config versions, decisions, annotations, events) and four that
are replaced in place (workers, leases, feedback, messages). Every implementation passes the same conformance
suite. Bad input raises ``ValueError``, a store that cannot do its work ``StoreError``. A row that is damaged,
or that only a newer program understands, is passed over by every reader and shown in ``health``.
"""

from __future__ import annotations

import json
import logging
import math
import uuid
from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from athena_tuning.closeable import Closeable
from athena_tuning.frames import Records
from athena_tuning.model import (
    Annotation,
    ConfigSet,
    ConfigVersion,
    Decision,
    Feedback,
    Proposal,
    QueryMetrics,
    SourceBatch,
    WorkerStatus,
)
from athena_tuning.store.configs import ConfigChange
from athena_tuning.store.findings import Finding
from athena_tuning.store.health import StoreEvent, StoreHealth
from athena_tuning.store.leases import Lease
from athena_tuning.store.records import StoredRecords
from athena_tuning.store.retention import Level
from athena_tuning.store.rollup import Rollups
from athena_tuning.store.text_policy import TextPolicy

logger = logging.getLogger(__name__)

_PROPOSALS = "proposals"

REMOVED = "removed batches"
"""The topic of messages whose keys are batches that were taken out, each removal with a text of its own."""


WITH_EVIDENCE = 100
"""Decisions of which it is kept what they rest on."""


@dataclass(frozen=True, slots=True)
class MetricsTail:
    """New raw records since a cursor, and the cursor to go on from (opaque, JSON-safe)."""

    records: StoredRecords
    cursor: str


class Store(Closeable):
    """Metrics, config versions, decisions and workers, shared by any number of processes.

    All methods may be called from any thread. Times are Unix seconds of the writer's clock; the order of
    config versions is the store's own.

    Attributes:
        url: by which ``open_store`` in another process opens the same store in the same way; "" if it cannot.
        texts: what it keeps of query texts, and of errors that may quote them.
    """

    url: str = ""
    texts: TextPolicy = TextPolicy.KEEP

    @abstractmethod
    def append_metrics(self, worker_id: str, sequence: int, records: Sequence[QueryMetrics]) -> None:
        """Store a batch once.

        Args:
            worker_id: who measured.
            sequence: grows with each batch of a worker; one that is not above the worker's last is a
                retry and ignored, so that nothing is written twice after a lost answer.
            records: the batch. One with a value of the wrong kind is left out and logged.

        Raises:
            StoreError: if it could not be stored; nothing of it was.
        """

    @abstractmethod
    def next_sequence(self, worker_id: str) -> int:
        """Return a sequence for ``append_metrics`` that is above all that a worker has used."""

    @abstractmethod
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
        """Return raw records that were stored after ``cursor`` ("": from the beginning).

        Args:
            cursor: from an earlier tail.
            since: leave out records older than this (Unix seconds).
            limit: stop after about so many records; call again until nothing comes.
            newest: pass over all but about so many of the newest.
            without: a worker whose records are left out.
            sources: only records of these kinds of sources, or batches; None: of all.
        """

    @abstractmethod
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
        """Return the roll-ups from ``start`` to ``end``, everything that is stored included.

        Args:
            start: Unix seconds, moved back to a whole minute (of spans over two days hour, over sixty days
                day; or of ``level``).
            end: Unix seconds, moved on likewise.
            level: rows of this level only, for a series over time; None: the fewest rows that cover the span.
            layer: only this layer; "" for whole recalls; None for both, in rows of their own.
            query_type: only this type.
            config_version: only what ran under this version.
            worker_id: only what this worker measured.
            sources: only what came from these kinds of sources, or batches; None: from all.
        """

    @abstractmethod
    def batches(self) -> list[SourceBatch]:
        """Return what there is from other sources than live ones, newest first."""

    def remove_batch(self, source: str) -> SourceBatch:
        """Take a batch out again, with its roll-ups; return what it was.

        Whoever follows the store learns of it by a message of the topic ``REMOVED``.

        Args:
            source: as ``batches`` gives it.

        Raises:
            ValueError: if there is no such batch.
            StoreError: if it could not be taken out; nothing of it was then.
        """
        gone = self._take_out(source)
        self.post(REMOVED, source, uuid.uuid4().hex)
        return gone

    @abstractmethod
    def _take_out(self, source: str) -> SourceBatch:
        """Do what ``remove_batch`` says, and tell nobody."""

    @abstractmethod
    def maintain(self) -> None:
        """Roll up what is not rolled up yet and forget what is older than the retention.

        A store does so by itself as metrics come in; call it to have it done now.
        """

    def apply_config(self, change: ConfigChange) -> ConfigVersion:
        """Put a config in force as a new version, if its scope still is at the version the writer saw.

        Raises: as ``apply_configs`` does.
        """
        [version] = self.apply_configs([change])
        return version

    @abstractmethod
    def apply_configs(
        self, changes: Sequence[ConfigChange], *, under: Lease | None = None
    ) -> list[ConfigVersion]:
        """Put configs of several scopes in force in one step: all of them or, if one cannot be, none.

        Nobody ever sees some of them without the others.

        Args:
            changes: of different scopes.
            under: a lease that the writer must still have; None: it needs none.

        Returns:
            The version of each change, numbered on in their order.

        Raises:
            LeaseLost: if the lease has gone to somebody else.
            ConfigConflict: if another version than the writer saw is in force for a scope by now.
            ValueError: if there is nothing of the kind to restore, or two changes have the same scope.
            StoreError: if it could not be stored.
        """

    @abstractmethod
    def config_set(self) -> ConfigSet:
        """Return the configs in force; their ``epoch`` tells how often the store's content was replaced.

        Where a scope's newest version cannot be read, the newest one that can is in force.
        """

    @abstractmethod
    def config_history(self, *, limit: int = 200, scope: str | None = None) -> Records[ConfigVersion]:
        """Return versions, newest first, without those that cannot be read.

        ``to_pandas`` makes a table of them: version, parent, scope, ``config_…`` for each value of the config
        (``config_timeout_seconds``), mode, author, reason, time and restores.

        Examples:
            >>> from athena_tuning.model import TuningConfig
            >>> from athena_tuning.store import ConfigChange, open_store
            >>> change = ConfigChange(TuningConfig(8), expected_version=0, actor="me", reason="more cores")
            >>> with open_store("memory://") as store:
            ...     version = store.apply_config(change)
            ...     table = store.config_history().to_pandas()
            >>> table[["version", "config_max_concurrent", "config_timeout_seconds"]].values.tolist()
            [[1.0, 8.0, 10.0]]
        """

    @abstractmethod
    def append_decision(self, decision: Decision, evidence: bytes | None = None) -> None:
        """Keep a decision; one with the same id is replaced (a verdict may be filled in).

        Args:
            decision: the record.
            evidence: what it rests on, packed (``tuning.evidence``): kept for the newest ``WITH_EVIDENCE``
                decisions that have some. None leaves what is there.
        """

    @abstractmethod
    def decision_evidence(self, decision_id: str) -> bytes | None:
        """Return what a decision rests on, packed; None where it is not kept, or not any more."""

    @abstractmethod
    def decisions(self, *, limit: int = 200) -> Records[Decision]:
        """Return decisions, newest first, without those that cannot be read.

        ``to_pandas`` makes a table of them, with the configs as ``before_…`` and ``after_…``; predicted and
        observed are log ratios of the objective.
        """

    @abstractmethod
    def report_worker(self, status: WorkerStatus) -> None:
        """Insert or replace a worker's status."""

    @abstractmethod
    def workers(self) -> Records[WorkerStatus]:
        """Return all known workers, last seen first."""

    @abstractmethod
    def annotate(self, annotation: Annotation) -> None:
        """Keep a note for the charts."""

    @abstractmethod
    def annotations(self, *, since: float = 0.0) -> list[Annotation]:
        """Return notes, oldest first."""

    @abstractmethod
    def append_feedback(self, given: Sequence[Feedback]) -> None:
        """Keep scores of answers; a later one of the same recall replaces it. Kept as long as raw records."""

    @abstractmethod
    def feedback(self, *, since: float = 0.0) -> list[Feedback]:
        """Return the scores that were given at ``since`` (Unix seconds) or later, oldest first."""

    @abstractmethod
    def post(self, topic: str, key: str, text: str) -> None:
        """Leave a message for other processes, in place of one with the same topic and key."""

    @abstractmethod
    def posted(self, topic: str, *, within: float = math.inf) -> dict[str, str]:
        """Return the messages of a topic by key, the one that was posted first ahead.

        Args:
            topic: what they are about.
            within: leave out those that were posted longer ago than this, in seconds of the store's clock.
        """

    def publish(self, proposals: Sequence[Proposal]) -> None:
        """Tell everybody what the tuner that leads would set, in place of what was told before."""
        rows = [proposal.to_dict() for proposal in proposals]
        self.post(_PROPOSALS, "leader", json.dumps(rows, default=lambda number: number.item()))

    def proposals(self) -> dict[str, Proposal]:
        """Return by scope what the tuner that leads would set; {} where none has told, or it is damaged."""
        found = {}
        for text in self.posted(_PROPOSALS).values():
            try:
                for values in json.loads(text):
                    proposal = Proposal.from_dict(values)
                    found[proposal.scope] = proposal
            except (ValueError, TypeError, KeyError, AttributeError) as exc:
                logger.warning("proposals in the store cannot be read: %s: %s", type(exc).__name__, exc)
        return found

    @abstractmethod
    def acquire_lease(self, name: str, holder: str, ttl_seconds: float) -> Lease | None:
        """Take or renew a lease.

        Args:
            name: of the lease.
            holder: who wants it.
            ttl_seconds: how long others have to see it unrenewed before they may take it. Each measures that
                by itself, on a clock that never jumps (``store.leases`` says why); so ask again and again.

        Returns:
            The lease; None while somebody else has it.
        """

    @abstractmethod
    def release_lease(self, name: str, holder: str) -> None:
        """Give a lease back; nothing happens if ``holder`` does not have it."""

    @abstractmethod
    def change_token(self) -> str:
        """Return a value that differs whenever configs may have changed; cheap enough to poll every 20 ms."""

    @abstractmethod
    def append_event(self, event: StoreEvent, *, key: str | None = None) -> None:
        """Keep an event; kept as long as decisions.

        Args:
            event: what happened.
            key: of what several processes notice: with the same key it is kept once.
        """

    @abstractmethod
    def events(self, *, since: float = 0.0) -> list[StoreEvent]:
        """Return what happened at ``since`` (Unix seconds) or later, oldest first."""

    def examine(self) -> list[Finding]:
        """Return what there is to say of the database itself: version, rights, clock; for ``doctor``."""
        return []

    @abstractmethod
    def health(self) -> StoreHealth:
        """Return what there is to say of the store beside what it holds."""

    @abstractmethod
    def close(self) -> None:
        """Flush and release everything; further calls raise ``StoreError``. May be called twice."""
