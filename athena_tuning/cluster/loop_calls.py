"""Work passed from one event loop to another: what comes close together shares a wake-up of the loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from contextvars import Context
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


class LoopCalls:
    """Calls functions on a loop, from any thread.

    ``call_soon_threadsafe`` wakes the loop for every call, which costs a system call each; this wakes it once
    for all that was put in meanwhile.

    Args:
        loop: on which to call.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._is_scheduled = False

    def put(self, function: Callable[..., object], *args: Any) -> None:
        """Have a function called on the loop, in no context of any caller.

        Raises:
            RuntimeError: if the loop is closed.
        """
        self._calls.append((function, args))
        if not self._is_scheduled:  # two threads that see this at once wake the loop twice, which is harmless
            self._is_scheduled = True
            try:
                self._loop.call_soon_threadsafe(self._run, context=Context())
            except RuntimeError:
                self._is_scheduled = False
                raise

    def _run(self) -> None:
        self._is_scheduled = False  # before the look: what is put in from now on wakes the loop again
        for _ in range(len(self._calls)):
            function, args = self._calls.popleft()
            function(*args)


class LoopBridge:
    """Has work done on a loop for threads and coroutines elsewhere, which wait for it.

    Args:
        loop: on which the work is done.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._inward = LoopCalls(loop)
        self._outward: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopCalls] = WeakKeyDictionary()

    def run(self, work: Coroutine[Any, Any, T], timeout_seconds: float | None = None) -> T:
        """Wait in this thread for work that is done on the loop; if this is interrupted, so is the work.

        Raises:
            TimeoutError: if it is not done in time.
        """
        done = (
            threading.Lock()
        )  # an Event, as of a ``concurrent.futures.Future``, costs several times as much
        done.acquire()
        tasks: list[asyncio.Task[T]] = []

        def start() -> None:
            tasks.append(task := self._loop.create_task(work))
            task.add_done_callback(lambda _: done.release())

        self._put(start, work)
        in_time = False
        try:
            in_time = done.acquire(timeout=-1 if timeout_seconds is None else timeout_seconds)
        finally:
            if not in_time:
                self._inward.put(_cancel, tasks)
        if not in_time:
            raise TimeoutError(f"it was not done within {timeout_seconds:g} s")
        if tasks[0].cancelled():
            raise CancelledError
        return tasks[0].result()

    async def arun(self, work: Coroutine[Any, Any, T]) -> T:
        """Await here work that is done on the loop; if this is cancelled, so is the work."""
        here = asyncio.get_running_loop()
        outward = self._outward.get(here)
        if outward is None:
            outward = self._outward[here] = LoopCalls(here)
        result: asyncio.Future[T] = here.create_future()
        tasks: list[asyncio.Task[T]] = []

        def finish(task: asyncio.Task[T]) -> None:
            try:
                outward.put(_transfer, task, result)
            except RuntimeError:  # the caller's loop was closed: nobody waits any more
                _transfer(task, None)

        def start() -> None:
            if result.cancelled():
                work.close()
                return
            tasks.append(task := self._loop.create_task(work))
            task.add_done_callback(finish)

        self._put(start, work)
        try:
            return await result
        except asyncio.CancelledError:
            self._inward.put(_cancel, tasks)
            raise

    def _put(self, start: Callable[[], None], work: Coroutine[Any, Any, Any]) -> None:
        try:
            self._inward.put(start)
        except RuntimeError:
            work.close()
            raise


def _transfer(task: asyncio.Task[T], result: asyncio.Future[T] | None) -> None:
    """Pass on what came of a task; its exception is looked at also where nobody waits for it."""
    error = None if task.cancelled() else task.exception()
    if result is None or result.done():
        return
    if task.cancelled():
        result.cancel()
    elif error is not None:
        result.set_exception(error)
    else:
        result.set_result(task.result())


def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
