"""A try at a recall that others may make too: it has the recall's id, and is recorded when it is said so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial


class Attempt:
    """One of several tries at one recall, of which one is recorded.

    Args:
        query_id: of the recall, the same for all tries.

    Attributes:
        is_recorded: whether this one was.
    """

    def __init__(self, query_id: str) -> None:
        self.query_id = query_id
        self.is_recorded = False
        self._record: Callable[[], None] | None = None

    def hold(self, record: Callable[[], None]) -> None:
        """Keep what records it, until ``record``; the trace and other context variables come along."""
        self._record = partial(copy_context().run, record)

    def record(self) -> None:
        """Have it recorded, once; nothing happens as long as it has not ended."""
        record, self._record = self._record, None
        if record is not None:
            self.is_recorded = True
            record()


_current: ContextVar[Attempt | None] = ContextVar("athena_tuning_attempt", default=None)


@contextmanager
def attempted(attempt: Attempt) -> Iterator[None]:
    """Make of the recall that is asked within this an attempt: it is recorded when that says so."""
    token = _current.set(attempt)
    try:
        yield
    finally:
        _current.reset(token)


def current_attempt() -> Attempt | None:
    """Return the attempt that a recall which begins here is; None: it is a recall of its own."""
    return _current.get()
