"""Which configs are in force here: read from the store, changed through the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from athena_tuning.model import ConfigSet, ConfigVersion, Mode, TuningConfig, TuningStrategy
from athena_tuning.store import ConfigChange, ConfigConflict, Store

logger = logging.getLogger(__name__)


class ConfigFollower:
    """The configs in force here.

    ``configs`` is replaced as a whole, so that a recall reads it without a lock. A store that is down
    leaves the last configs in force.

    Args:
        store: where config versions live.
        start: what holds as long as nobody has written a config.
        obey: called with the configs whenever others are in force, one call at a time, the newest last. It
            must be quick and call nobody's code but ours.
        clock: Unix seconds.

    Attributes:
        configs: those in force.
    """

    def __init__(
        self,
        store: Store,
        start: ConfigSet,
        obey: Callable[[ConfigSet], None],
        clock: Callable[[], float],
    ) -> None:
        self.configs = start
        self._store = store
        self._start = start
        self._obey = obey
        self._clock = clock
        self._lock = threading.Lock()
        self._token: str | None = None

    def watch(self) -> None:
        """Obey what others have written since the last look.

        Raises:
            StoreError: if the store cannot be read; the configs stay.
        """
        token = self._store.change_token()
        if token == self._token:
            return
        configs = self._store.config_set()
        if configs.head == 0 and configs.epoch > self.configs.epoch:
            self._write(self.configs, configs, "carried over: the store's content was lost")
        elif configs.head == 0 and self._start != ConfigSet():
            self._write(self._start, configs, "as started")
        else:
            self._take(configs)
        self._token = token

    def apply(self, changes: Sequence[ConfigChange]) -> list[ConfigVersion]:
        """Write config versions, all or none (see ``Store.apply_configs``), and obey them from now on.

        Raises:
            ConfigConflict: if another version is in force by now; it is obeyed from now on.
            StoreError: if they could not be stored.
        """
        now = self._clock()
        dated = [replace(change, time=now) if change.time is None else change for change in changes]
        try:
            versions = self._store.apply_configs(dated)
        except ConfigConflict:
            self._take(self._store.config_set())
            raise
        self._take(self._store.config_set())
        return versions

    def rewrite(self, change: Callable[[ConfigVersion], TuningConfig], **how: Any) -> None:
        """Write changed configs over whatever is in force, for all types and for each exception.

        Somebody else may write at the same time: then it is done anew on top of that.

        Raises: as ``apply`` does.
        """
        for scope in ("all", *self.configs.by_type):
            self._rewrite(scope, change, **how)

    def _rewrite(self, scope: str, change: Callable[[ConfigVersion], TuningConfig], **how: Any) -> None:
        for attempt in range(5):
            at = self.configs.in_scope(scope)
            if at is None:
                return  # the exception is gone
            try:
                self.apply([ConfigChange(change(at), expected_version=at.version, scope=scope, **how)])
            except ConfigConflict:
                if attempt == 4:
                    raise
            else:
                return

    def _take(self, configs: ConfigSet) -> None:
        if configs.head == 0:
            configs = replace(self._start, epoch=configs.epoch)
        with self._lock:
            before = self.configs
            if configs.is_older_than(before) or configs == before:
                return  # an older read that came late, or nothing new
            self.configs = configs
            self._obey(configs)
        for change in _described(before, configs):
            logger.info("%s", change)

    def _write(self, configs: ConfigSet, empty: ConfigSet, reason: str) -> None:
        """Let everybody see what is in force here, unless somebody else wrote into the empty store first."""
        if configs == replace(ConfigSet(), epoch=configs.epoch):
            self._take(empty)
            return
        versions = (configs.default, *configs.by_type.values())
        try:
            self.apply(
                [
                    ConfigChange(
                        version.config,
                        expected_version=0,
                        actor="manager",
                        reason=reason,
                        scope=version.scope,
                        mode=version.mode,
                    )
                    for version in versions
                ]
            )
        except ConfigConflict:
            logger.info("configs were written while this worker wrote its own: they hold")


def first_configs(strategy: TuningStrategy, mode: Mode) -> ConfigSet:
    """Return what is in force before anybody has written a config.

    Example:
        >>> first_configs(TuningStrategy.COST, Mode.PINNED).default.mode
        <Mode.PINNED: 'pinned'>
    """
    defaults = ConfigSet()
    config = replace(defaults.default.config, strategy=TuningStrategy(strategy))
    return replace(defaults, default=replace(defaults.default, config=config, mode=Mode(mode)))


def _described(before: ConfigSet, after: ConfigSet) -> Iterator[str]:
    """Say for the log what has changed."""
    for scope in dict.fromkeys(("all", *before.by_type, *after.by_type)):
        was, now = before.in_scope(scope), after.in_scope(scope)
        if now is None:
            yield f"{scope} has no config of its own any more: the one for all types is in force"
        elif was is None or was.version != now.version:
            changes = (was or before.default).config.changes_to(now.config)
            values = ", ".join(f"{name} {old} → {new}" for name, (old, new) in changes.items())
            yield (
                f"config version {now.version} for {scope} is in force ({now.mode}, by {now.author}):"
                f" {values or 'no value changes'}"
            )
