"""What a store keeps beside metrics and configs, in tables of a database."""

from __future__ import annotations

import json
import math
import time as time_module
from collections.abc import Callable, Sequence
from dataclasses import astuple, fields
from typing import Any

from athena_tuning.frames import Records
from athena_tuning.model import Annotation, Decision, Feedback, WorkerStatus
from athena_tuning.store.base import WITH_EVIDENCE, Store
from athena_tuning.store.database import Database, Row
from athena_tuning.store.health import StoreEvent, UnreadableRows
from athena_tuning.store.leases import NOBODY, UNTAKEN, Lease, LeaseState, LeaseWatch

_WORKER = ", ".join(field.name for field in fields(WorkerStatus))


class SqlTables(Store):
    """Decisions, workers, annotations, events, feedback, messages and leases in tables.

    Args:
        database: where the tables are.
        clock: Unix seconds for what comes without a time.
        monotonic: seconds that never jump, for leases.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time_module.time,
        monotonic: Callable[[], float] = time_module.monotonic,
    ) -> None:
        self._database = database
        self._clock = clock
        self._leases = LeaseWatch(monotonic)
        self._unreadable = UnreadableRows(database.name)

    def append_decision(self, decision: Decision, evidence: bytes | None = None) -> None:
        """See ``Store``."""
        record = json.dumps(decision.to_dict(), default=_plain)
        with self._database.write() as transaction:
            transaction.run(
                "INSERT INTO main.decisions (decision_id, time, scope, action, record) VALUES (?,?,?,?,?)"
                " ON CONFLICT (decision_id) DO UPDATE SET time = excluded.time, scope = excluded.scope,"
                " action = excluded.action, record = excluded.record",
                (decision.decision_id, decision.time, decision.scope, decision.action.value, record),
            )
            if evidence is not None:
                transaction.run(
                    "INSERT INTO main.decision_evidence (decision_id, time, data) VALUES (?,?,?)"
                    " ON CONFLICT (decision_id) DO UPDATE SET time = excluded.time, data = excluded.data",
                    (decision.decision_id, decision.time, evidence),
                )
                transaction.run(
                    "DELETE FROM main.decision_evidence WHERE decision_id NOT IN (SELECT decision_id FROM"
                    " main.decision_evidence ORDER BY time DESC, decision_id DESC LIMIT ?)",
                    (WITH_EVIDENCE,),
                )

    def decision_evidence(self, decision_id: str) -> bytes | None:
        """See ``Store``."""
        rows = self._database.read(
            "SELECT data FROM main.decision_evidence WHERE decision_id = ?", (decision_id,)
        )
        return bytes(rows[0][0]) if rows else None

    def decisions(self, *, limit: int = 200) -> Records[Decision]:
        """See ``Store``."""
        rows = self._database.read(
            "SELECT decision_id, record FROM main.decisions ORDER BY time DESC, decision_id DESC LIMIT ?",
            (limit,),
        )
        return Records(Decision, filter(None, map(self._decision_of, rows)))

    def report_worker(self, status: WorkerStatus) -> None:
        """See ``Store``."""
        updates = ", ".join(f"{name} = excluded.{name}" for name in _WORKER.split(", ")[1:])
        with self._database.write() as transaction:
            transaction.run(
                f"INSERT INTO main.workers ({_WORKER}) VALUES (?,?,?,?,?,?,?,?,?)"
                f" ON CONFLICT (worker_id) DO UPDATE SET {updates}",
                astuple(status),
            )

    def workers(self) -> Records[WorkerStatus]:
        """See ``Store``."""
        rows = self._database.read(f"SELECT {_WORKER} FROM main.workers ORDER BY last_seen DESC, worker_id")
        return Records(WorkerStatus, (WorkerStatus(*row) for row in rows))

    def annotate(self, annotation: Annotation) -> None:
        """See ``Store``."""
        with self._database.write() as transaction:
            transaction.run(
                "INSERT INTO main.annotations (time, text, author) VALUES (?,?,?)",
                (annotation.time, annotation.text, annotation.author),
            )

    def annotations(self, *, since: float = 0.0) -> list[Annotation]:
        """See ``Store``."""
        rows = self._database.read(
            "SELECT time, text, author FROM main.annotations WHERE time >= ? ORDER BY time, id", (since,)
        )
        return [Annotation(*row) for row in rows]

    def append_event(self, event: StoreEvent, *, key: str | None = None) -> None:
        """See ``Store``."""
        with self._database.write() as transaction:
            transaction.run(
                "INSERT INTO main.events (time, kind, text, key) VALUES (?,?,?,?)"
                " ON CONFLICT (key) DO NOTHING",
                (*astuple(event), key),
            )

    def events(self, *, since: float = 0.0) -> list[StoreEvent]:
        """See ``Store``."""
        rows = self._database.read(
            "SELECT time, kind, text FROM main.events WHERE time >= ? ORDER BY time, id", (since,)
        )
        return [StoreEvent(*row) for row in rows]

    def append_feedback(self, given: Sequence[Feedback]) -> None:
        """See ``Store``."""
        with self._database.write() as transaction:
            transaction.run_many(
                "INSERT INTO main.feedback (query_id, score, time) VALUES (?,?,?)"
                " ON CONFLICT (query_id) DO UPDATE SET score = excluded.score, time = excluded.time",
                sorted(astuple(feedback) for feedback in {f.query_id: f for f in given}.values()),
            )

    def feedback(self, *, since: float = 0.0) -> list[Feedback]:
        """See ``Store``."""
        rows = self._database.read(
            "SELECT query_id, score, time FROM main.feedback WHERE time >= ? ORDER BY time, query_id",
            (since,),
        )
        return [Feedback(*row) for row in rows]

    def post(self, topic: str, key: str, text: str) -> None:
        """See ``Store``."""
        now = self._database.now()
        with self._database.write() as transaction:
            transaction.run(
                "INSERT INTO main.messages (topic, key, text, time) VALUES (?,?,?,?)"
                " ON CONFLICT (topic, key) DO UPDATE SET text = excluded.text, time = excluded.time",
                (topic, key, text, now),
            )

    def posted(self, topic: str, *, within: float = math.inf) -> dict[str, str]:
        """See ``Store``."""
        since = self._database.now() - within if within < math.inf else 0.0
        rows = self._database.read(
            "SELECT key, text FROM main.messages WHERE topic = ? AND time >= ? ORDER BY time, key",
            (topic, since),
        )
        return dict(rows)

    def acquire_lease(self, name: str, holder: str, ttl_seconds: float) -> Lease | None:
        """See ``Store``. Who only waits for a lease reads, and keeps no writer from its work."""
        state = lease_state(self._database.read, name)
        has_run_out = self._leases.has_run_out(name, state)
        if state.taken_by(holder, ttl_seconds, has_run_out=has_run_out) is None:
            return None
        # Under the lock on configs: what is written under the lease is before or after.
        with self._database.write(lock="configs") as transaction:
            now = lease_state(transaction.execute, name)
            taken = now.taken_by(holder, ttl_seconds, has_run_out=has_run_out and now == state)
            if taken is None:
                return None
            transaction.run(
                "INSERT INTO main.leases (name, holder, number, renewals, seconds) VALUES (?,?,?,?,?)"
                " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, number = excluded.number,"
                " renewals = excluded.renewals, seconds = excluded.seconds",
                (name, *astuple(taken)),
            )
        return Lease(name, holder, taken.number)

    def release_lease(self, name: str, holder: str) -> None:
        """See ``Store``."""
        with self._database.write() as transaction:
            transaction.run(
                "UPDATE main.leases SET holder = ? WHERE name = ? AND holder = ?", (NOBODY, name, holder)
            )

    def close(self) -> None:
        """See ``Store``."""
        self._database.close()

    def _decision_of(self, row: Row) -> Decision | None:
        decision_id, record = row
        try:
            return Decision.from_dict(json.loads(record))
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            self._unreadable.add("decision", decision_id, exc)
            return None


def lease_state(read: Callable[[str, Sequence[Any]], list[Row]], name: str) -> LeaseState:
    """Return how a lease stands; ``read`` executes a query."""
    rows = read("SELECT holder, number, renewals, seconds FROM main.leases WHERE name = ?", (name,))
    return LeaseState(*rows[0]) if rows else UNTAKEN


def _plain(value: Any) -> Any:
    """Turn a numpy number into a plain one; ``json`` asks for what it does not know."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{value!r} of {type(value).__name__} is no plain value")
