"""Long-lived threads for layers that block."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")

Job = Callable[[], Callable[[], object] | None]
"""Work for a thread. It returns what is to be done once the thread counts as free again, if anything."""


class ThreadPool:
    """As many threads as were ever busy at once, kept until ``close``.

    How many may be busy is not its business: the shared limit decides that before a job comes here. The
    threads are daemons, so that a call which never returns cannot keep the process from ending.
    """

    def __init__(self, name: str = "layer") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unfinished = 0
        self._closed = False

    @property
    def size(self) -> int:
        """Threads it has."""
        return len(self._threads)

    def submit(self, job: Job) -> None:
        """Run ``job`` in a free thread, or in a new one; where none can be had, in the next that is free.

        Raises:
            RuntimeError: after ``close``, or if there is no thread and none can be started.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("the thread pool is closed")
            if self._unfinished >= len(self._threads):
                try:
                    self._add_thread()
                except RuntimeError:  # the system's limit, or the interpreter is about to end
                    if not any(thread.is_alive() for thread in self._threads):
                        raise
            self._unfinished += 1
            self._jobs.put(job)

    def repair(self) -> None:
        """Replace threads that died, and add one where jobs wait although nothing runs them."""
        with self._lock:
            if self._closed:
                return
            alive = [thread for thread in self._threads if thread.is_alive()]
            dead = len(self._threads) - len(alive)
            self._threads = alive
            self._unfinished = max(0, self._unfinished - dead)
            if self._jobs.qsize() and self._unfinished >= len(self._threads):
                self._add_thread()

    def close(self, timeout_seconds: float) -> int:
        """End the threads once they are free; return how many are still in a call that does not end."""
        with self._lock:
            self._closed = True
        for _ in self._threads:
            self._jobs.put(None)
        until = time.monotonic() + timeout_seconds
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))
        return sum(thread.is_alive() for thread in self._threads if thread is not threading.current_thread())

    def _add_thread(self) -> None:
        name = f"{self._name}-{len(self._threads) + 1}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            done = _attempt(job)
            with self._lock:
                self._unfinished -= 1
            if done is not None:
                _attempt(done)
            job = done = None  # a thread that waits keeps nothing of a recall


def _attempt(work: Callable[[], T]) -> T | None:
    """Do a piece of work; one that fails, which none should, costs itself alone and not its thread."""
    try:
        return work()
    except BaseException:
        logger.exception("a layer's thread met an exception that is none of a layer's")
        return None
