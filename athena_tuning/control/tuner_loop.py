"""Lets the tuner decide while this worker leads, and carries out what it decided."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from athena_tuning.control.config_follower import ConfigFollower
from athena_tuning.control.lease import TuningLease
from athena_tuning.control.shared_window import SharedWindow
from athena_tuning.model import Decision, Mode
from athena_tuning.store import ConfigChange, Lease, LeaseLost, Store, StoreError
from athena_tuning.tuning import AutoTuner

logger = logging.getLogger(__name__)

MAX_UNRECORDED = 1000


class TunerLoop:
    """One step after another of the tuner, on the evidence of all workers.

    Args:
        tuner: decides.
        lease: says whether this worker leads.
        follower: has the configs in force, and writes what is decided in mode AUTO.
        shared: brings the tuner the evidence of all workers; None: it has its own.
        store: keeps decisions; while it is down the newest ``MAX_UNRECORDED`` wait.
        clock: Unix seconds.

    Attributes:
        latest_decisions: the newest by scope.
    """

    def __init__(
        self,
        tuner: AutoTuner,
        lease: TuningLease,
        follower: ConfigFollower,
        shared: SharedWindow | None,
        store: Store,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.latest_decisions: dict[str, Decision] = {}
        self._tuner = tuner
        self._lease = lease
        self._follower = follower
        self._shared = shared
        self._store = store
        self._clock = clock
        self._unrecorded: deque[Decision] = deque(maxlen=MAX_UNRECORDED)

    def step(self) -> None:
        """Let the tuner decide, if this worker leads; in mode AUTO apply what it decided.

        Raises:
            StoreError: if the store cannot be read.
        """
        if self._lease.held is None:
            return
        if self._shared is not None:
            self._shared.take_own()
            for scored in self._shared.take_others():
                self._tuner.contributions.rate_record(scored)
        for decision in self._tuner.step(self._follower.configs, self._clock()):
            lease = self._lease.held
            if lease is None:
                logger.info("decision %s is dropped: another worker leads by now", decision.decision_id)
                return
            self._unrecorded.append(self._carried_out(decision, lease))

    def record(self) -> None:
        """Keep what was decided in the store.

        Raises:
            StoreError: if the store does not take it; call again later.
        """
        while self._unrecorded:
            self._store.append_decision(self._unrecorded[0])
            self._unrecorded.popleft()

    def _carried_out(self, decision: Decision, lease: Lease) -> Decision:
        at = self._follower.configs.in_scope(decision.scope)
        mode = (at or self._follower.configs.default).mode
        if mode is Mode.AUTO and decision.after != decision.before:
            try:
                [version] = self._follower.apply(
                    [
                        ConfigChange(
                            decision.after,
                            expected_version=at.version if at else 0,
                            actor="tuner",
                            reason=decision.summary,
                            scope=decision.scope,
                            mode=None if at else mode,
                            idempotency_key=decision.decision_id,
                        )
                    ],
                    under=lease,
                )
            except LeaseLost as exc:
                self._lease.lost()
                logger.warning("decision %s was not applied: %s", decision.decision_id, exc)
            except StoreError as exc:
                logger.warning("decision %s was not applied: %s", decision.decision_id, exc)
            else:
                decision = replace(decision, config_version=version.version)
                self._tuner.applied(decision, version)
        self.latest_decisions = {**self.latest_decisions, decision.scope: decision}
        return decision
