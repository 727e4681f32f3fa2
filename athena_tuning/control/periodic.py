"""What a manager does beside recalls, in one background thread."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to do again and again, and a last time at the close if need be."""

    name: str
    every_seconds: float
    run: Callable[[], object]
    at_close: bool = False


class Housekeeping:
    """Does each duty when it is due. A duty that fails is counted, logged and tried again at its next turn.

    Args:
        duties: what to do; when several are due, in this order.
        clock: monotonic seconds.

    Example:
        >>> house = Housekeeping([Duty("count", 2.0, lambda: print("done"))], clock=lambda: 0.0)
        >>> house.tick(10.0), house.tick(11.0), house.tick(12.0)
        done
        done
        (2.0, 1.0, 2.0)
    """

    def __init__(self, duties: Sequence[Duty], clock: Callable[[], float] = time.monotonic) -> None:
        self.failures: Counter[str] = Counter()
        self._duties = tuple(duties)
        self._due = dict.fromkeys((duty.name for duty in duties), clock())
        self._failing: set[str] = set()
        self._clock = clock
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread = threading.Thread(target=self._serve, name="housekeeping", daemon=True)
        self._thread.start()

    def close(self, timeout_seconds: float = 5.0) -> None:
        """End the thread, then do a last time what must not be left undone."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_seconds)
            if self._thread.is_alive():
                logger.warning("housekeeping did not end within %g s", timeout_seconds)
                return
        for duty in self._duties:
            if duty.at_close:
                self._do(duty)

    def tick(self, now: float) -> float:
        """Do what is due at ``now``; return the seconds until something is due again."""
        for duty in self._duties:
            if self._due[duty.name] <= now:
                self._due[duty.name] = now + duty.every_seconds
                self._do(duty)
        return min(self._due.values()) - now

    def _serve(self) -> None:
        wait = 0.0
        while not self._stop.wait(max(0.0, wait)):
            wait = self.tick(self._clock())

    def _do(self, duty: Duty) -> None:
        try:
            duty.run()
        except Exception as exc:
            self.failures[duty.name] += 1
            if duty.name not in self._failing:
                logger.warning("%s fails and is tried again: %s", duty.name, exc, exc_info=True)
                self._failing.add(duty.name)
        else:
            if duty.name in self._failing:
                logger.info("%s works again", duty.name)
                self._failing.discard(duty.name)
