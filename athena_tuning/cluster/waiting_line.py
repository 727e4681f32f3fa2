"""Recalls of one client that wait until members have room for them: in the order they came, not for long."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

PATIENCE_SECONDS = 1.0
"""Who has no place after so long is refused: the members have more to do than they can."""


class WaitingLine:
    """Lets so many in at once; used on one event loop alone.

    What waits here costs a member nothing, and can be refused without asking one.

    Args:
        loop: its event loop, whose time is ``time.monotonic``'s.
        room: returns how many may be inside now.
        patience: seconds after which somebody who waits is sent away.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        room: Callable[[], int],
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._loop = loop
        self._room = room
        self._patience = patience
        self._inside = 0
        self._places: deque[tuple[float, asyncio.Future[bool]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._places)

    async def enter(self, came: float) -> bool:
        """Wait for a place; False: there was none in time. Whoever was let in has to ``leave``.

        Args:
            came: monotonic seconds since which it has waited.
        """
        if not self._places and self._inside < self._room():
            self._inside += 1
            return True
        until = came + self._patience
        if until <= self._loop.time():
            return False
        place: asyncio.Future[bool] = self._loop.create_future()
        self._places.append((until, place))
        self._look_later()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.result():
                self.leave()
            raise

    def leave(self) -> None:
        """Give a place back, to whoever has waited longest."""
        self._inside -= 1
        while self._places and self._inside < self._room():
            self._inside += self._tell(is_let_in=True)

    def _tell(self, *, is_let_in: bool) -> bool:
        """Tell the first in the line; False if it has gone meanwhile."""
        _, place = self._places.popleft()
        if place.done():
            return False
        place.set_result(is_let_in)
        return True

    def _look_later(self) -> None:
        if self._timer is None and self._places:
            self._timer = self._loop.call_at(self._places[0][0], self._send_away)

    def _send_away(self) -> None:
        self._timer = None
        while self._places and self._places[0][0] <= self._loop.time():
            self._tell(is_let_in=False)
        self._look_later()
