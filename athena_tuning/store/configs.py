"""The rules of config versions: who may write what, the same for every store."""

from __future__ import annotations

from dataclasses import dataclass

from athena_tuning.model import ConfigVersion, Mode, TuningConfig
from athena_tuning.store.errors import ConfigConflict


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody wants to put in force. See ``Store.apply_config`` for the fields.

    Raises:
        ValueError: if scope, actor or reason are empty, or the expected version is negative.
    """

    config: TuningConfig
    expected_version: int
    actor: str
    reason: str
    scope: str
    mode: Mode | None
    restores: int | None
    time: float

    def __post_init__(self) -> None:
        for name in ("scope", "actor", "reason"):
            if not getattr(self, name):
                raise ValueError(f"a config change needs a {name}")
        if self.expected_version < 0:
            raise ValueError(f"expected_version must be 0 or more, not {self.expected_version}")

    def version_after(self, head: int, current: ConfigVersion | None) -> ConfigVersion:
        """Return the version that this change makes.

        Args:
            head: the newest version of all scopes, 0 for none.
            current: the version in force for the scope.

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
            raise ConfigConflict(self.expected_version, current, self.config)
        mode = Mode(self.mode) if self.mode else current.mode if current else Mode.ADVISE
        return ConfigVersion(
            head + 1, at, self.scope, self.config, mode, self.actor, self.reason, self.time, self.restores
        )
