"""Admission: whether a queue for slots is overloaded, and who may still wait in it.

The law alone, without locks or a clock, so that the executor and the tuner's simulator obey the same one.

A queue that is empty every now and then serves its purpose: it evens out bursts. One that has not been empty
for long does nothing but delay, and everybody in it is late. (Nichols and Jacobson, "Controlling Queue
Delay", ACM Queue 2012; for servers: Maurer, "Fail at Scale", ACM Queue 2015.)
"""

from __future__ import annotations

import math

SURGE = 0.45
"""Wait of the head over the queue's age from which the interval alone decides: 1.8 come as 1 is served."""

PERSISTENCE = 4
"""Power by which a weaker surge must last longer: half of it 16 intervals."""

SERVICES = 10
"""The interval is at least so many typical service times of a recall: a shorter one is chance."""

WAITED_SERVICES = 2.0
"""The wait that is left in an overload is at least so many typical service times, so that slots stay busy."""

BACKGROUND = 0.5
"""Of the time after which a queue is overloaded: after so much of it recalls of low priority are refused."""

LONGEST_RETRY_SECONDS = 30.0

UNNOTICED_SECONDS = 0.001
"""Who waited less did not wait: handing a slot over takes some time, too."""

_LEARNED = 0.02  # of each service time; the typical one is the mean of the last fifty or so


class QueueLaw:
    """Says when a queue is overloaded and how long recalls may wait then.

    With t the time since which the queue has not been empty, and d the wait of the one who just left it,
    ``1 / (1 - d/t)`` is how many times as many came as were served (a fluid queue; first come, first
    served). The queue is overloaded once t reaches ``interval · max(1, 0.45 / (d/t))⁴``: the interval where
    1.8 times as many came as were served, 16 intervals where d/t is half of that. It is over when
    the queue is empty again; within an interval after that, a queue that stands for ``wait`` is enough.

    Until then nobody is refused. In an overload recalls may wait ``wait`` seconds, those of low priority not
    at all; they also are refused after half of that time. Whoever would wait longer than that by what was
    served of late is refused as it comes, and the rest when they leave the queue.

    All times are monotonic seconds of one clock.

    Args:
        after: the interval; None: nobody is ever refused.
        wait: what recalls may wait in an overload.

    Attributes:
        after: the interval.
        wait: what recalls may wait in an overload.
        overloaded_since: since when it is overloaded; None: it is not.

    Examples:
        >>> law = QueueLaw(after=1.0, wait=0.1)
        >>> law.served("factual", 0.02)
        >>> law.queued(0.0, waiting=1, freed=0)
        >>> law.left(1.0, waited=0.2, waiting=40); law.patience()  # a burst
        inf
        >>> law.left(1.2, waited=0.6, waiting=90); law.patience()  # twice as many as are served
        0.1
        >>> law.left(1.3, waited=0.1, waiting=0); law.patience()
        inf
    """

    __slots__ = (
        "_mark",
        "_over_at",
        "_services",
        "_standing_since",
        "_strained",
        "_typical",
        "after",
        "overloaded_since",
        "wait",
    )

    def __init__(self, after: float | None, wait: float) -> None:
        self.after = after
        self.wait = wait
        self.overloaded_since: float | None = None
        self._standing_since: float | None = None
        self._over_at = -math.inf
        self._strained = False
        self._mark = (0.0, 0)
        self._typical: float | None = None
        self._services: dict[str, float] = {}

    @property
    def is_calm(self) -> bool:
        """Whether no queue stands, so that somebody who does not have to wait changes nothing."""
        return self._standing_since is None and self.overloaded_since is None and not self._strained

    def served(self, kind: str, seconds: float) -> None:
        """Learn what a recall of a kind takes once it has its slots."""
        known = self._services.get(kind, seconds)
        self._services[kind] = known + _LEARNED * (seconds - known)
        typical = seconds if self._typical is None else self._typical
        self._typical = typical + _LEARNED * (seconds - typical)

    def queued(self, now: float, waiting: int, freed: int, full: bool = True) -> None:
        """Note how many wait as a recall comes, and how many slots have come back so far.

        ``full``: it has to wait too, for no slot is free.
        """
        if not waiting:
            self._emptied(now)
        if self._standing_since is None:
            if waiting or full:
                self._standing_since = now
                self._mark = (now, freed)
        elif now - self._mark[0] > 2 * self.interval:
            self._mark = (now - self.interval, freed - round(self.rate(now, freed) * self.interval))

    def left(self, now: float, waited: float, waiting: int) -> None:
        """Note that a recall that has waited for some seconds got its first slot, and how many still wait."""
        if not waiting:
            self._emptied(now)
            return
        if self._standing_since is None:
            self._standing_since = now - waited
        self.stands(now, waited)

    def stands(self, now: float, waited: float) -> None:
        """Note that somebody has waited for some seconds by now: look whether it is an overload."""
        since = self._standing_since
        if since is None or self.after is None or self._typical is None:
            return
        age = now - since
        needed = self.interval * max(1.0, SURGE * age / max(waited, 1e-9)) ** PERSISTENCE
        if since - self._over_at < self.interval:
            needed = self._wait
        self._strained = self._strained or age >= BACKGROUND * needed
        if self.overloaded_since is None and age >= needed:
            self.overloaded_since = now

    def missed_deadline(self, now: float) -> None:
        """Note that a recall has waited too long to make its deadline: then waits say nothing of a surge."""
        since = self._standing_since
        if since is not None and now - since >= self.interval and self.overloaded_since is None:
            self.overloaded_since = now
            self._strained = True

    def shed(self, now: float) -> None:
        """Treat what waits now as an overload: it came about under a limit that was a mistake."""
        standing = self._standing_since is not None and self.after is not None
        if standing and self._typical is not None and self.overloaded_since is None:
            self.overloaded_since = now
            self._strained = True

    @property
    def interval(self) -> float:
        """How long a queue may stand."""
        return max(self.after or 0.0, SERVICES * (self._typical or 0.0))

    def patience(self, background: bool = False) -> float:
        """Return the seconds that a recall may wait for its first slot."""
        if background and self._strained:
            return 0.0
        if self.overloaded_since is None:
            return math.inf
        return self._wait

    @property
    def _wait(self) -> float:
        return max(self.wait, WAITED_SERVICES * (self._typical or 0.0))

    def rate(self, now: float, freed: int) -> float:
        """Return the slots that came back a second of late, while the queue stood."""
        at, then = self._mark
        return (freed - then) / (now - at) if now > at else 0.0

    def expected_wait(self, now: float, waiting: int, freed: int) -> float:
        """Return the seconds after which somebody who comes now would have a slot, as slots came of late.

        0 where that is not known.
        """
        if self._standing_since is None or freed - self._mark[1] < 3:
            return 0.0
        return waiting / self.rate(now, freed)

    def service(self, kind: str) -> float:
        """Return what a recall of a kind typically takes once it has its slots; 0 if nobody knows."""
        return self._services.get(kind, 0.0)

    def retry_after(self, now: float) -> float:
        """Return after how many seconds it is worth another try: an overload lasts as long again as it has.

        At least the interval, at most 30 s.
        """
        since = now if self._standing_since is None else self._standing_since
        return min(max(self.interval, now - since), LONGEST_RETRY_SECONDS)

    def _emptied(self, now: float) -> None:
        if self.overloaded_since is not None:
            self._over_at = now
        self._standing_since = self.overloaded_since = None
        self._strained = False


