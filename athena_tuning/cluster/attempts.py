"""Tries at recalls that a member makes: which are under way, and which of them are recorded.

A recall may be tried by two members, when the first is silent for long. It is recorded once: by the first,
unless whoever asked says before it has ended that another one's answer counts; that one waits to be told.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from athena_tuning.recall.attempt import Attempt

KEPT = 10_000
"""So many ended tries are known: as many as may be asked about within the seconds that settling takes."""


@dataclass(slots=True)
class _Try:
    attempt: Attempt
    task: asyncio.Task[Any] | None
    is_hedge: bool
    is_dropped: bool = False


class Attempts:
    """The tries of one member; used on its loop alone.

    Examples:
        >>> tries, first = Attempts(), Attempt("q-1")
        >>> first.hold(lambda: print("recorded"))
        >>> tries.begin(first, None, is_hedge=False)
        >>> tries.end("q-1")
        recorded
        >>> tries.settle("q-1", counts=False)  # too late: it is recorded here, so nowhere else
        True
    """

    def __init__(self) -> None:
        self._tries: OrderedDict[str, _Try] = OrderedDict()

    def has(self, query_id: str) -> bool:
        """Whether a try at a recall is, or was, made here."""
        return query_id in self._tries

    def begin(self, attempt: Attempt, task: asyncio.Task[Any] | None, *, is_hedge: bool) -> None:
        """Note that a try begins."""
        self._tries[attempt.query_id] = _Try(attempt, task, is_hedge)
        if len(self._tries) > KEPT:
            self._tries.popitem(last=False)

    def end(self, query_id: str) -> None:
        """Note that a try has ended; it is recorded unless it is a hedge or does not count."""
        known = self._tries.get(query_id)
        if known is None:
            return
        known.task = None
        if not known.is_hedge and not known.is_dropped:
            known.attempt.record()

    def give_up(self, query_id: str) -> None:
        """Forget a try that came to nothing: another one is made elsewhere."""
        self._tries.pop(query_id, None)

    def settle(self, query_id: str, *, counts: bool) -> bool | None:
        """Learn whether a try counts.

        Returns:
            Whether it is recorded here; None if there is no such try.
        """
        known = self._tries.get(query_id)
        if known is None:
            return None
        if counts:
            if known.task is None:
                known.attempt.record()
            else:
                known.is_hedge = False
        elif not known.attempt.is_recorded:
            known.is_dropped = True
            if known.task is not None:
                known.task.cancel()
        return known.attempt.is_recorded
