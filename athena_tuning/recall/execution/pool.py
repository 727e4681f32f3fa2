"""Long-lived threads for layers that block."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

Job = Callable[[], Callable[[], None]]
"""Work for a thread. It returns what is to be done once the thread counts as free again."""


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
        self._free = 0
        self._closed = False

    @property
    def size(self) -> int:
        """Threads it has."""
        return len(self._threads)

    def submit(self, job: Job) -> None:
        """Run ``job`` in a free thread, or in a new one.

        Raises:
            RuntimeError: after ``close``.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("the thread pool is closed")
            if self._free:
                self._free -= 1
            else:
                name = f"{self._name}-{len(self._threads) + 1}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                thread.start()
                self._threads.append(thread)
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            done = job()
            with self._lock:
                self._free += 1
            done()

    def close(self, timeout_seconds: float) -> int:
        """End the threads once they are free; return how many are still in a call that does not end."""
        with self._lock:
            self._closed = True
        for _ in self._threads:
            self._jobs.put(None)
        until = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return sum(thread.is_alive() for thread in self._threads)
