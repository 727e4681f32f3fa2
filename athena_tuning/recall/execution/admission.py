"""Admission of recalls to the shared limit: who may wait for slots, and who is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable

from athena_tuning.admission import UNNOTICED_SECONDS, Place, QueueLaw
from athena_tuning.model import TuningConfig
from athena_tuning.recall.execution.limiter import SharedLimit


class Admission:
    """Watches the queue of a limit and refuses whole recalls while it is overloaded; see ``QueueLaw``.

    Args:
        limit: whose queue.
        clock: monotonic seconds.
    """

    def __init__(self, limit: SharedLimit, clock: Callable[[], float]) -> None:
        defaults = TuningConfig()
        self._limit = limit
        self._clock = clock
        self._configured = limit.limit
        self._law = QueueLaw(None, defaults.overload_wait_seconds)
        self._lock = threading.Lock()

    def obey(self, config: TuningConfig, slots: int) -> None:
        """Take patience from a config, and the slots of its limit that are to be had here.

        What waits as the limit falls came about under one that was too high: it is treated as an overload. A
        share that gets smaller is no such thing.
        """
        falls = config.max_concurrent < self._configured
        with self._lock:
            self._configured = config.max_concurrent
            self._law.after, self._law.wait = config.overload_after_seconds, config.overload_wait_seconds
            if falls and self._limit.waiting:
                self._law.shed(self._clock())
        self._limit.resize(slots)

    @property
    def overloaded_seconds(self) -> float:
        """For how long it has been overloaded; 0: it is not."""
        since = self._law.overloaded_since
        return 0.0 if since is None else self._clock() - since

    def ask(self, kind: str, deadline: float | None = None, background: bool = False) -> Ticket:
        """Let a recall ask for admission as it comes.

        Args:
            kind: recalls of one kind take about as long as each other.
            deadline: monotonic seconds at which it is to be over.
            background: whether it goes first when not all can be served.

        Returns:
            Its ticket, which may say already that it is refused.
        """
        now, limit = self._clock(), self._limit
        ticket = Ticket(self, Place(self._law, kind, now, deadline, background))
        if limit.waiting or limit.is_full or not self._law.is_calm:
            with self._lock:
                ticket.place.may_queue(now, limit.waiting, limit.returned, limit.is_full)
        return ticket

    def may_start(self, place: Place) -> bool:
        """Decide as a slot is offered to a recall."""
        now, waiting = self._clock(), self._limit.waiting
        if not waiting and self._law.is_calm and now - place.came < UNNOTICED_SECONDS:
            place.started = place.refused is None
            return place.started
        with self._lock:
            return place.may_start(now, waiting)

    def may_wait(self, place: Place) -> bool:
        """Decide whether a recall may go on waiting."""
        with self._lock:
            return place.may_wait(self._clock())

    def served(self, place: Place, seconds: float) -> None:
        """Learn how long the layers of a recall took."""
        with self._lock:
            self._law.served(place.kind, seconds)

    @property
    def interval(self) -> float:
        """Seconds after which somebody who waits looks again."""
        return self._law.interval


class Ticket:
    """A recall's admission.

    Attributes:
        place: its place in the queue.
    """

    __slots__ = ("_admission", "place")

    def __init__(self, admission: Admission, place: Place) -> None:
        self._admission = admission
        self.place = place

    @property
    def refused(self) -> str | None:
        """Why it was refused; None: it was not."""
        return self.place.refused

    @property
    def retry_after(self) -> float:
        """Seconds after which it is worth another try, if it was refused."""
        return self.place.retry_after

    @property
    def waits(self) -> bool:
        """Whether none of its tasks has a slot yet."""
        return not self.place.started

    @property
    def look_again(self) -> float:
        """Seconds after which ``may_wait`` is to be asked again."""
        return min(max(self._admission.interval, 0.1), 1.0)

    def may_start(self) -> bool:
        """Decide as a slot is offered to one of its tasks."""
        return self.place.started or self._admission.may_start(self.place)

    def may_wait(self) -> bool:
        """Decide whether it may go on waiting."""
        return self.place.started or self._admission.may_wait(self.place)

    def served(self, seconds: float) -> None:
        """Note how long its layers took."""
        self._admission.served(self.place, seconds)
