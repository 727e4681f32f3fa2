"""The one contract of all stores: what managers, the app and the command line share.

A store holds four append-only things (metrics, config versions, decisions, annotations) and four that are
replaced in place (workers, leases, feedback, messages). Every implementation passes the same conformance
suite. Bad input raises ``ValueError``, a store that cannot do its work ``StoreError``. A row that is damaged,
or that only a newer program understands, is passed over by every reader and shown in ``health``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from athena_tuning.frames import Records
from athena_tuning.model import (
    Annotation,
    ConfigSet,
    ConfigVersion,
    Decision,
    Feedback,
    QueryMetrics,
    WorkerStatus,
)
from athena_tuning.store.configs import ConfigChange
from athena_tuning.store.health import StoreHealth
from athena_tuning.store.leases import Lease
from athena_tuning.store.records import StoredRecords
from athena_tuning.store.retention import Level
from athena_tuning.store.rollup import Rollups


@dataclass(frozen=True, slots=True)
class MetricsTail:
    """New raw records since a cursor, and the cursor to go on from (opaque, JSON-safe)."""

    records: StoredRecords
    cursor: str


class Store(ABC):
    """Metrics, config versions, decisions and workers, shared by any number of processes.

    All methods may be called from any thread. Times are Unix seconds of the writer's clock; the order of
    config versions is the store's own.

    Attributes:
        url: by which ``open_store`` in another process opens the same store in the same way; "" if it cannot.
    """

    url: str = ""

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
    ) -> MetricsTail:
        """Return raw records that were stored after ``cursor`` ("": from the beginning).

        Args:
            cursor: from an earlier tail.
            since: leave out records older than this (Unix seconds).
            limit: stop after about so many records; call again until nothing comes.
            newest: pass over all but about so many of the newest.
            without: a worker whose records are left out.
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
        """

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
        """Return the configs in force.

        Where a scope's newest version cannot be read, the newest one that can is in force.
        """

    @abstractmethod
    def config_history(self, *, limit: int = 200, scope: str | None = None) -> Records[ConfigVersion]:
        """Return versions, newest first, without those that cannot be read.

        ``to_pandas`` makes a table of them: version, parent, scope, ``config_…`` for each value of the config
        (``config_timeout_seconds``), mode, author, reason, time and restores.

        Example:
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
    def append_decision(self, decision: Decision) -> None:
        """Keep a decision; one with the same id is replaced (a verdict may be filled in)."""

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
    def health(self) -> StoreHealth:
        """Return what there is to say of the store beside what it holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Flush and release everything; further calls raise ``StoreError``. May be called twice."""
