"""Notices a clock that steps: wrong at boot, set right by NTP, or behind after its machine was suspended."""

from __future__ import annotations

import logging
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from athena_tuning.store import Store, StoreEvent

logger = logging.getLogger(__name__)

KIND = "clock"
"""Of the events that tell of steps."""

STEP_SECONDS = 5.0
"""By less a clock is brought back into line, which harms nothing."""


@dataclass(frozen=True, slots=True)
class ClockStep:
    """A step of a machine's clock.

    Attributes:
        host: whose clock.
        time: Unix seconds after it, by that clock.
        seconds: by how much; above 0 it went ahead.
    """

    host: str
    time: float
    seconds: float


class ClockWatch:
    """Compares the clock that records have with one that never jumps.

    Args:
        store: a step is an event there, so that every face can show it; a host tells one step once.
        clock: Unix seconds.
        monotonic: seconds that never jump.

    Attributes:
        steps: noticed here so far.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.steps: list[ClockStep] = []
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._apart = clock() - monotonic()
        self._untold: deque[tuple[StoreEvent, str]] = deque()

    def look(self) -> None:
        """Notice a step since the last look.

        Raises:
            StoreError: if the store could not be told; it is logged all the same, and told at a later look.
        """
        now = self._clock()
        apart = now - self._monotonic()
        stepped, self._apart = apart - self._apart, apart
        if abs(stepped) >= STEP_SECONDS:
            self._note(now, stepped)
        while self._untold:
            event, key = self._untold[0]
            self._store.append_event(event, key=key)
            self._untold.popleft()

    def _note(self, now: float, stepped: float) -> None:
        step = ClockStep(socket.gethostname(), now, stepped)
        self.steps.append(step)
        text = f"the clock of {step.host} stepped by {stepped:+.0f} s"
        logger.warning("%s", text)
        self._untold.append((StoreEvent(now, KIND, text), f"{KIND} {step.host} {now // 60:.0f}"))
