"""The store on a database: the same statements for SQLite and PostgreSQL."""

from __future__ import annotations

import json
import math
import time as time_module
from collections.abc import Callable, Sequence
from dataclasses import astuple, fields
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
from athena_tuning.store.configs import Change
from athena_tuning.store.database import Database, Row, Transaction

_VERSION = "version, parent, scope, config, mode, author, reason, time, restores"
_WORKER = ", ".join(field.name for field in fields(WorkerStatus))


class SqlConfigs(Store):
    """Config versions, decisions, workers, annotations, feedback, messages and leases in tables.

    Args:
        database: where the tables are.
        clock: Unix seconds for what comes without a time.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time_module.time) -> None:
        self._database = database
        self._clock = clock

    def apply_config(
        self,
        config: TuningConfig,
        *,
        expected_version: int,
        actor: str,
        reason: str,
        scope: str = "all",
        mode: Mode | None = None,
        restores: int | None = None,
        idempotency_key: str | None = None,
        time: float | None = None,
    ) -> ConfigVersion:
        """See ``Store``."""
        at = self._clock() if time is None else time
        change = Change(config, expected_version, actor, reason, scope, mode, restores, at)
        with self._database.write(lock="configs") as transaction:
            by_key, current, head = _at(transaction, scope, idempotency_key)
            if by_key:
                return by_key
            version = change.version_after(head, current)
            transaction.run(
                f"INSERT INTO config_versions ({_VERSION}, idempotency_key) VALUES (?,?,?,?,?,?,?,?,?,?)",
                (*_row_of(version), idempotency_key),
            )
            self._database.announce(transaction, version.version)
        return version

    def config_set(self) -> ConfigSet:
        """See ``Store``."""
        rows = self._database.read(
            f"SELECT {_VERSION} FROM config_versions WHERE version IN"
            " (SELECT max(version) FROM config_versions GROUP BY scope) ORDER BY version"
        )
        configs = ConfigSet()
        for row in rows:
            configs = configs.with_version(_version_of(row))
        return configs

    def config_history(self, *, limit: int = 200, scope: str | None = None) -> Records[ConfigVersion]:
        """See ``Store``."""
        where, values = ("WHERE scope = ?", (scope,)) if scope is not None else ("", ())
        rows = self._database.read(
            f"SELECT {_VERSION} FROM config_versions {where} ORDER BY version DESC LIMIT ?",
            (*values, limit),
        )
        return Records(ConfigVersion, map(_version_of, rows))

    def append_decision(self, decision: Decision) -> None:
        """See ``Store``."""
        record = json.dumps(decision.to_dict(), default=_plain)
        with self._database.write() as transaction:
            transaction.run(
                "INSERT INTO decisions (decision_id, time, scope, action, record) VALUES (?,?,?,?,?)"
                " ON CONFLICT (decision_id) DO UPDATE SET time = excluded.time, scope = excluded.scope,"
                " action = excluded.action, record = excluded.record",
                (decision.decision_id, decision.time, decision.scope, decision.action.value, record),
            )

    def decisions(self, *, limit: int = 200) -> Records[Decision]:
        """See ``Store``."""
        rows = self._database.read(
            "SELECT record FROM decisions ORDER BY time DESC, decision_id DESC LIMIT ?", (limit,)
        )
        return Records(Decision, (Decision.from_dict(json.loads(record)) for (record,) in rows))

    def report_worker(self, status: WorkerStatus) -> None:
        """See ``Store``."""
        updates = ", ".join(f"{name} = excluded.{name}" for name in _WORKER.split(", ")[1:])
        with self._database.write() as transaction:
            transaction.run(
                f"INSERT INTO workers ({_WORKER}) VALUES (?,?,?,?,?,?,?,?,?)"
                f" ON CONFLICT (worker_id) DO UPDATE SET {updates}",
                astuple(status),
            )

    def workers(self) -> Records[WorkerStatus]:
        """See ``Store``."""
        rows = self._database.read(f"SELECT {_WORKER} FROM workers ORDER BY last_seen DESC, worker_id")
        return Records(WorkerStatus, (WorkerStatus(*row) for row in rows))

    def annotate(self, annotation: Annotation) -> None:
        """See ``Store``."""
        with self._database.write() as transaction:
            transaction.run(
                "INSERT INTO annotations (time, text, author) VALUES (?,?,?)",
                (annotation.time, annotation.text, annotation.author),
            )

    def annotations(self, *, since: float = 0.0) -> list[Annotation]:
        """See ``Store``."""
        rows = self._database.read(
            "SELECT time, text, author FROM annotations WHERE time >= ? ORDER BY time, id", (since,)
        )
        return [Annotation(*row) for row in rows]

    def append_feedback(self, given: Sequence[Feedback]) -> None:
        """See ``Store``."""
        with self._database.write() as transaction:
            transaction.run_many(
                "INSERT INTO feedback (query_id, score, time) VALUES (?,?,?)"
                " ON CONFLICT (query_id) DO UPDATE SET score = excluded.score, time = excluded.time",
                sorted(astuple(feedback) for feedback in {f.query_id: f for f in given}.values()),
            )

    def feedback(self, *, since: float = 0.0) -> list[Feedback]:
        """See ``Store``."""
        rows = self._database.read(
            "SELECT query_id, score, time FROM feedback WHERE time >= ? ORDER BY time, query_id", (since,)
        )
        return [Feedback(*row) for row in rows]

    def post(self, topic: str, key: str, text: str) -> None:
        """See ``Store``."""
        now = self._database.now()
        with self._database.write() as transaction:
            transaction.run(
                "INSERT INTO messages (topic, key, text, time) VALUES (?,?,?,?)"
                " ON CONFLICT (topic, key) DO UPDATE SET text = excluded.text, time = excluded.time",
                (topic, key, text, now),
            )

    def posted(self, topic: str, *, within: float = math.inf) -> dict[str, str]:
        """See ``Store``."""
        since = self._database.now() - within if within < math.inf else 0.0
        rows = self._database.read(
            "SELECT key, text FROM messages WHERE topic = ? AND time >= ? ORDER BY time, key", (topic, since)
        )
        return dict(rows)

    def acquire_lease(self, name: str, holder: str, ttl_seconds: float) -> bool:
        """See ``Store``."""
        now = self._database.now()
        with self._database.write() as transaction:
            taken = transaction.execute(
                "INSERT INTO leases (name, holder, ends) VALUES (?,?,?) ON CONFLICT (name) DO UPDATE"
                " SET holder = excluded.holder, ends = excluded.ends"
                " WHERE leases.holder = excluded.holder OR leases.ends <= ? RETURNING holder",
                (name, holder, now + ttl_seconds, now),
            )
        return bool(taken)

    def release_lease(self, name: str, holder: str) -> None:
        """See ``Store``."""
        with self._database.write() as transaction:
            transaction.run("DELETE FROM leases WHERE name = ? AND holder = ?", (name, holder))

    def change_token(self) -> str:
        """See ``Store``."""
        return str(self._database.config_head())

    def close(self) -> None:
        """See ``Store``."""
        self._database.close()


def _at(
    transaction: Transaction, scope: str, key: str | None
) -> tuple[ConfigVersion | None, ConfigVersion | None, int]:
    """Return the version with this idempotency key, the one in force for the scope, and the newest number."""
    rows = transaction.execute(
        f"SELECT idempotency_key, {_VERSION} FROM config_versions WHERE idempotency_key = ?"
        " OR version IN (SELECT max(version) FROM config_versions"
        " UNION ALL SELECT max(version) FROM config_versions WHERE scope = ?) ORDER BY version",
        (key, scope),
    )
    found = [(row[0], _version_of(row[1:])) for row in rows]
    by_key = [version for its_key, version in found if key is not None and its_key == key]
    in_scope = [version for _, version in found if version.scope == scope]
    head = found[-1][1].version if found else 0
    return by_key[0] if by_key else None, in_scope[-1] if in_scope else None, head


def _version_of(row: Row) -> ConfigVersion:
    version, parent, scope, config, mode, author, reason, time, restores = row
    values = TuningConfig.from_dict(json.loads(config))
    return ConfigVersion(version, parent, scope, values, Mode(mode), author, reason, time, restores)


def _row_of(version: ConfigVersion) -> Row:
    return (
        version.version,
        version.parent,
        version.scope,
        json.dumps(version.config.to_dict()),
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
