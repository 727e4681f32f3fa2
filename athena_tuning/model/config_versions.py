"""Versions of configs, and those in force together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from athena_tuning.model.configs import FrozenDict, Mode, TuningConfig
from athena_tuning.model.experiment import EXPERIMENT, Experiment


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """One entry of the append-only history of configs.

    Versions number all scopes together, from 1, without gaps. ``scope`` is "all" or a query type;
    ``parent`` is the version that was in force for that scope before (0: none), ``restores`` the version
    that a rollback brings back. A type's version that restores 0 ends its exception: from then on the type
    has no config of its own and runs under the one for all types. ``unknown_fields`` are what a newer program
    wrote and this one does not understand, by name: ``config`` is obeyed without them. A version with an
    ``experiment`` stands in the scope ``EXPERIMENT``: its config is only tried, in turns with that in force.
    """

    version: int
    parent: int
    scope: str
    config: TuningConfig
    mode: Mode
    author: str
    reason: str
    time: float
    restores: int | None = None
    unknown_fields: Mapping[str, Any] = field(default_factory=dict, hash=False)
    experiment: Experiment | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "unknown_fields", FrozenDict(self.unknown_fields))

    @property
    def ends_experiment(self) -> bool:
        """Whether a config is no longer tried from this version on."""
        return self.scope == EXPERIMENT and self.experiment is None

    @property
    def applies_to(self) -> str:
        """The scope that its values are for: of one that is only tried, that of the experiment."""
        return self.scope if self.experiment is None else self.experiment.scope

    @property
    def ends_exception(self) -> bool:
        """Whether the type has no config of its own from this version on."""
        return self.restores == 0

    def to_dict(self) -> dict[str, Any]:
        """Return the version as plain JSON types."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return values | {
            "config": self.config.to_dict(),
            "mode": self.mode.value,
            "unknown_fields": dict(self.unknown_fields),
            "experiment": self.experiment.to_dict() if self.experiment else None,
        }


@dataclass(frozen=True, slots=True)
class ConfigSet:
    """The configs in force at one moment: one for all types, and the exceptions by type.

    ``tried`` is the newest version of the scope ``EXPERIMENT``: a config that is tried, or the end of that.

    Examples:
        >>> ConfigSet().for_type("temporal").max_concurrent
        5
    """

    head: int = 0
    default: ConfigVersion = ConfigVersion(
        0, 0, "all", TuningConfig(), Mode.ADVISE, "athena_tuning", "defaults", 0.0
    )
    by_type: Mapping[str, ConfigVersion] = field(default_factory=dict)
    epoch: int = 0
    tried: ConfigVersion | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.head, self.default, dict(self.by_type), self.epoch, self.tried))

    def is_older_than(self, other: ConfigSet) -> bool:
        """Return whether ``other`` came into force later."""
        return (self.epoch, self.head) < (other.epoch, other.head)

    def for_type(self, query_type: str) -> TuningConfig:
        """Return the config for a query of this type."""
        return self.by_type.get(query_type, self.default).config

    def in_scope(self, scope: str) -> ConfigVersion | None:
        """Return the version in force for exactly this scope ("all" or a type), or None."""
        if scope == EXPERIMENT:
            return self.tried
        return self.default if scope == "all" else self.by_type.get(scope)

    @property
    def on_trial(self) -> ConfigVersion | None:
        """The version that is tried in turns with what is in force; None once anything was written since."""
        tried = self.tried
        if tried is None or tried.experiment is None or tried.version != self.head:
            return None
        base = self.by_type.get(tried.experiment.scope, self.default)
        return tried if base.version == tried.experiment.base else None

    def in_turn(self) -> ConfigSet:
        """Return what is in force while it is the turn of the config that is tried."""
        tried = self.on_trial
        if tried is None:
            return self
        scope = tried.applies_to
        if scope == "all":
            return replace(self, default=replace(tried, scope=scope))
        return replace(self, by_type=MappingProxyType({**self.by_type, scope: replace(tried, scope=scope)}))

    def with_version(self, version: ConfigVersion) -> ConfigSet:
        """Return the set after ``version`` came into force."""
        head = max(self.head, version.version)
        if version.scope == "all":
            return replace(self, head=head, default=version)
        if version.scope == EXPERIMENT:
            return replace(self, head=head, tried=version)
        by_type = {**self.by_type, version.scope: version}
        if version.ends_exception:
            del by_type[version.scope]
        return replace(self, head=head, by_type=MappingProxyType(by_type))
