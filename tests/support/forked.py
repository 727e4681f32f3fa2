"""Children that tests fork."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

WAIT = 60.0
_FORK = multiprocessing.get_context("fork")


def forked(work: Callable[[], Any]) -> Any:
    """Do work in a child that multiprocessing forks from this thread, and return what it gave."""
    here, there = _FORK.Pipe(duplex=False)

    def child() -> None:
        try:
            there.send(work())
        except BaseException as exc:
            there.send(repr(exc))
            raise

    process = _FORK.Process(target=child)
    process.start()
    there.close()
    assert here.poll(WAIT), "the child stands still"
    said = here.recv()
    process.join(WAIT)
    assert process.exitcode == 0, said
    return said
