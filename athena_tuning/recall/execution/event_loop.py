"""Event loops on which coroutine layers run: the executor's own, and a watch on any of them."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass
from pathlib import PurePath
from types import CodeType

from athena_tuning.recall.execution.layer_run import LayerRun

logger = logging.getLogger(__name__)

BEAT_SECONDS = 0.05
MOST_THREADS = 1024
"""Of the pool behind the loop, to which coroutines hand what blocks. The limit decides how many there are;
the few that such a pool has by itself would queue what has a slot."""

BLOCKED_SECONDS = 0.25
"""A loop that has not turned for so long is blocked."""


@dataclass(frozen=True, slots=True)
class LoopBlock:
    """A coroutine that keeps its event loop from turning.

    Attributes:
        layer: whose coroutine; "" if it is none of a layer's.
        seconds: for how long by now.
        where: the line that the layer is at, as far as it can be told.
    """

    layer: str
    seconds: float
    where: str


class LoopWatch:
    """Tells whether a loop with layers on it turns, and else which of them blocks it.

    While layers run on it, the loop notes the time at every ``BEAT_SECONDS``. Who waits for a layer, from
    whatever thread, looks how long ago that was.

    Args:
        loop: the loop, which need not run yet.
        clock: monotonic seconds.
        on_idle: called on the loop once no layer has been on it for a while; then the watch has ended.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float], on_idle: Callable[[], object]
    ) -> None:
        self.loop = loop
        self._clock = clock
        self._on_idle = on_idle
        self._runs: dict[asyncio.Task[None], LayerRun] = {}  # a loop itself holds its tasks weakly
        self._thread_id = 0
        self._beat_at = 0.0
        self._beating = False

    def enter(self, task: asyncio.Task[None], run: LayerRun) -> None:
        """Watch, and hold, a task that drives the coroutine of a run. Called on the loop."""
        self._runs[task] = run
        if not self._beating:
            self._beating = True
            self._thread_id = threading.get_ident()
            self._beat()

    def leave(self, task: asyncio.Task[None]) -> LayerRun | None:
        """Watch a task no longer; return the run that it drives, if it was watched."""
        return self._runs.pop(task, None)

    def block(self) -> LoopBlock | None:
        """Return what blocks the loop now; None if it turns, or nothing of ours is on it."""
        seconds = self._clock() - self._beat_at
        if not self._beating or not self._runs or seconds < BLOCKED_SECONDS or not self.loop.is_running():
            return None
        run = self._runs.get(asyncio.current_task(self.loop))  # type: ignore[arg-type]
        if run is None:
            return LoopBlock("", seconds, _where(self._thread_id, None))
        code = getattr(run.task.query_fn, "__code__", None)  # to tell at which of its lines it is
        return LoopBlock(run.layer_name, seconds, _where(self._thread_id, code))

    def _beat(self) -> None:
        self._beat_at = self._clock()
        if self._runs:
            self.loop.call_later(BEAT_SECONDS, self._beat, context=Context())
        else:
            self._beating = False
            self._on_idle()


class LoopThread:
    """An event loop in a thread of its own, started when it is first needed.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str = "layer-loop") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False

    @property
    def is_current(self) -> bool:
        """Whether this is called on the loop's own thread."""
        return threading.current_thread() is self._thread

    def get(self) -> asyncio.AbstractEventLoop:
        """Return the running loop.

        Raises:
            RuntimeError: after ``close``, or if no thread can be started.
        """
        with self._lock:
            if self._stopping:
                raise RuntimeError("the event loop of the layers is closed")
            if self._loop is None:
                loop = asyncio.new_event_loop()
                loop.set_default_executor(ThreadPoolExecutor(MOST_THREADS, f"{self._name}-pool"))
                thread = threading.Thread(target=self._serve, args=(loop,), name=self._name, daemon=True)
                try:
                    thread.start()
                except BaseException:
                    loop.close()
                    raise
                self._loop, self._thread = loop, thread
            return self._loop

    def submit(self, callback: Callable[[], object]) -> None:
        """Call something on the loop soon, in no context of any caller.

        Raises:
            RuntimeError: as ``get``.
        """
        self.get().call_soon_threadsafe(callback, context=Context())

    def close(self, timeout_seconds: float) -> None:
        """Cancel what is on the loop and end the thread; one that is blocked is left behind."""
        with self._lock:
            self._stopping = True
            loop, thread = self._loop, self._thread
        if loop is not None and thread is not None and thread.is_alive():
            loop.call_soon_threadsafe(loop.stop)
            if thread is not threading.current_thread():
                thread.join(timeout_seconds)

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        while not self._stopping:
            try:
                loop.run_forever()
            except BaseException:  # asyncio lets SystemExit and the like out, whoever raised it
                logger.exception("something on the layers' event loop tried to end its thread")
        try:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


def _where(thread_id: int, code: CodeType | None) -> str:
    """Return the line that a thread is at within a function; its innermost line if it is not in it."""
    frame = innermost = sys._current_frames().get(thread_id)
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    frame = frame or innermost
    if frame is None:
        return ""
    return f"{frame.f_code.co_name}, line {frame.f_lineno} of {PurePath(frame.f_code.co_filename).name}"
