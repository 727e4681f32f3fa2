"""Leases of workers: of all on a store one leads tuning at a time, and one shares out the limit."""

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


class Leadership:
    """Whether this worker leads something.

    ``renew`` asks the store; ``held`` only looks at a monotonic clock, and so ends in time also while the
    store is down.

    Args:
        store: knows who has the lease.
        worker_id: who asks for it.
        name: of the lease.
        what: is led, for the log.
        monotonic: seconds that never jump.
    """

    def __init__(
        self,
        store: Store,
        worker_id: str,
        name: str,
        what: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._worker_id = worker_id
        self._name = name
        self._what = what
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
        lease = self._store.acquire_lease(self._name, self._worker_id, LEASE_SECONDS)
        if lease is None:
            self.lost()
            return
        if self._lease != lease:
            logger.info("%s leads %s (lease number %d)", self._worker_id, self._what, lease.number)
        self._lease, self._ends = lease, before + LEASE_SECONDS

    def lost(self) -> None:
        """Note that somebody else leads."""
        self._ends = -1.0
        if self._lease is not None:
            self._lease = None
            logger.info("%s no longer leads %s", self._worker_id, self._what)

    def release(self) -> None:
        """Let another worker lead. If the store is down, the lease runs out by itself."""
        if self._lease is None:
            return
        self.lost()
        try:
            self._store.release_lease(self._name, self._worker_id)
        except StoreError as exc:
            logger.info("the lease on %s runs out in %g s: %s", self._what, LEASE_SECONDS, exc)


class TuningLease(Leadership):
    """Whether this worker leads tuning.

    Args:
        store: knows who does.
        worker_id: who asks for it.
        monotonic: seconds that never jump.
    """

    def __init__(self, store: Store, worker_id: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(store, worker_id, LEASE, "tuning", monotonic)
