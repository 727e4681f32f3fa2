"""Where recalls come from: measured live, replayed from a sample, imported or simulated."""

from __future__ import annotations

from collections import Counter

import numpy as np

from athena_tuning.profiling.columns.block import One, Rows
from athena_tuning.profiling.columns.incremental import IncrementalSummaries
from athena_tuning.profiling.columns.names import Names
from athena_tuning.profiling.columns.selection import Selection
from athena_tuning.profiling.columns.window import View


class Sources:
    """Recalls by the number of their source."""

    def __init__(self) -> None:
        self.by_number: Counter[int] = Counter()

    def apply(self, rows: Rows, sign: int) -> None:
        """Count rows (+1) or take them away (−1)."""
        for number, n in enumerate(np.bincount(rows["source"]).tolist()):
            if n:
                self.by_number[number] += sign * n

    def apply_one(self, one: One, layer: str | None, sign: int) -> None:
        """Count a record (+1) or take it away (−1)."""
        self.by_number[one.record.source] += sign


def sources(
    summaries: IncrementalSummaries, view: View, selection: Selection, names: Names
) -> dict[str, int]:
    """Return how many recalls came from each source, most first."""
    counted = summaries.summary(Sources, selection, view).by_number
    return {names.sources[number]: n for number, n in counted.most_common() if n > 0}