class Place:
    """A recall's place in the queue: whether it may go on waiting, and whether its deadline can be made.

    A recall of which a task has started is never refused; neither is one that does not have to wait.

    Args:
        law: the queue's.
        kind: of the recall, see ``QueueLaw.served``.
        came: when it came, in monotonic seconds.
        deadline: when it is to be over; None: it has no deadline.
        background: whether it is of low priority.

    Attributes:
        started: whether one of its tasks has a slot.
        refused: why it was refused; None: it was not.
        retry_after: seconds after which it is worth another try, if it was refused.
    """

    __slots__ = ("background", "came", "deadline", "kind", "law", "refused", "retry_after", "started")

    def __init__(
        self, law: QueueLaw, kind: str, came: float, deadline: float | None = None, background: bool = False
    ) -> None:
        self.law = law
        self.kind = kind
        self.came = came
        self.deadline = deadline
        self.background = background
        self.started = False
        self.refused: str | None = None
        self.retry_after = 0.0

    def may_queue(self, now: float, waiting: int, freed: int, full: bool) -> bool:
        """Decide as it comes whether it may join ``waiting`` others; ``full``: no slot is free."""
        self.law.queued(now, waiting, freed, full)
        if not full or self.law.after is None:
            return True
        expected = self.law.expected_wait(now, waiting, freed)
        return self._may_wait(now, expected)

    def may_start(self, now: float, waiting: int) -> bool:
        """Decide as a slot is offered to it, with ``waiting`` others left."""
        if self.refused is not None:
            return False
        if not self.started:
            waited = now - self.came
            self.law.left(now, waited, waiting)
            if not self._may_wait(now, 0.0):
                return False
            self.started = True
        return True

    def may_wait(self, now: float) -> bool:
        """Decide whether it may go on waiting."""
        if self.refused is not None:
            return False
        if not self.started:
            self.law.stands(now, now - self.came)
            return self._may_wait(now, 0.0)
        return True

    def _may_wait(self, now: float, more: float) -> bool:
        law = self.law
        waits = now - self.came + more
        if law.after is None or waits < UNNOTICED_SECONDS:
            return True
        if waits > law.patience(self.background):
            since = law.overloaded_since
            busy = "" if since is None else f" for {max(0.0, now - since):.1f} s"
            self.refused = f"overloaded{busy}: it would wait {waits:.1f} s for a slot"
        elif self.deadline is not None:
            # what always takes longer is the layers' own fault: half of the time is for them in any case
            need = min(law.service(self.kind), (self.deadline - self.came) / 2)
            if now + more + need > self.deadline:
                self.refused = f"its deadline cannot be met: it would begin after {waits:.1f} s"
                law.missed_deadline(now)
        if self.refused is None:
            return True
        self.retry_after = law.retry_after(now)
        return False
