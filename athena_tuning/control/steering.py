"""Which configs a manager obeys, and who changes them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from athena_tuning.control.shared_window import Gathering
from athena_tuning.model import ConfigSet, ConfigVersion, Decision, Mode, TuningConfig, TuningStrategy
from athena_tuning.store import ConfigConflict, Store, StoreError
from athena_tuning.tuning import AutoTuner

logger = logging.getLogger(__name__)

LEASE = "tuner"
LEASE_SECONDS = 6.0
RENEW_SECONDS = 2.0


class Steering:
    """The configs in force here: read from the store, changed through the store.

    ``configs`` is replaced as a whole, so that a recall reads it without a lock. A store that is down
    leaves the last configs in force.

    Args:
        store: where config versions live.
        tuner: decides; it is told what is in force.
        worker_id: whose lease on tuning this is. Of all managers on a store one tunes at a time.
        gathering: brings the tuner the evidence of all workers; None: it has its own.
        start: what holds as long as nobody has written a config.
        tell: called with the configs whenever others are in force; it may not write any.
        clock: Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        tuner: AutoTuner,
        worker_id: str,
        gathering: Gathering | None,
        start: ConfigSet,
        tell: Callable[[ConfigSet], None],
        clock: Callable[[], float],
    ) -> None:
        self.configs = start
        self.latest_decisions: dict[str, Decision] = {}
        self._store = store
        self._tuner = tuner
        self._worker_id = worker_id
        self._gathering = gathering
        self._start = start
        self._tell = tell
        self._clock = clock
        self._lock = threading.Lock()
        self._token: str | None = None
        self._leads_until = self._look_again = 0.0
        self._unrecorded: deque[Decision] = deque(maxlen=1000)
        tuner.in_force(start)

    @property
    def mode(self) -> Mode:
        """Who steers the config for all types."""
        return self.configs.default.mode

    def watch(self) -> None:
        """Obey what others have written since the last look.

        Raises:
            StoreError: if the store cannot be read; the configs stay.
        """
        token = self._store.change_token()
        if token == self._token:
            return
        configs = self._store.config_set()
        if configs.head == 0 and self._start != ConfigSet():
            self._write_start()
        else:
            self._obey(configs)
        self._token = token

    def apply(self, config: TuningConfig, **how: Any) -> ConfigVersion:
        """Write a config version (see ``Store.apply_config``) and obey it from now on.

        Raises:
            ConfigConflict: if another version is in force by now; it is obeyed from now on.
            StoreError: if it could not be stored.
        """
        try:
            version = self._store.apply_config(config, time=self._clock(), **how)
        except ConfigConflict:
            self._obey(self._store.config_set())
            raise
        self._obey(self._store.config_set())
        return version

    def set_mode(self, mode: Mode, *, actor: str, reason: str) -> None:
        """Say who steers, for all types and for each exception."""
        for scope in self._scopes():
            self._rewrite(scope, lambda at: at.config, actor=actor, reason=reason, mode=mode)

    def update_strategy(self, strategy: TuningStrategy, *, actor: str, reason: str) -> None:
        """Switch the strategy; the next recall runs under what it asks for.

        The values come along with the strategy, as the tuner proposes them on today's evidence; only where
        a scope is pinned its values stay and the strategy is noted.
        """
        self._tuner.update_strategy(strategy)
        for scope in self._scopes():
            self._rewrite(scope, lambda at: self._under(strategy, at), actor=actor, reason=reason, mode=None)

    def tune(self) -> None:
        """Let the tuner decide, if this manager leads; keep, and in mode AUTO apply, what it decided.

        Raises:
            StoreError: if the store is down; what was decided is recorded later.
        """
        now = self._clock()
        if not self._leads(now):
            return
        if self._gathering is not None:
            self._gathering.take_own()
            for scored in self._gathering.take_others():
                self._tuner.contributions.rate_record(scored)
        for decision in self._tuner.step(self.configs, now):
            self._unrecorded.append(self._carried_out(decision))
        while self._unrecorded:
            self._store.append_decision(self._unrecorded[0])
            self._unrecorded.popleft()

    def close(self) -> None:
        """Let another manager tune. If the store is down, the lease runs out by itself."""
        try:
            self._store.release_lease(LEASE, self._worker_id)
        except StoreError as exc:
            logger.info("the lease on tuning runs out in %g s: %s", LEASE_SECONDS, exc)

    def _obey(self, configs: ConfigSet) -> None:
        if configs.head == 0:
            configs = self._start
        with self._lock:
            if configs.head < self.configs.head:
                return  # an older read that came late
            before, self.configs = self.configs, configs
            if configs != before:
                self._tell(configs)
                self._tuner.in_force(configs)

    def _write_start(self) -> None:
        """Let everybody see what this manager was started with, unless somebody else wrote meanwhile."""
        start = self._start.default
        try:
            self.apply(
                start.config, expected_version=0, actor="manager", reason="as started", mode=start.mode
            )
        except ConfigConflict:
            logger.info("configs were written while this manager started: they hold")

    def _scopes(self) -> tuple[str, ...]:
        return ("all", *self.configs.by_type)

    def _under(self, strategy: TuningStrategy, at: ConfigVersion) -> TuningConfig:
        if at.mode is Mode.PINNED:
            return replace(at.config, strategy=strategy)
        if self._gathering is not None:
            self._gathering.take_own()
        proposal = self._tuner.propose(None if at.scope == "all" else at.scope)
        return replace(proposal.after, strategy=strategy)

    def _rewrite(self, scope: str, change: Callable[[ConfigVersion], TuningConfig], **how: Any) -> None:
        """Write a changed config over whatever is in force, also if somebody else writes at the same time."""
        for attempt in range(5):
            at = self.configs.in_scope(scope)
            if at is None:
                return  # the exception is gone
            try:
                self.apply(change(at), expected_version=at.version, scope=scope, **how)
            except ConfigConflict:
                if attempt == 4:
                    raise
            else:
                return

    def _leads(self, now: float) -> bool:
        if now >= self._look_again:
            self._look_again = now + RENEW_SECONDS
            held = self._store.acquire_lease(LEASE, self._worker_id, LEASE_SECONDS)
            self._leads_until = now + LEASE_SECONDS if held else 0.0
        return now < self._leads_until

    def _carried_out(self, decision: Decision) -> Decision:
        at = self.configs.in_scope(decision.scope)
        mode = (at or self.configs.default).mode
        if mode is Mode.AUTO and decision.after != decision.before:
            try:
                version = self.apply(
                    decision.after,
                    expected_version=at.version if at else 0,
                    actor="tuner",
                    reason=decision.summary,
                    scope=decision.scope,
                    mode=None if at else mode,
                    idempotency_key=decision.decision_id,
                )
            except StoreError as exc:
                logger.warning("decision %s was not applied: %s", decision.decision_id, exc)
            else:
                decision = replace(decision, config_version=version.version)
                self._tuner.applied(decision, version)
        self.latest_decisions = {**self.latest_decisions, decision.scope: decision}
        return decision


def first_configs(strategy: TuningStrategy, mode: Mode) -> ConfigSet:
    """Return what is in force before anybody has written a config.

    Example:
        >>> first_configs(TuningStrategy.COST, Mode.PINNED).default.mode
        <Mode.PINNED: 'pinned'>
    """
    defaults = ConfigSet()
    config = replace(defaults.default.config, strategy=TuningStrategy(strategy))
    return replace(defaults, default=replace(defaults.default, config=config, mode=Mode(mode)))
