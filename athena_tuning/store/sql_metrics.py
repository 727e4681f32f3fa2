"""The store on a database: metrics as a segment a batch, each text once, a cursor a worker."""

from __future__ import annotations

import json
import logging
import time as time_module
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from athena_tuning.model import QueryMetrics, SourceBatch
from athena_tuning.store import batches, sql_rollups, upkeep
from athena_tuning.store.base import MetricsTail
from athena_tuning.store.database import Database, Transaction
from athena_tuning.store.encoding import Encoded
from athena_tuning.store.errors import StoreError
from athena_tuning.store.paging import Extent, page
from athena_tuning.store.records import StoredRecords, encoded, of_sources
from athena_tuning.store.retention import DEFAULT, Level, Retention, spans_of
from athena_tuning.store.rollup import Rollups, chosen_keys
from athena_tuning.store.segment import Segment
from athena_tuning.store.sql_configs import SqlConfigs
from athena_tuning.store.text_policy import TextPolicy, storable

logger = logging.getLogger(__name__)

_TEXT_SECONDS = 3600.0
"""A text in use is marked as used once in so many seconds."""

_PRUNE_SECONDS = 3600.0
_WRITER_ROLLS_UP = 20_000
_READER_ROLLS_UP = 2_000
"""A worker rolls its records up when there are so many of them; a reader, everybody's."""


class SqlStore(SqlConfigs):
    """A store on a database.

    Args:
        database: where the tables are.
        text: what to keep of query texts.
        retention: how long what is kept.
        clock: Unix seconds for what comes without a time.
        monotonic: seconds that never jump, for leases.
    """

    def __init__(
        self,
        database: Database,
        *,
        text: TextPolicy | str = TextPolicy.KEEP,
        retention: Retention = DEFAULT,
        clock: Callable[[], float] = time_module.time,
        monotonic: Callable[[], float] = time_module.monotonic,
    ) -> None:
        super().__init__(database, clock, monotonic)
        self.texts = TextPolicy(text)
        self._retention = retention
        self._texts_marked: dict[int, float] = {}
        self._marked_in = database.openings
        self._not_rolled_up: Counter[str] = Counter()
        self._pruned = clock()

    def append_metrics(self, worker_id: str, sequence: int, records: Sequence[QueryMetrics]) -> None:
        """See ``Store``."""
        batch = encoded(records, self.texts)
        now = self._clock()
        unmarked = [key for key in batch.texts if self._texts_marked.get(key, 0.0) < now - _TEXT_SECONDS]
        with self._database.write() as transaction:
            if self._database.openings != self._marked_in:
                self._marked_in, self._texts_marked, unmarked = self._database.openings, {}, list(batch.texts)
            _add(transaction, worker_id, sequence, batch)
            if unmarked:
                transaction.run_many(
                    "INSERT INTO main.texts (id, text, last_used) VALUES (?,?,?)"
                    " ON CONFLICT (id) DO UPDATE SET last_used = excluded.last_used",
                    [(key, storable(batch.texts[key]), now) for key in sorted(unmarked)],
                )
        if len(self._texts_marked) > 200_000:
            self._texts_marked = {}
        self._texts_marked.update(dict.fromkeys(unmarked, now))
        self._keep_house(worker_id, batch.records, now)

    def next_sequence(self, worker_id: str) -> int:
        """See ``Store``."""
        used = self._database.read("SELECT sequence FROM main.writers WHERE worker_id = ?", (worker_id,))
        return int(used[0][0]) + 1 if used else 0

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
        seen: dict[str, int] = json.loads(cursor) if cursor else {}
        with self._database.snapshot() as view:
            writers = view.execute("SELECT worker_id, sequence FROM main.writers")
            behind = {
                worker: seen.get(worker, -1)
                for worker, last in writers
                if last > seen.get(worker, -1) and worker != without
            }
            at = {worker: seen[worker] for worker, _ in writers if worker in seen}
            listed = sql_rollups.listed_after(view, behind)
            extents = [Extent(segment.records, segment.newest) for segment in listed]
            wanted, done = page(extents, since, limit, newest)
            at.update((segment.worker_id, segment.sequence) for segment in listed[:done])
            columns = sql_rollups.columns_of(view, [listed[place] for place in wanted], self._unreadable)
            found = of_sources([segment.since(since) for _, segment in columns], sources)
            texts = _texts(view, found)
        return MetricsTail(StoredRecords(found, texts), json.dumps(at))

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
        folded, fresh = sql_rollups.read(self._database, self._unreadable, spans, chosen)
        if fresh >= _READER_ROLLS_UP:
            self._in_passing(sql_rollups.roll_up, self._database, self._unreadable)
        return folded.of_sources(sources)

    def batches(self) -> list[SourceBatch]:
        """See ``Store``."""
        return batches.read(self._database)

    def _take_out(self, source: str) -> SourceBatch:
        return batches.take_out(self._database, self._unreadable, source)

    def maintain(self) -> None:
        """See ``Store``."""
        sql_rollups.roll_up(self._database, self._unreadable)
        upkeep.forget(self._database, self._retention, self._clock())
        self._database.shrink()

    def _forget_what_was_stored(self) -> None:
        super()._forget_what_was_stored()
        self._texts_marked = {}

    def _keep_house(self, worker_id: str, records: int, now: float) -> None:
        self._not_rolled_up[worker_id] += records
        if self._not_rolled_up[worker_id] >= _WRITER_ROLLS_UP:
            del self._not_rolled_up[worker_id]
            self._in_passing(sql_rollups.roll_up, self._database, self._unreadable, worker_id)
        if now - self._pruned >= _PRUNE_SECONDS:
            self._pruned = now
            self._in_passing(self.maintain)

    def _in_passing(self, work: Callable[..., None], *values: object) -> None:
        """Do what the caller did not ask for; if it fails it is done another time."""
        try:
            work(*values)
        except StoreError as exc:
            logger.warning("upkeep of the store is put off: %s", exc)


def _add(transaction: Transaction, worker_id: str, sequence: int, batch: Encoded) -> None:
    """Store a batch and note the worker's last sequence, unless it is not above the old one."""
    if batch.records:
        values = (batch.records, batch.oldest, batch.newest, batch.data)
        into = (
            "INSERT INTO main.segments (worker_id, sequence, records, oldest, newest, data)"
            " SELECT ?,?,?,?,?,? WHERE NOT EXISTS"
            " (SELECT 1 FROM main.writers WHERE worker_id = ? AND sequence >= ?)"
        )
        row = (worker_id, sequence, *values, worker_id, sequence)
        if not batch.batches:
            transaction.run(into, row)
        elif transaction.execute(f"{into} RETURNING id", row):
            batches.add(transaction, batch.batches)
    transaction.run(
        "INSERT INTO main.writers (worker_id, sequence, rolled, newest) VALUES (?,?,-1,?)"
        " ON CONFLICT (worker_id) DO UPDATE SET sequence = excluded.sequence, newest = excluded.newest"
        " WHERE writers.sequence < excluded.sequence",
        (worker_id, sequence, max(batch.newest, 0.0)),
    )


def _texts(view: Transaction, segments: Iterable[Segment]) -> dict[int, str]:
    """Return the kept texts that some segments speak of."""
    keys = list({key for segment in segments for key in segment.texts if key})
    texts: dict[int, str] = {}
    for first in range(0, len(keys), 500):
        part = keys[first : first + 500]
        marks = ",".join("?" * len(part))
        texts.update(dict(view.execute(f"SELECT id, text FROM main.texts WHERE id IN ({marks})", part)))
    return texts
