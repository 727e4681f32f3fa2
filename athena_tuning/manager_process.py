"""A manager in a process of its own, forked from one that has loaded the program already.

Loading takes a manager longer than all else that it does before it answers. So one process loads it, and does
nothing else; managers are forked from that one, and start in a fraction of the time and of the memory.
It stands beside the rooms so that whoever starts managers can have that begun before loading anything.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection

LOADED = (
    "athena_tuning.cluster",
    "athena_tuning.load.recordings",
    "athena_tuning.load.run",
    "athena_tuning.service.embedded",
    "athena_tuning.store.sqlite",
)
"""What managers have loaded as they begin, beside what runs them."""

_forks = multiprocessing.get_context("forkserver")


def begin_loading(run_module: str) -> None:
    """Start the process that managers are forked from; it loads while this one goes on.

    Args:
        run_module: name of the module with what runs a manager.
    """
    _forks.set_forkserver_preload([run_module, *LOADED])
    forkserver.ensure_running()


class ManagerProcess:
    """A manager, which ends with the process that made it.

    Args:
        run: runs one, with ``arguments``, until standard input ends; a function of a module.
        arguments: of ``athena-tuning manager``.
    """

    def __init__(self, run: Callable[[Sequence[str]], object], arguments: Sequence[str]) -> None:
        begin_loading(run.__module__)
        theirs, self._ours = _forks.Pipe(duplex=False)
        self._process = _forks.Process(target=_run, args=(run, tuple(arguments), theirs), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None  # noqa: S101  (it was started)
        return self._process.pid

    def poll(self) -> int | None:
        """Return how it ended; None: it runs."""
        return self._process.exitcode

    def terminate(self) -> None:
        """Have it answer what it has under way, and end."""
        self._process.terminate()

    def end(self, seconds: float) -> None:
        """Wait for its end, at most so long; then it is killed."""
        self._process.join(seconds)
        if self.poll() is None:
            self._process.kill()
            self._process.join()
        self.forget()

    def forget(self) -> None:
        """Let go of it. If it runs, although it was said to have ended, it notices, and ends."""
        self._ours.close()


def _run(
    run: Callable[[Sequence[str]], object], arguments: Sequence[str], lifeline: Connection
) -> None:  # in the process itself
    os.setsid()  # Ctrl+C in the terminal is for who started it
    os.dup2(lifeline.fileno(), 0)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    run(arguments)
