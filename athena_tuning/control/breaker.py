"""A circuit breaker: it stops calling what fails, and tries again whether it is well."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from athena_tuning.model import BreakerState


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a breaker opens and closes.

    Attributes:
        window_calls: calls that are looked at, the newest.
        window_seconds: and not older than this.
        least_calls: with fewer in the window their share says nothing.
        share: of them that must have failed for the breaker to open, 0 to 1.
        in_a_row: failures without a success between them that open it at once.
        first_wait_seconds: from its opening to the first trial.
        longest_wait_seconds: between trials; each that fails doubles the wait up to this.
        trials: that must succeed, one after another, for it to close.
    """

    window_calls: int = 100
    window_seconds: float = 30.0
    least_calls: int = 10
    share: float = 0.5
    in_a_row: int = 5
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 5.0
    trials: int = 2

    def __post_init__(self) -> None:
        if min(self.window_calls, self.least_calls, self.in_a_row, self.trials) < 1:
            raise ValueError("a breaker counts at least one call, failure and trial")
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, not {self.share}")
        if not 0 < self.first_wait_seconds <= self.longest_wait_seconds:
            raise ValueError("first_wait_seconds must be above 0 and at most longest_wait_seconds")


class Admission(Enum):
    """What a breaker says to a call: make it, make it as a trial, or do without."""

    CALL = "call"
    TRIAL = "trial"
    LEAVE_OUT = "leave out"


class Breaker:
    """Counts the calls of one layer and says which are made.

    Closed, it lets every call through, and opens when too many of the newest fail. Open, it lets none through
    until its wait is over; then one, as a trial (half-open). Trials that succeed close it, one that fails
    opens it again for longer. May be used from any thread.

    Args:
        settings: when it opens and closes.
        clock: monotonic seconds.

    Attributes:
        state: where it is.
        reason: why it opened last, in words; "" if it never did.

    Examples:
        >>> now = [0.0]
        >>> breaker = Breaker(BreakerSettings(in_a_row=2, trials=1), clock=lambda: now[0])
        >>> for _ in range(2):
        ...     breaker.failed("no route")
        >>> breaker.state.value, breaker.admit().value, breaker.reason
        ('open', 'leave out', '2 calls in a row failed, the last: no route')
        >>> now[0] = 1.0
        >>> breaker.admit().value, breaker.admit().value
        ('trial', 'leave out')
        >>> breaker.succeeded(); breaker.state.value
        'closed'
    """

    def __init__(
        self, settings: BreakerSettings | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.state = BreakerState.CLOSED
        self.reason = ""
        self._settings = settings or BreakerSettings()
        self._clock = clock
        self._lock = threading.Lock()
        self._window: deque[tuple[float, bool]] = deque(maxlen=self._settings.window_calls)
        self._in_a_row = 0
        self._succeeded = 0
        self._wait = self._settings.first_wait_seconds
        self._next_trial = 0.0
        self._trial_ends: float | None = None

    @property
    def is_closed(self) -> bool:
        """Whether every call is let through."""
        return self.state is BreakerState.CLOSED

    def renew_after_fork(self) -> None:
        """Make the lock anew in a forked child; trials under way are the parent's."""
        self._lock = threading.Lock()
        self._trial_ends = None

    def admit(self, trial_seconds: float = 60.0) -> Admission:
        """Say whether a call is to be made now.

        Args:
            trial_seconds: within which a trial ends; one that nobody reports on is over after it.
        """
        if self.is_closed:
            return Admission.CALL
        with self._lock:
            now = self._clock()
            if self.is_closed:
                return Admission.CALL
            if now < self._next_trial or (self._trial_ends is not None and now < self._trial_ends):
                return Admission.LEAVE_OUT
            self._trial_ends = now + trial_seconds
            self.state = BreakerState.HALF_OPEN
            return Admission.TRIAL

    def succeeded(self) -> None:
        """Note a call that was well."""
        if self.state is BreakerState.CLOSED and not self._in_a_row:
            self._window.append((self._clock(), False))  # in one step, so it needs no lock
            return
        with self._lock:
            self._in_a_row = 0
            if self.is_closed:
                self._window.append((self._clock(), False))
                return
            self._trial_ends = None
            self._next_trial = self._clock()
            self._succeeded += 1
            if self._succeeded >= self._settings.trials:
                self.state = BreakerState.CLOSED
                self._window.clear()
                self._wait = self._settings.first_wait_seconds
            else:
                self.state = BreakerState.HALF_OPEN

    def failed(self, why: str) -> None:
        """Note a call that failed or took too long."""
        with self._lock:
            now = self._clock()
            self._in_a_row += 1
            if self.state is not BreakerState.CLOSED:
                self._open(now, longer=self._trial_ends is not None)
                return
            self._window.append((now, True))
            self._forget(now - self._settings.window_seconds)
            window = self._window.copy()  # others append to it meanwhile
            failures, calls = sum(failed for _, failed in window), len(window)
            if self._in_a_row >= self._settings.in_a_row:
                self.reason = f"{self._in_a_row} calls in a row failed, the last: {why}"
            elif calls >= self._settings.least_calls and failures >= self._settings.share * calls:
                self.reason = f"{failures} of the last {calls} calls failed, the last: {why}"
            else:
                return
            self._open(now, longer=False)

    def _forget(self, before: float) -> None:
        while self._window[0][0] < before:
            self._window.popleft()

    def undecided(self) -> None:
        """Note a call that says nothing about the layer; if it was the trial, another one may be made."""
        with self._lock:
            self._trial_ends = None

    def force_open(self, why: str) -> None:
        """Open it for a reason that no call told, for instance because the layer could not be set up."""
        with self._lock:
            self.reason = why
            self._open(self._clock(), longer=False)

    def _open(self, now: float, *, longer: bool) -> None:
        if longer:
            self._wait = min(2 * self._wait, self._settings.longest_wait_seconds)
        self.state = BreakerState.OPEN
        self._trial_ends = None
        self._succeeded = 0
        self._next_trial = now + self._wait
