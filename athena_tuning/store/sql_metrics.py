"""Metrics in a database: a segment a batch, each text once, a cursor a worker."""

from __future__ import annotations

import json
import time as time_module
from collections.abc import Callable, Iterable, Mapping, Sequence

from athena_tuning.model import QueryMetrics
from athena_tuning.store.base import MetricsTail
from athena_tuning.store.database import Database, Transaction
from athena_tuning.store.records import StoredRecords
from athena_tuning.store.segment import Encoded, Segment, encode
from athena_tuning.store.sql_configs import SqlConfigs
from athena_tuning.store.text import TextPolicy

_TEXT_SECONDS = 3600.0
"""A text in use is marked as used once in so many seconds."""


class SqlStore(SqlConfigs):
    """A store on a database.

    Args:
        database: where the tables are.
        text: what to keep of query texts.
        clock: Unix seconds for what comes without a time.
    """

    def __init__(
        self,
        database: Database,
        *,
        text: TextPolicy | str = TextPolicy.KEEP,
        clock: Callable[[], float] = time_module.time,
    ) -> None:
        super().__init__(database, clock)
        self._text = TextPolicy(text)
        self._texts_marked: dict[int, float] = {}

    def append_metrics(self, worker_id: str, sequence: int, records: Sequence[QueryMetrics]) -> None:
        """See ``Store``."""
        batch = encode(records, self._text)
        now = self._clock()
        unmarked = [key for key in batch.texts if self._texts_marked.get(key, 0.0) < now - _TEXT_SECONDS]
        with self._database.write() as transaction:
            if not _advance(transaction, worker_id, sequence, batch):
                return
            if batch.records:
                transaction.execute(
                    "INSERT INTO segments (worker_id, sequence, records, oldest, newest, data)"
                    " VALUES (?,?,?,?,?,?)",
                    (worker_id, sequence, batch.records, batch.oldest, batch.newest, batch.data),
                )
            transaction.execute_many(
                "INSERT INTO texts (id, text, last_used) VALUES (?,?,?)"
                " ON CONFLICT (id) DO UPDATE SET last_used = excluded.last_used",
                [(key, batch.texts[key], now) for key in sorted(unmarked)],
            )
        if len(self._texts_marked) > 200_000:
            self._texts_marked = {}
        self._texts_marked.update(dict.fromkeys(unmarked, now))

    def tail_metrics(self, cursor: str = "", *, since: float = 0.0, limit: int = 100_000) -> MetricsTail:
        """See ``Store``."""
        seen: dict[str, int] = json.loads(cursor) if cursor else {}
        writers = self._database.read("SELECT worker_id, sequence FROM writers")
        behind = {worker: seen.get(worker, -1) for worker, last in writers if last > seen.get(worker, -1)}
        alive = {worker: seen[worker] for worker, _ in writers if worker in seen}
        found = _new_segments(self._database, behind, since, limit) if behind else []
        alive |= {worker: sequence for _, worker, sequence, _ in found}
        segments = [Segment(data).since(since) for _, _, _, data in found if data is not None]
        texts = _texts(self._database, segments)
        return MetricsTail(StoredRecords(segments, texts), json.dumps(alive))


def _advance(transaction: Transaction, worker_id: str, sequence: int, batch: Encoded) -> bool:
    """Note the worker's new last sequence; False if it is not above the old one."""
    noted = transaction.execute(
        "INSERT INTO writers (worker_id, sequence, rolled, newest) VALUES (?,?,-1,?)"
        " ON CONFLICT (worker_id) DO UPDATE SET sequence = excluded.sequence, newest = excluded.newest"
        " WHERE writers.sequence < excluded.sequence RETURNING sequence",
        (worker_id, sequence, max(batch.newest, 0.0)),
    )
    return bool(noted)


def _new_segments(
    database: Database, behind: Mapping[str, int], since: float, limit: int
) -> list[tuple[int, str, int, bytes | None]]:
    """Return id, worker, sequence and data of segments after each worker's sequence, about ``limit`` records.

    Data is None where every record is older than ``since``: the cursor passes it all the same.
    """
    seen = ", ".join("(CAST(? AS TEXT), CAST(? AS BIGINT))" for _ in behind)
    values = [value for pair in behind.items() for value in pair]
    listed = database.read(
        f"WITH seen (worker_id, sequence) AS (VALUES {seen})"
        " SELECT s.id, s.worker_id, s.sequence, s.records, s.newest FROM seen JOIN segments s"
        " ON s.worker_id = seen.worker_id AND s.sequence > seen.sequence ORDER BY s.id",
        values,
    )
    chosen, wanted, total = [], set(), 0
    for number, worker, sequence, records, newest in listed:
        if total >= limit:
            break
        chosen.append((number, worker, sequence))
        if newest >= since:
            wanted.add(number)
            total += records
    data = _data(database, wanted)
    return [(*entry, data.get(entry[0])) for entry in chosen]


def _data(database: Database, wanted: set[int]) -> dict[int, bytes]:
    if not wanted:
        return {}
    rows = database.read("SELECT id, data FROM segments WHERE id BETWEEN ? AND ?", (min(wanted), max(wanted)))
    return {number: data for number, data in rows if number in wanted}


def _texts(database: Database, segments: Iterable[Segment]) -> dict[int, str]:
    """Return the kept texts that some segments speak of."""
    keys = list({key for segment in segments for key in segment.text_ids if key})
    texts: dict[int, str] = {}
    for first in range(0, len(keys), 500):
        part = keys[first : first + 500]
        marks = ",".join("?" * len(part))
        texts.update(database.read(f"SELECT id, text FROM texts WHERE id IN ({marks})", part))
    return texts
