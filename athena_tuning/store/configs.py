"""The rules of config versions: who may write what, the same for every store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields

from athena_tuning.model import EXPERIMENT, ConfigVersion, Experiment, Mode, TuningConfig
from athena_tuning.store.errors import ConfigConflict

_KNOWN = {"mode", "experiment", *(field.name for field in fields(TuningConfig))}


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """What somebody wants to put in force for one scope.

    Attributes:
        config: the values.
        expected_version: the version in force for ``scope`` that the writer saw; 0 for none.
        actor: who writes.
        reason: why, for the history.
        scope: "all" or a query type.
        mode: who steers from now on; None keeps the scope's mode (ADVISE at first).
        restores: the version that a rollback brings back; 0 ends a type's exception, so that the type
            runs under the config for all from now on.
        idempotency_key: a second change with the same key is not made: the first one's version stands.
        time: Unix seconds; None is the moment of writing.
        experiment: of a config that is only to be tried, when; its scope is ``EXPERIMENT`` then.

    Raises:
        ValueError: if scope, actor or reason are empty, the expected version is negative, or a config for the
            scope ``EXPERIMENT`` neither begins an experiment nor ends one.

    Examples:
        >>> change = ConfigChange(TuningConfig(), expected_version=0, actor="ana", reason="a start")
        >>> change.version_after(0, None, now=5.0).version
        1
    """

    config: TuningConfig
    _: KW_ONLY
    expected_version: int
    actor: str
    reason: str
    scope: str = "all"
    mode: Mode | None = None
    restores: int | None = None
    idempotency_key: str | None = None
    time: float | None = None
    experiment: Experiment | None = None

    def __post_init__(self) -> None:
        for name in ("scope", "actor", "reason"):
            if not getattr(self, name):
                raise ValueError(f"a config change needs a {name}")
        if self.expected_version < 0:
            raise ValueError(f"expected_version must be 0 or more, not {self.expected_version}")
        experiments = self.experiment is not None or self.restores == 0
        if (self.scope == EXPERIMENT and not experiments) or (self.experiment and self.scope != EXPERIMENT):
            raise ValueError(f"the scope {EXPERIMENT} is for experiments, and they are for no other one")

    def version_after(
        self, head: int, current: ConfigVersion | None, now: float, restored: ConfigVersion | None = None
    ) -> ConfigVersion:
        """Return the version that this change makes.

        Fields of a newer program go along with the version that they stand in: this program cannot have
        meant to change them.

        Args:
            head: the newest version of all scopes, 0 for none.
            current: the version in force for the scope.
            now: Unix seconds.
            restored: the version that ``restores`` names; None if there is none, or it cannot be read.

        Raises:
            ConfigConflict: if the writer had seen another version than ``current``.
            ValueError: if what it restores never was.
        """
        if current is not None and current.ends_exception:
            current = None
        if self.restores == 0 and (self.scope == "all" or current is None):
            raise ValueError(f"{self.scope!r} has no exception to end")
        if self.restores is not None and not 0 <= self.restores <= head:
            raise ValueError(f"there is no version {self.restores} to restore")
        at = current.version if current else 0
        if at != self.expected_version:
            raise ConfigConflict(self.expected_version, current, self.config, self.scope)
        mode = Mode(self.mode) if self.mode else current.mode if current else Mode.ADVISE
        source = restored if self.restores else current
        unknown = source.unknown_fields if source else {}
        return ConfigVersion(
            head + 1,
            at,
            self.scope,
            self.config,
            mode,
            self.actor,
            self.reason,
            now if self.time is None else self.time,
            self.restores,
            {name: value for name, value in unknown.items() if name not in _KNOWN},
            self.experiment,
        )


def check_together(changes: Sequence[ConfigChange]) -> None:
    """Refuse changes that cannot be made in one step.

    Raises:
        ValueError: if two change the same scope or share an idempotency key; the message names it.
    """
    for what in ("scope", "idempotency_key"):
        values = [value for value in (getattr(change, what) for change in changes) if value is not None]
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f"two changes at once have the {what.replace('_', ' ')} {twice[0]!r}")


def versions_after(
    changes: Sequence[ConfigChange],
    head: int,
    current: Mapping[str, ConfigVersion],
    written: Mapping[str, ConfigVersion],
    past: Mapping[int, ConfigVersion],
    now: float,
) -> list[ConfigVersion]:
    """Return the version of each change, new ones numbered on from ``head``.

    Args:
        changes: of different scopes.
        head: the newest version of all scopes, 0 for none.
        current: the versions in force, by scope.
        written: versions that are there already, by idempotency key.
        past: the versions that are restored, by number.
        now: Unix seconds.

    Raises:
        ConfigConflict, ValueError: as ``ConfigChange.version_after`` does, for the first that cannot be made.
    """
    versions: list[ConfigVersion] = []
    for change in changes:
        version = written.get(change.idempotency_key) if change.idempotency_key is not None else None
        if version is None:
            version = change.version_after(
                head, current.get(change.scope), now, past.get(change.restores or 0)
            )
            head = version.version
        versions.append(version)
    return versions
