"""Which configs are in force here: read from the store, changed through the store."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from athena_tuning.control import operations
from athena_tuning.model import ConfigSet, ConfigVersion, Mode, TuningStrategy
from athena_tuning.store import ConfigChange, ConfigConflict, Lease, Store, StoreError

logger = logging.getLogger(__name__)

_CONFLICTS = 4
"""So often an operation is done anew because somebody else wrote at the same time."""


BLIND_SECONDS = 5.0
"""So long after the last look at the store no config is tried any more: nobody could end that."""


LATE_SECONDS = 60.0
"""So long after its last block an experiment that nobody has judged counts as ended."""


class ConfigFollower:
    """The configs in force here.

    ``configs`` is replaced as a whole, so that a recall reads it without a lock. A store that is down
    leaves the last configs in force, and ends the turns of one that is only tried.

    Args:
        store: where config versions live.
        start: what holds as long as nobody has written a config.
        obey: called with what is to be obeyed whenever that changes, one call at a time, the newest last. It
            must be quick and call nobody's code but ours.
        clock: Unix seconds.
        monotonic: seconds that never jump.

    Attributes:
        configs: those in force.
        obeyed: the same; while an experiment has its turn, with the config that is tried.
    """

    def __init__(
        self,
        store: Store,
        start: ConfigSet,
        obey: Callable[[ConfigSet], None],
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.configs = self.obeyed = self._in_turn = start
        self._store = store
        self._start = start
        self._obey = obey
        self._clock = clock
        self._monotonic = monotonic
        self._looked = monotonic()
        self._lock = threading.Lock()
        self._token: str | None = None

    def watch(self) -> None:
        """Obey what others have written since the last look.

        Raises:
            StoreError: if the store cannot be read; the configs stay.
        """
        token = self._store.change_token()
        self._looked = self._monotonic()
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

    def start_with(self, configs: ConfigSet) -> None:
        """Begin with other configs than those of the start; nobody is told."""
        self.configs = self.obeyed = self._in_turn = configs

    def take_turns(self) -> None:
        """Obey the config whose turn it is, where two are compared. It never waits for the store."""
        with self._lock:
            wanted = self._whose_turn()
            if wanted is not self.obeyed:
                self.obeyed = wanted
                self._obey(wanted)

    def obey_again(self) -> None:
        """Obey the configs in force once more: how they are obeyed here has changed, not what they say."""
        with self._lock:
            self._obey(self.obeyed)

    def apply(self, changes: Sequence[ConfigChange], *, under: Lease | None = None) -> list[ConfigVersion]:
        """Write config versions, all or none (see ``Store.apply_configs``), and obey them from now on.

        Raises:
            LeaseLost: if they were to be written under a lease that somebody else has by now.
            ConfigConflict: if another version is in force by now; it is obeyed from now on.
            StoreError: if they could not be stored.
        """
        now = self._clock()
        dated = [replace(change, time=now) if change.time is None else change for change in changes]
        try:
            versions = self._store.apply_configs(dated, under=under)
        except ConfigConflict:
            self._take(self._store.config_set())
            raise
        try:
            configs = self._store.config_set()
        except StoreError as exc:  # they are written: what others wrote beside them is seen at the next look
            logger.warning("the configs were written, but could not be read again: %s", exc)
            configs = self.configs
            for version in versions:
                configs = configs.with_version(version)
        self._take(configs)
        return versions

    def rewrite(self, operation: Callable[[ConfigSet], list[ConfigChange]]) -> list[ConfigVersion]:
        """Do an operation on whatever is in force, also if somebody else writes at the same time.

        Args:
            operation: gives the changes, from the configs in force; asked anew after a conflict.

        Raises: as ``apply`` and the operation do.
        """
        self.watch()  # an exception that another has just made would be passed over: no conflict tells of it
        for _ in range(_CONFLICTS):
            try:
                return self.apply(operation(self.configs))
            except ConfigConflict as conflict:
                logger.info("somebody else wrote at the same time: %s", conflict)
        return self.apply(operation(self.configs))

    def _take(self, configs: ConfigSet) -> None:
        if configs.head == 0:
            configs = replace(self._start, epoch=configs.epoch)
        with self._lock:
            before = self.configs
            if configs.is_older_than(before) or configs == before:
                return  # an older read that came late, or nothing new
            self.configs, self._in_turn = configs, configs.in_turn()
            self.obeyed = self._whose_turn()
            self._obey(self.obeyed)
        for change in _described(before, configs):
            logger.info("%s", change)

    @property
    def on_trial(self) -> ConfigVersion | None:
        """The config that is tried now, also while it is not its turn; None where nothing is."""
        tried = self.configs.on_trial
        over = (
            tried is None or tried.experiment is None or self._clock() > tried.experiment.ends + LATE_SECONDS
        )
        return None if over else tried

    def _whose_turn(self) -> ConfigSet:
        tried = self.configs.on_trial
        if tried is None or tried.experiment is None or self._monotonic() - self._looked > BLIND_SECONDS:
            return self.configs
        return self._in_turn if tried.experiment.tries_at(self._clock()) else self.configs

    def _write(self, configs: ConfigSet, empty: ConfigSet, reason: str) -> None:
        """Let everybody see what is in force here, unless somebody else wrote into the empty store first."""
        if configs == replace(ConfigSet(), epoch=configs.epoch):
            self._take(empty)
            return
        versions = (configs.default, *configs.by_type.values())
        try:
            self.apply(
                [
                    change
                    for version in versions
                    for change in operations.apply(
                        ConfigSet(),
                        version.config,
                        actor="manager",
                        reason=reason,
                        scope=version.scope,
                        expected_version=0,
                        mode=version.mode,
                    )
                ]
            )
        except ConfigConflict:
            logger.info("configs were written while this worker wrote its own: they hold")


def first_configs(strategy: TuningStrategy, mode: Mode) -> ConfigSet:
    """Return what is in force before anybody has written a config.

    Examples:
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
