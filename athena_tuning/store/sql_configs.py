"""Config versions in a table of a database, and the noticing that its content was replaced."""

from __future__ import annotations

import json
import logging
import time as time_module
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from athena_tuning.frames import Records
from athena_tuning.model import ConfigSet, ConfigVersion, Experiment, Mode, TuningConfig
from athena_tuning.store.configs import ConfigChange, check_together, versions_after
from athena_tuning.store.database import Database, Row, Transaction
from athena_tuning.store.errors import StoreError
from athena_tuning.store.findings import Finding
from athena_tuning.store.health import StoreEvent, StoreHealth
from athena_tuning.store.identity import POSITION, REPLACED, Position, begin_epoch, next_epoch
from athena_tuning.store.leases import Lease, check_held
from athena_tuning.store.sql_tables import SqlTables, lease_state

logger = logging.getLogger(__name__)

_EXPERIMENT = "experiment"
"""A field beside those of the config: older programs keep it as one that they do not understand."""

_VERSION = "version, parent, scope, config, mode, author, reason, time, restores"


class SqlConfigs(SqlTables):
    """Config versions, and everything of ``SqlTables``.

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
        super().__init__(database, clock, monotonic)
        self._newer: set[int] = set()
        [row] = database.read(f"SELECT {POSITION} FROM main.identity")
        self._known = Position(*row)
        self._unnoted: Position | None = None

    def apply_configs(
        self, changes: Sequence[ConfigChange], *, under: Lease | None = None
    ) -> list[ConfigVersion]:
        """See ``Store``."""
        check_together(changes)
        if not changes:
            return []
        with self._database.write(lock="configs") as transaction:
            if under is not None:
                check_held(under, lease_state(transaction.execute, under.name))
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
        if new:
            self._database.announced(new[-1][1].version)
        return versions

    def config_set(self) -> ConfigSet:
        """See ``Store``."""
        rows = self._database.read(
            f"SELECT {POSITION}, {_VERSION} FROM main.identity LEFT JOIN main.config_versions"
            " ON version IN (SELECT max(version) FROM main.config_versions GROUP BY scope) ORDER BY version"
        )
        at = Position(*rows[0][: len(Position._fields)])
        epoch = self._followed(at).epoch
        configs = ConfigSet()
        for row in rows if at.head else ():
            version = self._readable(self._database.read, row[len(at) :])
            if version is not None:
                self._say_what_is_newer(version)
                configs = configs.with_version(version)
        return replace(configs, head=at.head, epoch=epoch)

    def config_history(self, *, limit: int = 200, scope: str | None = None) -> Records[ConfigVersion]:
        """See ``Store``."""
        where, values = ("WHERE scope = ?", (scope,)) if scope is not None else ("", ())
        rows = self._database.read(
            f"SELECT {_VERSION} FROM main.config_versions {where} ORDER BY version DESC LIMIT ?",
            (*values, limit),
        )
        return Records(ConfigVersion, filter(None, map(self._version_of, rows)))

    def change_token(self) -> str:
        """See ``Store``."""
        return self._followed(Position(*self._database.position())).token

    def examine(self) -> list[Finding]:
        """See ``Store``."""
        return self._database.examine()

    def health(self) -> StoreHealth:
        """See ``Store``."""
        at = self._followed(Position(*self._database.position()))
        return StoreHealth(at.store_id, at.epoch, self._database.config_watch, self._unreadable.found())

    def begin_epoch(self, kind: str, text: str) -> None:
        """Begin a new epoch after the content was replaced on purpose, also if that does not show.

        Args:
            kind: of the event.
            text: the event's text: who did what.
        """
        with self._database.write(lock="configs") as transaction:
            self._known = next_epoch(transaction, self._known.epoch, StoreEvent(self._clock(), kind, text))
        self._forget_what_was_stored()

    def _forget_what_was_stored(self) -> None:
        """The content was replaced: what was known of it does not hold any more."""
        self._unreadable.forget()
        self._newer.clear()

    def _followed(self, at: Position) -> Position:
        """Return where the store is; if its content was replaced since the last look, note that first."""
        known, incident = self._known, self._database.incident
        if self._unnoted is not None and at.epoch == self._unnoted.epoch and at.follows(self._unnoted):
            at = at._replace(epoch=known.epoch)
        if incident or not at.follows(known):
            at = self._replaced(known, incident or "restored")
        if at.epoch > known.epoch:
            self._forget_what_was_stored()
        self._known = at
        return at

    def _replaced(self, known: Position, what: str) -> Position:
        """Move the epoch on, unless somebody else has, or only looks at the store."""
        try:
            with self._database.write(lock="configs") as transaction:
                at = begin_epoch(transaction, known, what, self._clock())
        except StoreError as exc:
            at = Position(*self._database.position())
            if at.epoch <= known.epoch and (what != "restored" or not at.follows(known)):
                self._unnoted, at = at, at._replace(epoch=known.epoch + 1)
            logger.info("%s: who uses the store has to note its new epoch: %s", self._database.name, exc)
        self._database.incident = None
        if at.epoch > known.epoch:
            logger.warning("%s: %s", self._database.name, REPLACED[what])
        return at

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
            planned = unknown.pop(_EXPERIMENT, None)
            experiment = None if planned is None else Experiment.from_dict(planned)
        except (ValueError, TypeError) as exc:
            self._unreadable.add("config version", version, exc)
            return None
        if mode not in set(Mode):
            mode, unknown = Mode.ADVISE, unknown | {"mode": mode}
        return ConfigVersion(
            version,
            parent,
            scope,
            known,
            Mode(mode),
            author,
            reason,
            time,
            restores,
            unknown,
            experiment,
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


def _row_of(version: ConfigVersion) -> Row:
    planned = {_EXPERIMENT: version.experiment.to_dict()} if version.experiment else {}
    return (
        version.version,
        version.parent,
        version.scope,
        json.dumps({**version.unknown_fields, **version.config.to_dict(), **planned}),
        version.mode.value,
        version.author,
        version.reason,
        version.time,
        version.restores,
    )
