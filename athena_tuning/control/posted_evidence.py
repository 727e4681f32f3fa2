"""What layers are worth, from the worker that leads to all who compare plans."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable

from athena_tuning.store import Store
from athena_tuning.tuning import AutoTuner
from athena_tuning.tuning.estimation.plan_evidence import PlanEvidence

logger = logging.getLogger(__name__)

TOPIC = "plan evidence"
POSTED_EVERY_SECONDS = 10.0
POSTED_AGAIN_SECONDS = 3600.0
"""Evidence without news is posted again after so long: a store forgets what is a week old."""


class EvidencePost:
    """Posts what a tuner has seen of layers, when there is news, every ten seconds at most.

    Args:
        store: where it is posted.
        tuner: has seen it.
        monotonic: seconds that never jump.
    """

    def __init__(self, store: Store, tuner: AutoTuner, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._tuner = tuner
        self._monotonic = monotonic
        self._posted_at = -math.inf
        self._posted = ""

    def post(self) -> None:
        """Post what is known now, if it is time.

        Raises:
            StoreError: if the store does not take it; call again later.
        """
        now = self._monotonic()
        if now - self._posted_at < POSTED_EVERY_SECONDS:
            return
        evidence = PlanEvidence.of(self._tuner.contributions.values())
        text = json.dumps(evidence.to_dict()) if evidence.by_type else ""
        if text != self._posted or (text and now - self._posted_at >= POSTED_AGAIN_SECONDS):
            self._store.post(TOPIC, "leader", text)
            self._posted_at, self._posted = now, text


def posted_evidence(store: Store) -> PlanEvidence:
    """Return what the tuner that leads has seen of layers; nothing where none has told, or it is damaged."""
    for text in store.posted(TOPIC).values():
        try:
            return PlanEvidence.from_dict(json.loads(text))
        except ValueError as exc:
            logger.warning("the evidence on layers in the store cannot be read: %s", exc)
    return PlanEvidence()
