"""Which records a question is about: the filter that every chart understands."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from athena_tuning.model.source import is_among
from athena_tuning.profiling.columns.block import Block, One, Rows
from athena_tuning.profiling.columns.window import View


class Filter(TypedDict, total=False):
    """Keywords of the filter.

    Time range (Unix seconds, end excluded), query type, layer, config version, and sources: kinds or batches.
    """

    start: float | None
    end: float | None
    query_type: str | None
    layer: str | None
    config_version: int | None
    sources: Collection[str] | None


@dataclass(frozen=True, slots=True)
class Selection:
    """The filter as a value. With a layer, records that asked it, and its own times, outcome and waits."""

    start: float | None = None
    end: float | None = None
    query_type: str | None = None
    layer: str | None = None
    config_version: int | None = None
    sources: Collection[str] | None = None

    def __post_init__(self) -> None:
        if self.sources is not None:
            object.__setattr__(self, "sources", frozenset(self.sources))

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
        if self.sources is not None:
            rows = rows.where(rows.block.names.among(frozenset(self.sources))[rows["source"]])
        return rows if self.layer is None else rows.of_layer(self.layer)

    def moves_to(self, other: Selection) -> bool:
        """Whether another selection is the same stretch of time at another moment, most of it in both.

        Examples:
            >>> Selection(0, 60).moves_to(Selection(2, 62)), Selection(0, 60).moves_to(Selection(2, 90))
            (True, False)
        """
        if self.start is None or self.end is None or other.start is None or other.end is None:
            return False
        way, length = other.start - self.start, self.end - self.start
        return (
            abs(way) < length / 4
            and math.isclose(other.end - self.end, way, abs_tol=1e-3)
            and replace(self, start=other.start, end=other.end) == other
        )

    def changes_to(self, other: Selection) -> Iterator[tuple[Selection, int]]:
        """Yield what to add to (+1) and take from (−1) this one to make it one that it ``moves_to``."""
        for before, after, sign in ((self.start, other.start, -1), (self.end, other.end, 1)):
            if before is not None and after is not None and before != after:
                first, last = sorted((before, after))
                yield replace(self, start=first, end=last), sign if after > before else -sign

    def parts(self, view: View) -> Iterator[Rows]:
        """Yield the selected rows of a view, a part for each block that has some."""
        for block in view.blocks:
            if self.may_be_in(block):
                rows = self.of(view.part(block))
                if len(rows):
                    yield rows

    def may_be_in(self, block: Block) -> bool:
        """Whether a block can hold selected rows, by its times and layers."""
        return (
            (self.start is None or block.newest >= self.start)
            and (self.end is None or block.oldest < self.end)
            and (self.layer is None or self.layer in block.tasks)
        )

    def holds(self, one: One) -> bool:
        """Whether a single record is meant."""
        return (
            (self.start is None or one.record.time >= self.start)
            and (self.end is None or one.record.time < self.end)
            and (self.query_type is None or one.query_type == self.query_type)
            and (self.config_version is None or one.record.config == self.config_version)
            and (self.layer is None or self.layer in one.tasks)
            and is_among(one.source, self.sources)
        )


def times(rows: Rows) -> npt.NDArray[np.float64]:
    """Return latencies in ms, NaN where unknown: of the recalls, or of the layer that the rows are about."""
    return rows["latency"] if rows.layer is None else rows.task("service")


def time_of(one: One, layer: str | None) -> float:
    """Return the latency in ms, NaN if unknown: of the recall, or of one layer of it."""
    return one.record.latency if layer is None else one.tasks[layer].service


def latencies(rows: Rows) -> npt.NDArray[np.float64]:
    """Return the ``times`` that are known."""
    ms = times(rows)
    known = ~np.isnan(ms)
    return ms if known.all() else ms[known]
