"""What one may do to the configs of a worker: the operations, asked of the worker itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from athena_tuning.control import operations
from athena_tuning.control.config_follower import ConfigFollower
from athena_tuning.model import ConfigSet, ConfigVersion, Mode, TuningConfig, TuningStrategy
from athena_tuning.store import ConfigChange, Store
from athena_tuning.tuning import AutoTuner


class Steerable(ABC):
    """Configs that can be changed; a change is in force here for the next recall when its method returns.

    ``apply_config``, ``apply_configs`` and ``undo`` are refused where somebody else wrote first. The others
    are done on top of whatever is in force. Each writes all of its versions or none.

    Attributes:
        store: where versions are kept.
        tuner: gives the values that a strategy asks for.
    """

    store: Store
    tuner: AutoTuner
    _follower: ConfigFollower

    @abstractmethod
    def _propose(self, at: ConfigVersion) -> TuningConfig:
        """Return the values that a scope should have under the tuner's strategy, on today's evidence."""

    @property
    def configs(self) -> ConfigSet:
        """The configs in force here."""
        return self._follower.configs

    @property
    def config(self) -> TuningConfig:
        """The config in force for all types."""
        return self.configs.default.config

    @property
    def mode(self) -> Mode:
        """Who steers."""
        return self.configs.default.mode

    def apply_configs(self, changes: Sequence[ConfigChange]) -> list[ConfigVersion]:
        """Write config versions of several scopes.

        Raises: as ``Store.apply_configs`` does; after a ``ConfigConflict`` what is in force is obeyed.
        """
        return self._follower.apply(changes)

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
    ) -> ConfigVersion:
        """Write a config as a new version.

        Args: as for ``ConfigChange``.

        Raises:
            ConfigConflict: if another version is in force by now.
            StoreError: if it could not be stored; then nothing changed.
        """
        change = ConfigChange(
            config,
            expected_version=expected_version,
            actor=actor,
            reason=reason,
            scope=scope,
            mode=mode,
            restores=restores,
            idempotency_key=idempotency_key,
        )
        [version] = self.apply_configs([change])
        return version

    def set_mode(self, mode: Mode, *, actor: str, reason: str, scope: str = "all") -> list[ConfigVersion]:
        """Say who steers from now on; with "all", for the exceptions by type too.

        Raises:
            StoreError: if it could not be stored.
        """
        chosen = Mode(mode)
        return self._follower.rewrite(
            lambda configs: operations.set_mode(configs, chosen, actor=actor, reason=reason, scope=scope)
        )

    def update_tuning_strategy(
        self, strategy: TuningStrategy, *, actor: str = "operator", reason: str | None = None
    ) -> list[ConfigVersion]:
        """Switch the strategy, with the values that it asks for on today's evidence.

        The exceptions by type come along. Where a scope is pinned, its values stay and only the strategy is
        noted.

        Raises:
            ValueError: if there is no such strategy.
            StoreError: if it could not be stored.
        """
        chosen = TuningStrategy(strategy)
        why, before = reason or f"strategy {chosen.value}", self.tuner.strategy
        self.tuner.update_strategy(chosen)  # it proposes under the one that it has
        try:
            return self._follower.rewrite(
                lambda configs: operations.switch_strategy(
                    configs, chosen, self._propose, actor=actor, reason=why
                )
            )
        except BaseException:
            self.tuner.update_strategy(before)
            raise

    def roll_back(self, version: int, *, actor: str, reason: str) -> ConfigVersion:
        """Put an earlier version's values and mode in force again, for its scope.

        Raises:
            ValueError: if there is no such version, or it ended an exception that there is not.
            StoreError: if it could not be stored.
        """
        history = self.store.config_history(limit=operations.HISTORY)
        [written] = self._follower.rewrite(
            lambda configs: operations.roll_back(configs, history, version, actor=actor, reason=reason)
        )
        return written

    def undo(self, *, actor: str, scope: str = "all") -> list[ConfigVersion]:
        """Take back the newest change of a scope; the reason of what is written says which.

        Raises:
            ConfigConflict: if somebody else writes at the same time: that is not what was to be taken back.
            ValueError: if there is nothing to take back.
            StoreError: if it could not be stored.
        """
        configs, history = self.store.config_set(), self.store.config_history(limit=operations.HISTORY)
        return self._follower.apply(operations.undo(configs, history, actor=actor, scope=scope))

    def end_exception(self, query_type: str, *, actor: str, reason: str) -> ConfigVersion:
        """Let a type run under the config for all from now on.

        Raises:
            ValueError: if the type has no config of its own.
            StoreError: if it could not be stored.
        """
        [written] = self._follower.rewrite(
            lambda configs: operations.end_exception(configs, query_type, actor=actor, reason=reason)
        )
        return written
