"""What workers do that nobody closed when their process ends: they deliver what they have."""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from typing import Protocol

LONGEST_SECONDS = 5.0
"""So long the end of a process may be held up by a store that does not answer."""


class Ending(Protocol):
    """What has to be told of the end."""

    def _stop(self) -> None:
        """Begin to end."""

    def _end(self, until: float) -> bool:
        """Wait for the end, at most until then (monotonic seconds); return whether it has come."""


_open: weakref.WeakSet[Ending] = weakref.WeakSet()
_hooked_in = 0  # the process that calls us at its end


def enrol(worker: Ending) -> None:
    """End a worker with the process, unless it is closed before."""
    _open.add(worker)
    _hook()


def dismiss(worker: Ending) -> None:
    """Do nothing more for a worker: it was closed."""
    _open.discard(worker)


def _hook() -> None:
    global _hooked_in  # noqa: PLW0603  (a process has one end)
    if _hooked_in == os.getpid():
        return
    _hooked_in = os.getpid()
    atexit.unregister(_end_all)
    atexit.register(_end_all)
    if "multiprocessing.util" in sys.modules:  # else nobody can fork us, or has forked us, by it
        from multiprocessing import parent_process, util

        if parent_process() is not None:
            _end_with_multiprocessing()
        util.register_after_fork(_end_with_multiprocessing, lambda end: end())


def _end_with_multiprocessing() -> None:
    """End all in a process that leaves without ``atexit``, but with finalizers."""
    from multiprocessing import util

    util.Finalize(None, _end_all, exitpriority=0)


def _end_all() -> None:
    until = time.monotonic() + LONGEST_SECONDS
    workers = list(_open)
    for worker in workers:
        worker._stop()
    for worker in workers:
        worker._end(until)
        dismiss(worker)
