"""Notices a clock that steps: wrong at boot, set right by NTP, or behind after its machine was suspended."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from athena_tuning.store import Store

logger = logging.getLogger(__name__)

TOPIC = "clock steps"
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
        store: told of each step, so that every face can show it; a host tells one step once.
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

    def look(self) -> None:
        """Notice a step since the last look.

        Raises:
            StoreError: if the store could not be told; it is logged all the same.
        """
        now = self._clock()
        apart = now - self._monotonic()
        stepped, self._apart = apart - self._apart, apart
        if abs(stepped) < STEP_SECONDS:
            return
        step = ClockStep(socket.gethostname(), now, stepped)
        self.steps.append(step)
        logger.warning("the clock of %s stepped by %+.0f s", step.host, stepped)
        self._store.post(TOPIC, f"{step.host} {now // 60:.0f}", json.dumps(asdict(step)))


def clock_steps(store: Store) -> list[ClockStep]:
    """Return the steps that the workers of a store have noticed, the newest last.

    Raises:
        StoreError: if the store cannot be read.
    """
    found = (json.loads(text) for text in store.posted(TOPIC).values())
    return sorted((ClockStep(**step) for step in found), key=lambda step: step.time)
