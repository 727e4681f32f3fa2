"""The store on a database: the same statements for SQLite and PostgreSQL."""

from __future__ import annotations

import json
import logging
import math
import time as time_module
from collections.abc import Callable, Sequence
from dataclasses import astuple, fields, replace
from typing import Any

from athena_tuning.frames import Records
from athena_tuning.model import (
    Annotation,
    ConfigSet,
    ConfigVersion,
    Decision,
    Feedback,
    Mode,
    TuningConfig,
    WorkerStatus,
)
from athena_tuning.store.base import Store
from athena_tuning.store.configs import ConfigChange, check_together, versions_after
from athena_tuning.store.database import Database, Row, Transaction
from athena_tuning.store.health import StoreHealth, UnreadableRows
from athena_tuning.store.leases import NOBODY, UNTAKEN, Lease, LeaseState, LeaseWatch, check_held

logger = logging.getLogger(__name__)

_VERSION = "version, parent, scope, config, mode, author, reason, time, restores"
_WORKER = ", ".join(field.name for field in fields(WorkerStatus))


class SqlConfigs(Store):
    """Config versions, decisions, workers, annotations, feedback, messages and leases in tables.

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
        self._newer: set[int] = set()

    def apply_configs(
        self, changes: Sequence[ConfigChange], *, under: Lease | None = None
    ) -> list[ConfigVersion]:
        """See ``Store``."""
        check_together(changes)
        if not changes:
            return []
        with self._database.write(lock="configs") as transaction:
            if under is not None:
                check_held(under, _lease_state(transaction.execute, under.name))
            head, current, written, past = self._standing(transaction, changes)
            versions = versions_after(changes, head, current, written, past, self._clock())
            new = [(c, v) for c, v in zip(changes, versions, strict=True) if v.version > head]
            transaction.run_many(
                f"INSERT INTO main.config_versions ({_VERSION}, idempotency_key)"
                " VALUES (?,?,?,?,?,?,?,?,?,?)",
                [(*_row_of(version), change.idempotency_key) for change, version in new],
            )
            if new:
                self._database.announce(transaction, new[-1][1].version)
        return versions

    def config_set(self) -> ConfigSet:
        """See ``Store``."""
        rows = self._database.read(
            f"SELECT {_VERSION} FROM main.config_versions WHERE version IN"
            " (SELECT max(version) FROM main.config_versions GROUP BY scope) ORDER BY version"
        )
        configs = ConfigSet()
        for row in rows:
            version = self._readable(self._database.read, row)
            if version is not None:
                self._say_what_is_newer(version)
                configs = configs.with_version(version)
        return replace(configs, head=rows[-1][0]) if rows else configs

    def config_history(self, *, limit: int = 200, scope: str | None = None) -> Records[ConfigVersion]:
        """See ``Store``."""
        where, values = ("WHERE scope = ?", (scope,)) if scope is not None else ("", ())
        rows = self._database.read(
            f"SELECT {_VERSION} FROM main.config_versions {where} ORDER BY version DESC LIMIT ?",
            (*values, limit),
        )
        return Records(ConfigVersion, filter(None, map(self._version_of, rows)))

    def append_decision(self, decision: Decision) -> None:
        """See ``Store``."""
        record = json.dumps(decision.to_dict(), default=_plain)
        with self._database.write() as transaction:
            transaction.run(
                "INSERT INTO main.decisions (decision_id, time, scope, action, record) VALUES (?,?,?,?,?)"
                " ON CONFLICT (decision_id) DO UPDATE SET time = excluded.time, scope = excluded.scope,"
                " action = excluded.action, record = excluded.record",
                (decision.decision_id, decision.time, decision.scope, decision.action.value, record),
            )

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
        state = _lease_state(self._database.read, name)
        has_run_out = self._leases.has_run_out(name, state)
        if state.taken_by(holder, ttl_seconds, has_run_out=has_run_out) is None:
            return None
        with self._database.write(
            lock="configs"
        ) as transaction:  # a write under the lease is before or after
            now = _lease_state(transaction.execute, name)
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

    def change_token(self) -> str:
        """See ``Store``."""
        return str(self._database.config_head())

    def health(self) -> StoreHealth:
        """See ``Store``."""
        return StoreHealth(self._unreadable.found(), self._database.config_watch)

    def close(self) -> None:
        """See ``Store``."""
        self._database.close()

    def _standing(
        self, transaction: Transaction, changes: Sequence[ConfigChange]
    ) -> tuple[int, dict[str, ConfigVersion], dict[str, ConfigVersion], dict[int, ConfigVersion]]:
        """Return what ``versions_after`` wants to know: head, versions in force, by their keys, and past."""
        scopes = [change.scope for change in changes]
        keys = [change.idempotency_key for change in changes]
        restored = [change.restores for change in changes]
        marks = ",".join("?" * len(changes))
        rows = transaction.execute(
            f"SELECT idempotency_key, {_VERSION} FROM main.config_versions WHERE idempotency_key IN ({marks})"
            f" OR version IN ({marks}) OR version IN (SELECT max(version) FROM main.config_versions"
            f" UNION ALL SELECT max(version) FROM main.config_versions WHERE scope IN ({marks})"
            " GROUP BY scope) ORDER BY version",
            (*keys, *restored, *scopes),
        )
        written = {row[0]: version for row in rows if row[0] and (version := self._version_of(row[1:]))}
        past = {
            row[1]: version for row in rows if row[1] in restored and (version := self._version_of(row[1:]))
        }
        newest = {row[3]: row[1:] for row in rows if row[3] in scopes}
        current = {
            scope: version
            for scope, row in newest.items()
            if (version := self._readable(transaction.execute, row))
        }
        return rows[-1][1] if rows else 0, current, written, past

    def _readable(self, read: Callable[[str, Sequence[Any]], list[Row]], row: Row) -> ConfigVersion | None:
        """Return the version of a row, or else its scope's newest one before it that can be read."""
        while (version := self._version_of(row)) is None:
            before = read(
                f"SELECT {_VERSION} FROM main.config_versions WHERE scope = ? AND version < ?"
                " ORDER BY version DESC LIMIT 1",
                (row[2], row[0]),
            )
            if not before:
                return None
            [row] = before
        return version

    def _version_of(self, row: Row) -> ConfigVersion | None:
        version, parent, scope, config, mode, author, reason, time, restores = row
        try:
            known, unknown = TuningConfig.known_part(json.loads(config))
        except (ValueError, TypeError) as exc:
            self._unreadable.add("config version", version, exc)
            return None
        if mode not in set(Mode):
            mode, unknown = Mode.ADVISE, unknown | {"mode": mode}
        return ConfigVersion(
            version, parent, scope, known, Mode(mode), author, reason, time, restores, unknown
        )

    def _say_what_is_newer(self, version: ConfigVersion) -> None:
        if version.unknown_fields and version.version not in self._newer:
            self._newer.add(version.version)
            logger.warning(
                "%s: config version %d for %s sets %s, which only a newer athena_tuning knows; the rest is"
                " obeyed",
                self._database.name,
                version.version,
                version.scope,
                ", ".join(sorted(version.unknown_fields)),
            )

    def _decision_of(self, row: Row) -> Decision | None:
        decision_id, record = row
        try:
            return Decision.from_dict(json.loads(record))
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            self._unreadable.add("decision", decision_id, exc)
            return None


def _lease_state(read: Callable[[str, Sequence[Any]], list[Row]], name: str) -> LeaseState:
    rows = read("SELECT holder, number, renewals, seconds FROM main.leases WHERE name = ?", (name,))
    return LeaseState(*rows[0]) if rows else UNTAKEN


def _row_of(version: ConfigVersion) -> Row:
    return (
        version.version,
        version.parent,
        version.scope,
        json.dumps({**version.unknown_fields, **version.config.to_dict()}),
        version.mode.value,
        version.author,
        version.reason,
        version.time,
        version.restores,
    )


def _plain(value: Any) -> Any:
    """Turn a numpy number into a plain one; ``json`` asks for what it does not know."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{value!r} of {type(value).__name__} is no plain value")
