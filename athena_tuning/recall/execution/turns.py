"""Turns of a caller's event loop, so that many recalls at once share it with whatever else is on it."""

from __future__ import annotations

import asyncio
from collections import deque

RECALLS = 16
"""That begin or go on in one turn of a loop: one to three milliseconds of work."""


class _Turn:
    """The present turn of one loop: how many have gone on in it, and who waits for the next."""

    __slots__ = ("taken", "waiting")

    def __init__(self) -> None:
        self.taken = 1
        self.waiting: deque[asyncio.Future[None]] = deque()


class Turns:
    """Lets a loop turn between recalls, first come, first served, once ``RECALLS`` have gone on in one turn.

    A loop carries out all that is ready before it looks at timers and sockets again: of 1,000 recalls that
    begin, or end, at once, each would keep everything else on it waiting.
    """

    def __init__(self) -> None:
        self._turns: dict[asyncio.AbstractEventLoop, _Turn] = {}

    async def take(self) -> None:
        """Wait for a turn of the running loop in which there is room."""
        loop = asyncio.get_running_loop()
        turn = self._turns.get(loop)
        if turn is None:
            self._begin(loop)
        elif turn.taken < RECALLS and not turn.waiting:
            turn.taken += 1
        else:
            called = loop.create_future()
            turn.waiting.append(called)
            await called

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        for other in [other for other in self._turns if other.is_closed()]:
            self._turns.pop(other, None)
        self._turns[loop] = _Turn()
        loop.call_soon(self._next, loop)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        turn = self._turns[loop]
        turn.taken = 0
        while turn.waiting and turn.taken < RECALLS:
            called = turn.waiting.popleft()
            if not called.done():  # its recall was cancelled
                called.set_result(None)
                turn.taken += 1
        if turn.taken:
            loop.call_soon(self._next, loop)
        else:
            del self._turns[loop]
