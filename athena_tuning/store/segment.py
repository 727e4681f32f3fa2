"""A batch of records as it lies in a store: bytes to columns. ``encoding`` writes what is read here."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from athena_tuning.model import QueryMetrics
from athena_tuning.profiling.columns.recall_columns import RecallColumns
from athena_tuning.store.packing import Ints, Unpacker
from athena_tuning.store.text_policy import hash_shown

VERSION = 2
HEAD = struct.Struct("<BI")


class Segment(RecallColumns[int]):
    """The columns of one batch; its ``texts`` are text ids.

    Args:
        data: from ``encode``.

    Raises:
        ValueError: if the bytes are of another version or damaged.
    """

    def __init__(self, data: bytes) -> None:
        source = Unpacker(data)
        version, n = HEAD.unpack(source.raw(HEAD.size))
        if version != VERSION:
            raise ValueError(f"a segment of version {version}; this program reads version {VERSION}")
        self.prefix, self.id = _unpack_ids(source, n)
        self.texts = source.ints(int.from_bytes(source.raw(4), "little")).tolist()
        self.text = source.ints(n)
        self.time, self.latency, self.memory, self.results = (source.floats(n) for _ in range(4))
        self.accuracy, self.satisfaction = source.floats(n), source.floats(n)
        self.types, self.type = source.strings(), source.ints(n)
        self.errors, self.error = source.strings(), source.ints(n)
        self.sources, self.source = source.strings(), source.ints(n)
        self.flags, self.concurrency, self.config = source.ints(n), source.ints(n), source.ints(n)
        self.layers = source.strings()
        groups: list[tuple[Ints, Ints]] = []
        for _ in range(3):
            if source.raw(1) == b"\1":
                groups.append(groups[-1])
                continue
            at = np.concatenate([[0], np.cumsum(source.ints(n))])
            groups.append((at, source.ints(int(at[-1]))))
        (self.tasks_at, self.task_layer), (self.timed_at, self.timed_layer) = groups[:2]
        self.queried_at, self.queried_layer = groups[2]
        m = len(self.task_layer)
        self.offset, self.queue, self.service = (source.floats(m) for _ in range(3))
        self.in_flight, self.outcome, self.task_results = (source.ints(m) for _ in range(3))
        shared = source.raw(1) == b"\1"
        self.timed = self.service if shared else source.floats(len(self.timed_layer))


def shown_texts(columns: RecallColumns[int], kept: Mapping[int, str]) -> list[str]:
    """Return the texts of some recalls; one that is not kept is shown as its hash."""
    return [kept.get(key) or hash_shown(key) for key in columns.texts]


def records_of(columns: RecallColumns[int], kept: Mapping[int, str]) -> list[QueryMetrics]:
    """Return some recalls as records; a text that is not kept is shown as its hash."""
    return columns.records(shown_texts(columns, kept))


def _unpack_ids(source: Unpacker, n: int) -> tuple[str, npt.NDArray[Any]]:
    if source.raw(1) == b"\1":
        return source.strings()[0], source.ints(n)
    return "", np.array(source.strings(), object)
