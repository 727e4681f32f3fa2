"""The lease on tuning: of all workers on a store one leads at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from athena_tuning.store import Store, StoreError

logger = logging.getLogger(__name__)

LEASE = "tuner"
LEASE_SECONDS = 6.0
RENEW_SECONDS = 2.0


class TuningLease:
    """Whether this worker leads.

    ``renew`` asks the store; ``is_held`` only looks at a monotonic clock, and so ends in time also while the
    store is down.

    Args:
        store: knows who has the lease.
        worker_id: who asks for it.
        monotonic: seconds that never jump.
    """

    def __init__(self, store: Store, worker_id: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._worker_id = worker_id
        self._monotonic = monotonic
        self._ends = -1.0
        self._leads = False

    @property
    def is_held(self) -> bool:
        """Whether this worker has the lease now."""
        return self._monotonic() < self._ends

    def renew(self) -> None:
        """Take the lease, or keep it.

        Raises:
            StoreError: if the store cannot be asked; what was held runs out.
        """
        asked = self._monotonic()  # from before the answer: it ends here before another can have it
        held = self._store.acquire_lease(LEASE, self._worker_id, LEASE_SECONDS)
        self._ends = asked + LEASE_SECONDS if held else -1.0
        if held is not self._leads:
            self._leads = held
            logger.info("%s %s tuning", self._worker_id, "leads" if held else "no longer leads")

    def release(self) -> None:
        """Let another worker lead. If the store is down, the lease runs out by itself."""
        self._ends = -1.0
        try:
            self._store.release_lease(LEASE, self._worker_id)
        except StoreError as exc:
            logger.info("the lease on tuning runs out in %g s: %s", LEASE_SECONDS, exc)
        else:
            if self._leads:
                logger.info("%s gives tuning to the next", self._worker_id)
        self._leads = False
