"""Lets the tuner decide while this worker leads, and carries out what it decided."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from athena_tuning.control.config_follower import ConfigFollower
from athena_tuning.control.lease import TuningLease
from athena_tuning.control.posted_evidence import EvidencePost
from athena_tuning.control.shared_window import SharedWindow
from athena_tuning.model import EXPERIMENT, ConfigVersion, Decision, LimitScope, Mode, Proposal
from athena_tuning.store import ConfigChange, Lease, LeaseLost, Store, StoreError
from athena_tuning.tuning import AutoTuner

logger = logging.getLogger(__name__)

MAX_UNRECORDED = 1000
_TRIED_KNOWN = 200
"""Configs that were only tried, the newest, whose recalls are no evidence."""
OTHERS_SECONDS = 0.75
"""After which recalls of other workers are in the leader's window. Arithmetic: a quarter of a second until
they are delivered, another until they are read, a third for the store."""
TOLD_AGAIN_SECONDS = 3600.0
"""Proposals without news are told again after so long: a store forgets what is a week old."""


class TunerLoop:
    """One step after another of the tuner, on the evidence of all workers.

    Args:
        tuner: decides.
        lease: says whether this worker leads.
        follower: has the configs in force, and writes what is decided in mode AUTO.
        shared: brings the tuner the evidence of all workers; None: it has its own.
        store: keeps decisions; while it is down the newest ``MAX_UNRECORDED`` wait.
        clock: Unix seconds.
        worker_id: who tells proposals.
        monotonic: seconds that never jump.

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
        *,
        worker_id: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.latest_decisions: dict[str, Decision] = {}
        self._tuner = tuner
        self._lease = lease
        self._follower = follower
        self._shared = shared
        self._store = store
        self._clock = clock
        self._worker_id = worker_id
        self._monotonic = monotonic
        self._evidence = EvidencePost(store, tuner, monotonic)
        self._proposals: tuple[Proposal, ...] = ()
        self._published = -math.inf
        self._tried_known = 0
        self._unrecorded: deque[tuple[Decision, bytes | None]] = deque(maxlen=MAX_UNRECORDED)

    def step(self) -> None:
        """Let the tuner decide, if this worker leads; in mode AUTO apply what it decided.

        While an experiment runs, it decides nothing.

        Raises:
            StoreError: if the store cannot be read.
        """
        if self._lease.held is None:
            return
        if self._shared is not None:
            self._leave_out(self._follower.configs.tried)
            if self._shared.take_removals():
                self._tuner.begin_anew(self._shared.profiler)
            shares = self._follower.configs.default.config.limit_scope is LimitScope.FLEET
            self._shared.take_own(self._clock() - OTHERS_SECONDS if shares else math.inf)
            for scored in self._shared.take_others():
                self._tuner.contributions.rate_record(scored)
        if self._follower.on_trial is not None:
            return  # who changes what is compared ends the comparison
        made = self._tuner.step(self._follower.configs, self._clock())
        evidence = self._evidence_of(made[0]) if made else None
        for decision in made:
            lease = self._lease.held
            if lease is None:
                logger.info("decision %s is dropped: another worker leads by now", decision.decision_id)
                return
            self._unrecorded.append((self._carried_out(decision, lease), evidence))

    def record(self) -> None:
        """Keep what was decided in the store.

        Raises:
            StoreError: if the store does not take it; call again later.
        """
        while self._unrecorded:
            self._store.append_decision(*self._unrecorded[0])
            self._unrecorded.popleft()

    def publish(self) -> None:
        """Tell everybody what the tuner would set, and what it has seen of layers, if this worker leads.

        Raises:
            StoreError: if the store does not take it; call again later.
        """
        if self._lease.held is None:
            self._published = -math.inf
            return
        news = self._tuner.proposals(self._follower.configs, self._clock(), self._worker_id)
        self._proposals = news or self._proposals
        if news:
            self._published = -math.inf
        now = self._monotonic()
        if self._proposals and now - self._published >= TOLD_AGAIN_SECONDS:
            self._store.publish(self._proposals)
            self._published = now
        self._evidence.post()

    def _leave_out(self, tried: ConfigVersion | None) -> None:
        """Have what ran under configs that were only tried left out of the window."""
        if self._shared is None or tried is None or tried.version == self._tried_known:
            return
        past = self._store.config_history(limit=_TRIED_KNOWN, scope=EXPERIMENT)
        self._shared.tried = frozenset(version.version for version in past if version.experiment)
        self._tried_known = tried.version

    def _evidence_of(self, made: Decision) -> bytes | None:
        """Return what a decision rests on; None where a policy's memory cannot be packed: it stands."""
        try:
            return self._tuner.evidence_of(made.decision_id)
        except Exception:
            logger.warning("what decision %s rests on is not kept", made.decision_id, exc_info=True)
            return None

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
