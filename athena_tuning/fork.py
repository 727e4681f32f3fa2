"""What a forked child has to make anew: threads do not survive a fork, and locks may be held for ever."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakValueDictionary


class Renewable(Protocol):
    """Something with threads or locks of its own."""

    def renew_after_fork(self) -> None:
        """Make them anew. Called in the child, in its only thread, before anything else of the child runs."""


_renewables: WeakValueDictionary[int, Renewable] = WeakValueDictionary()


def register(renewable: Renewable) -> None:
    """Have ``renewable`` made anew in every child that this process forks, in the order of registration."""
    _renewables[id(renewable)] = renewable


def _renew_all() -> None:
    for renewable in list(_renewables.values()):
        renewable.renew_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
