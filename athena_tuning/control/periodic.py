"""Work that is done again and again, in threads of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """Something to do every so many seconds.

    Attributes:
        name: what it is called in the log.
        every_seconds: from the start of one turn to that of the next.
        run: does it.
        at_close: what its thread does at the end; None: nothing.
    """

    name: str
    every_seconds: float
    run: Callable[[], object]
    at_close: Callable[[], object] | None = None


class PeriodicThread:
    """A thread that runs each task when it is due.

    A task that fails is counted, logged when it begins to fail, and tried again at its next turn.

    Args:
        name: of the thread.
        tasks: what to do; when several are due, in this order.
        clock: monotonic seconds.

    Attributes:
        failures: how often each task failed so far.

    Example:
        >>> thread = PeriodicThread("counter", [PeriodicTask("count", 2.0, lambda: print("done"))],
        ...                         clock=lambda: 0.0)
        >>> thread.tick(10.0), thread.tick(11.0), thread.tick(12.0)
        done
        done
        (2.0, 1.0, 2.0)
    """

    def __init__(
        self, name: str, tasks: Sequence[PeriodicTask], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.failures: Counter[str] = Counter()
        self.name = name
        self._tasks = tuple(tasks)
        self._due = dict.fromkeys((task.name for task in tasks), clock())
        self._failing: set[str] = set()
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread do its last tasks and end; this does not wait for it."""
        self._stop.set()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the end of a thread that was told to stop; False if it took too long.

        A task that ends its own thread does not wait for itself.
        """
        if self._thread is threading.current_thread():
            return True
        self._thread.join(max(0.0, timeout_seconds))
        return not self._thread.is_alive()

    def close(self, timeout_seconds: float = 5.0) -> bool:
        """Stop the thread and wait until it has done its last tasks; False if it took too long."""
        self.stop()
        ended = self.join(timeout_seconds)
        if not ended:
            logger.warning("the thread '%s' did not end within %g s", self.name, timeout_seconds)
        return ended

    def tick(self, now: float) -> float:
        """Do what is due at ``now``; return the seconds until something is due again."""
        for task in self._tasks:
            if self._due[task.name] <= now:
                self._due[task.name] = now + task.every_seconds
                self._run(task.name, task.run)
        return min(self._due.values()) - now

    def _serve(self) -> None:
        wait = 0.0
        while not self._stop.wait(max(0.0, wait)):
            wait = self.tick(self._clock())
        for task in self._tasks:
            if task.at_close is not None:
                self._run(task.name, task.at_close)

    def _run(self, name: str, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as exc:
            self.failures[name] += 1
            if name not in self._failing:
                logger.warning("%s fails and is tried again: %s", name, exc, exc_info=True)
                self._failing.add(name)
        else:
            if name in self._failing:
                logger.info("%s works again", name)
                self._failing.discard(name)
