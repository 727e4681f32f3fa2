"""Which batches one tail reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Extent(NamedTuple):
    """What must be known of a batch: its number of records and their largest time (Unix seconds)."""

    records: int
    newest: float


def page(batches: Sequence[Extent], since: float, limit: int, newest: int | None) -> tuple[list[int], int]:
    """Return the places of the batches to read now, and how many from the front on are done with then.

    Args:
        batches: those after the cursor, in their order.
        since: batches that are older are passed over (Unix seconds).
        limit: stop once so many records are found.
        newest: pass over batches as long as so many records come after them; None: over none.

    Examples:
        >>> page([Extent(10, 5.0), Extent(10, 6.0), Extent(10, 7.0)], since=0.0, limit=100, newest=15)
        ([1, 2], 3)
        >>> page([Extent(10, 5.0), Extent(10, 6.0), Extent(10, 7.0)], since=6.0, limit=5, newest=None)
        ([1], 2)
    """
    left = sum(batch.records for batch in batches if batch.newest >= since)
    wanted: list[int] = []
    count = 0
    for place, batch in enumerate(batches):
        if count >= limit:
            return wanted, place
        if batch.newest < since:
            continue
        left -= batch.records
        if newest is None or left < newest:
            wanted.append(place)
            count += batch.records
    return wanted, len(batches)
