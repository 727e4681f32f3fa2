"""What holds still while the process forks, and what a forked child has to make anew.

``os.fork`` copies one thread only: other threads do not survive it, a lock that one of them holds is held in
the child for ever, and a connection to a database is shared by two processes that know nothing of each other.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from types import TracebackType
from typing import Any, Protocol, runtime_checkable
from weakref import WeakValueDictionary

LONGEST_SECONDS = 2.0
"""So long a fork waits for what is under way."""


class Renewable(Protocol):
    """Something with threads or locks of its own."""

    def renew_after_fork(self) -> None:
        """Make them anew. Called in the child, in its only thread, before anything else of the child runs."""


@runtime_checkable
class Resting(Renewable, Protocol):
    """Something that must not be in use while the process forks."""

    def rest_before_fork(self, until: float) -> None:
        """Come to rest, at most until then (monotonic seconds). What came later has done so already."""

    def go_on_after_fork(self) -> None:
        """Go on in the parent."""


_renewables: WeakValueDictionary[int, Renewable] = WeakValueDictionary()
_numbers = itertools.count()
_one_at_a_time = threading.RLock()
_resting: list[Renewable] = []
_left_behind: list[object] = []


def register(renewable: Renewable) -> None:
    """Have ``renewable`` made anew in every child that this process forks, in the order of registration."""
    _renewables[next(_numbers)] = renewable


def leave_behind(*things: object) -> None:
    """Keep in the child what belongs to the parent: to finish it would finish the parent's."""
    _left_behind.extend(things)


class HeldLock:
    """Takes a lock while the process forks: in the child it is free, and what it guards is whole."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._held = False
        register(self)

    def rest_before_fork(self, until: float) -> None:
        """See ``Resting``."""
        self._held = self._lock.acquire(timeout=max(0.0, until - time.monotonic()))

    def go_on_after_fork(self) -> None:
        """See ``Resting``."""
        if self._held:
            self._held = False
            self._lock.release()

    def renew_after_fork(self) -> None:
        """See ``Renewable``."""
        if not self._held:  # whoever has it is not here
            self._lock._at_fork_reinit()
        self.go_on_after_fork()


class Gate:
    """Lets threads in to use what must not be used while the process forks; who is inside may come in again.

    Example:
        >>> gate = Gate()
        >>> with gate:
        ...     gate.shut(time.monotonic())
        False
        >>> gate.shut(time.monotonic())
        True
        >>> gate.open()
    """

    def __init__(self) -> None:
        self._inside: dict[int, int] = {}  # by thread, how often; to enter is no more than to note it here
        self._is_shut = False
        self._opened = threading.Event()

    def __enter__(self) -> None:
        inside, thread = self._inside, threading.get_ident()
        while True:
            depth = inside.get(thread, 0)
            inside[thread] = depth + 1
            if depth or not self._is_shut:  # looked at last: whoever shuts the gate looks who is inside last
                return
            del inside[thread]
            self._opened.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        thread = threading.get_ident()
        depth = self._inside[thread]
        if depth > 1:
            self._inside[thread] = depth - 1
        else:
            del self._inside[thread]

    def shut(self, until: float) -> bool:
        """Let nobody in any more and wait until nobody is inside; False if somebody is at ``until``."""
        self._opened.clear()
        self._is_shut = True
        while self._inside:
            if time.monotonic() >= until:
                return False
            time.sleep(0.001)
        return True

    def open(self) -> None:
        """Let threads in again."""
        self._is_shut = False
        self._opened.set()


def _before() -> None:
    _one_at_a_time.acquire()
    until = time.monotonic() + LONGEST_SECONDS
    _resting.extend(_renewables.values())
    for renewable in reversed(_resting):
        if isinstance(renewable, Resting):
            _safely(renewable.rest_before_fork, until)


def _in_parent() -> None:
    for renewable in _resting:
        if isinstance(renewable, Resting):
            _safely(renewable.go_on_after_fork)
    _over()


def _in_child() -> None:
    for renewable in _resting:
        _safely(renewable.renew_after_fork)
    _over()


def _over() -> None:
    _resting.clear()
    _one_at_a_time.release()


def _safely(action: Any, *args: Any) -> None:
    try:
        action(*args)
    except Exception:
        import logging  # only now: whoever records loads nothing that it does not need

        logging.getLogger(__name__).exception("%r failed at a fork", action)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
