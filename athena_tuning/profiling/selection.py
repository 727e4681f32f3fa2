"""Which records a question is about: the filter that every chart understands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from athena_tuning.profiling.window import Rows


class Filter(TypedDict, total=False):
    """Keywords of the filter: time range (Unix seconds, end excluded), query type, layer, config version."""

    start: float | None
    end: float | None
    query_type: str | None
    layer: str | None
    config_version: int | None


@dataclass(frozen=True, slots=True)
class Selection:
    """The filter as a value. With a layer, records that asked it, and its own times, outcome and waits."""

    start: float | None = None
    end: float | None = None
    query_type: str | None = None
    layer: str | None = None
    config_version: int | None = None

    def of(self, rows: Rows) -> Rows:
        """Return the rows of ``rows`` that are meant."""
        if self.start is not None and rows.block.oldest < self.start:
            rows = rows.where(rows["time"] >= self.start)
        if self.end is not None and rows.block.newest >= self.end:
            rows = rows.where(rows["time"] < self.end)
        if self.query_type is not None:
            number = rows.block.names.types.get(self.query_type)
            rows = rows.where(rows["type"] == (-1 if number is None else number))
        if self.config_version is not None:
            rows = rows.where(rows["config"] == self.config_version)
        return rows if self.layer is None else rows.of_layer(self.layer)


def latencies(rows: Rows) -> npt.NDArray[np.float64]:
    """Return known latencies in ms: of the recalls, or of the layer that the rows are about."""
    ms = rows["latency"] if rows.layer is None else rows.task("service")
    known = ~np.isnan(ms)
    return ms if known.all() else ms[known]
