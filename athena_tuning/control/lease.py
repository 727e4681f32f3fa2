"""The lease on tuning: of all workers on a store one leads at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from athena_tuning.store import Lease, Store, StoreError

logger = logging.getLogger(__name__)

LEASE = "tuner"
LEASE_SECONDS = 5.0
RENEW_SECONDS = 1.0
"""The next one leads at most the lease and two looks at it after the last renewal: seven seconds."""


class TuningLease:
    """Whether this worker leads.

    ``renew`` asks the store; ``held`` only looks at a monotonic clock, and so ends in time also while the
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
        self._lease: Lease | None = None

    @property
    def held(self) -> Lease | None:
        """The lease, if this worker has it now: what it writes as the leader is written under it."""
        return self._lease if self._monotonic() < self._ends else None

    def renew(self) -> None:
        """Take the lease, or keep it.

        Raises:
            StoreError: if the store cannot be asked; what was held runs out.
        """
        before = self._monotonic()  # from before the answer: it ends here before another can have it
        lease = self._store.acquire_lease(LEASE, self._worker_id, LEASE_SECONDS)
        if lease is None:
            self.lost()
            return
        if self._lease != lease:
            logger.info("%s leads tuning (lease number %d)", self._worker_id, lease.number)
        self._lease, self._ends = lease, before + LEASE_SECONDS

    def lost(self) -> None:
        """Note that somebody else leads."""
        self._ends = -1.0
        if self._lease is not None:
            self._lease = None
            logger.info("%s no longer leads tuning", self._worker_id)

    def release(self) -> None:
        """Let another worker lead. If the store is down, the lease runs out by itself."""
        if self._lease is None:
            return
        self.lost()
        try:
            self._store.release_lease(LEASE, self._worker_id)
        except StoreError as exc:
            logger.info("the lease on tuning runs out in %g s: %s", LEASE_SECONDS, exc)
