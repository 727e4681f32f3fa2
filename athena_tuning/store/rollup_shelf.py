"""Roll-ups in this process, on shelves of sixty units of time: adding touches only the newest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from athena_tuning.store.encoding import Encoded
from athena_tuning.store.retention import Level, Retention, Span
from athena_tuning.store.rollup import KEYS, Rollups, selected
from athena_tuning.store.rollup_fold import minutes_of
from athena_tuning.store.segment import Segment

_AT_ONCE = 20_000
_UNITS = 60


class RollupShelf:
    """The roll-ups of a ``MemoryStore``, which holds the lock."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, Encoded]] = []
        self._records = 0
        self._shelves: dict[Level, dict[int, Rollups]] = {level: {} for level in Level}

    def add(self, worker_id: str, batch: Encoded) -> None:
        """Take a batch; it is rolled up later, many at once."""
        self._waiting.append((worker_id, batch))
        self._records += batch.records
        if self._records >= _AT_ONCE:
            self.roll_up()

    def roll_up(self) -> None:
        """Roll up what is waiting."""
        if not self._waiting:
            return
        minutes = minutes_of([(worker, Segment(batch.data)) for worker, batch in self._waiting])
        self._waiting, self._records = [], 0
        for level, shelves in self._shelves.items():
            table = minutes.at_level(level)
            for shelf in {_shelf_of(level, key[1]) for key in table.keys}:
                first = shelf * _UNITS * level
                part = selected(table, [Span(level, first, first + _UNITS * level)], {})
                shelves[shelf] = Rollups.joined((shelves.get(shelf, Rollups.empty()), part)).merged()

    def read(self, spans: Sequence[Span], chosen: Mapping[str, str | int]) -> Rollups:
        """Return the roll-ups of some spans."""
        return Rollups.joined(
            selected(table, [span], chosen)
            for span in spans
            for shelf, table in sorted(self._shelves[span.level].items())
            if _shelf_of(span.level, span.first) <= shelf <= _shelf_of(span.level, span.end - 1)
        )

    def take_out(self, source: str) -> None:
        """Forget what came from a source."""
        self.roll_up()
        place = KEYS.index("source")
        for shelves in self._shelves.values():
            for shelf, table in list(shelves.items()):
                shelves[shelf] = table.where(np.array([key[place] != source for key in table.keys], bool))

    def forget(self, retention: Retention, now: float) -> None:
        """Forget the shelves that are wholly older than the retention."""
        for level, shelves in self._shelves.items():
            oldest = _shelf_of(level, int(now - retention.of(level)) - level)
            for shelf in [number for number in shelves if number < oldest]:
                del shelves[shelf]


def _shelf_of(level: Level, start: int) -> int:
    return start // (level * _UNITS)
