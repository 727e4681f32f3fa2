"""What layers took of memory, hour by hour, from each worker to all who ask later."""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

from athena_tuning.model import MemoryHour
from athena_tuning.model.memory_hour import HOUR_SECONDS
from athena_tuning.store import Store

logger = logging.getLogger(__name__)

TOPIC = "layer memory"
POST_SECONDS = 10.0
"""How old what a worker posted of the present hour may be; what was sampled after that is lost as it ends."""


class MemoryPost:
    """Leaves in a store what a worker's layers took of memory: a message for each hour with news.

    A store keeps messages for ``Retention.workers`` seconds, a week by default.

    Args:
        store: where others can see it.
        worker_id: whose layers.
        clock: monotonic seconds.
    """

    def __init__(self, store: Store, worker_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._worker_id = worker_id
        self._clock = clock
        self._posted: dict[int, str] = {}
        self._posted_at = -POST_SECONDS

    def post(self, hours: Iterable[MemoryHour]) -> None:
        """Post what the newest hours say, if that is news and it is time.

        Raises:
            StoreError: if the store does not take it; call again later.
        """
        if self._clock() - self._posted_at < POST_SECONDS:
            return
        by_start: dict[int, list[MemoryHour]] = defaultdict(list)
        for hour in hours:
            by_start[hour.start].append(hour)
        texts = {start: json.dumps([hour.to_dict() for hour in known]) for start, known in by_start.items()}
        for start, text in texts.items():
            if text != self._posted.get(start):
                self._store.post(TOPIC, f"{start}/{self._worker_id}", text)
                self._posted_at = self._clock()
        self._posted = texts


def posted_memory(store: Store, start: float, end: float) -> dict[str, list[MemoryHour]]:
    """Return what workers posted of their layers' memory, by worker, hour by hour.

    Args:
        store: where they posted it.
        start: Unix seconds; the hour that this lies in is part of it.
        end: Unix seconds; an hour that begins then is not.

    Raises:
        StoreError: if the store cannot be read.
    """
    found: dict[str, list[MemoryHour]] = defaultdict(list)
    for key, text in store.posted(TOPIC).items():
        hour, _, worker = key.partition("/")
        try:
            if start - HOUR_SECONDS < int(hour) < end:
                found[worker] += [MemoryHour.from_dict(values) for values in json.loads(text)]
        except (ValueError, TypeError, AttributeError) as exc:
            logger.warning("what %s posted of its layers' memory cannot be read: %s", worker, exc)
    return {worker: sorted(hours, key=lambda hour: hour.start) for worker, hours in sorted(found.items())}
