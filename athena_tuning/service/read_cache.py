"""Answers that are computed once for everybody who asks the same of the same data."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from athena_tuning.lru_cache import LruCache

T = TypeVar("T")


class Remembered:
    """Keeps answers for as long as the data stays as it is.

    Live data never stays as it is, so its version is looked at anew only every so often: many sessions that
    refresh at about the same time then share one computation, and see data that is at most so old.

    Args:
        version: grows when the data changes.
        clock: seconds.
        look_seconds: between two looks at the version.
        most: answers kept, those asked for last.

    Example:
        >>> kept = Remembered(version=lambda: 1, clock=lambda: 0.0)
        >>> kept.answer("sum", lambda: 2 + 2), kept.answer("sum", lambda: 5)
        (4, 4)
    """

    def __init__(
        self,
        version: Callable[[], int],
        clock: Callable[[], float],
        *,
        look_seconds: float = 2.0,
        most: int = 256,
    ) -> None:
        self._version_of = version
        self._clock = clock
        self._look_seconds = look_seconds
        self._lock = threading.Lock()
        self._answers: LruCache[tuple[Hashable, int], Any] = LruCache(most)
        self._looked_at = -look_seconds
        self._version = -1

    def forget(self) -> None:
        """Look at the version anew at the next question."""
        with self._lock:
            self._looked_at = -self._look_seconds

    def answer(self, question: Hashable, compute: Callable[[], T]) -> T:
        """Return the answer to a question, computed now, once for all who ask now, if it is not known."""
        with self._lock:
            now = self._clock()
            if not 0 <= now - self._looked_at < self._look_seconds:
                self._looked_at, self._version = now, self._version_of()
            key = (question, self._version)
        return cast("T", self._answers.get_or_compute(key, compute))
