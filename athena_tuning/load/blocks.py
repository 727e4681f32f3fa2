"""What a load run has measured so far: bounded however long it runs, and enough to compare runs later.

The run is cut into blocks of equal time; neighbouring blocks are merged in pairs whenever there are forty, so
that twenty to forty are always there. Recalls near each other in time share their fate (a burst, a cold
cache), blocks hardly do: that is why intervals come from blocks.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from athena_tuning.profiling.histogram import LatencyHistogram

_FIRST_BLOCK_S = 0.5
_MOST_BLOCKS = 40
_PENDING = 512
_LEAST_MS = 1e-3


@dataclass(slots=True)
class Block:
    """A stretch of a run: counts, latencies from the intended start, and sums of their logs by query type.

    ``missed`` is the same of recalls that the cache did not answer; None in runs of older programs.
    """

    counts: Counter[str] = field(default_factory=Counter)
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    by_type: dict[str, tuple[int, float]] = field(default_factory=dict)
    missed: Block | None = None

    def merge(self, other: Block) -> Block:
        """Return both as one."""
        by_type = dict(self.by_type)
        for name, (n, total) in other.by_type.items():
            seen, sum_log = by_type.get(name, (0, 0.0))
            by_type[name] = (seen + n, sum_log + total)
        missed = self.missed.merge(other.missed) if self.missed and other.missed else None
        return Block(self.counts + other.counts, self.latency.merge(other.latency), by_type, missed)

    def to_dict(self) -> dict[str, Any]:
        """Return the block as plain JSON types."""
        return {
            "counts": dict(self.counts),
            "latency": self.latency.to_bytes().hex(),
            "by_type": {name: list(sums) for name, sums in self.by_type.items()},
            "missed": self.missed.to_dict() if self.missed else None,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a block from plain JSON types."""
        return cls(
            Counter(values["counts"]),
            LatencyHistogram.from_bytes(bytes.fromhex(values["latency"])),
            {name: (int(n), float(total)) for name, (n, total) in values["by_type"].items()},
            cls.from_dict(values["missed"]) if values.get("missed") else None,
        )


@dataclass(frozen=True, slots=True)
class RecallOutcome:
    """One finished recall of a run. Seconds from the run's start for ``due_s``, else ms.

    ``latency_ms`` counts from the moment the recall was due, ``service_ms`` from the moment it was called.
    """

    query_type: str
    due_s: float
    latency_ms: float
    service_ms: float
    error: str = ""
    partial: bool = False
    cache_hit: bool | None = None
    config_version: int = 0


class Tally:
    """Counts the recalls of one run; thread-safe. ``block_s`` is the length of its blocks in seconds."""

    def __init__(self) -> None:
        self.block_s = _FIRST_BLOCK_S
        self._blocks: dict[int, Block] = {}
        self._service = LatencyHistogram()
        self._late = LatencyHistogram()
        self._versions: Counter[int] = Counter()
        self._errors: Counter[str] = Counter()
        self._pending: list[RecallOutcome] = []
        self._lock = threading.Lock()

    def record(self, outcome: RecallOutcome) -> None:
        """Count one recall."""
        with self._lock:
            self._pending.append(outcome)
            if len(self._pending) >= _PENDING:
                self._fold()

    def blocks(self) -> tuple[Block, ...]:
        """Return the blocks in the order of time."""
        with self._lock:
            self._fold()
            return tuple(self._blocks[index] for index in sorted(self._blocks))

    def total(self) -> Block:
        """Return the whole run as one block."""
        whole = Block(missed=Block())
        for block in self.blocks():
            whole = whole.merge(block)
        return whole

    def service(self) -> LatencyHistogram:
        """Return latencies from the call itself."""
        with self._lock:
            self._fold()
            return self._service.merge(LatencyHistogram())

    def late(self) -> LatencyHistogram:
        """Return how late recalls were called: latency minus service, in ms."""
        with self._lock:
            self._fold()
            return self._late.merge(LatencyHistogram())

    def versions(self) -> dict[int, int]:
        """Return recalls by config version."""
        with self._lock:
            self._fold()
            return dict(sorted(self._versions.items()))

    def errors(self) -> dict[str, int]:
        """Return errors by their name."""
        with self._lock:
            self._fold()
            return dict(self._errors.most_common())

    def _fold(self) -> None:
        pending, self._pending = self._pending, []
        if not pending:
            return
        self._service.add_many([outcome.service_ms for outcome in pending])
        self._late.add_many([max(0.0, outcome.latency_ms - outcome.service_ms) for outcome in pending])
        self._versions.update(outcome.config_version for outcome in pending)
        self._errors.update(outcome.error for outcome in pending if outcome.error)
        by_block: dict[int, list[RecallOutcome]] = {}
        for outcome in pending:
            by_block.setdefault(int(outcome.due_s / self.block_s), []).append(outcome)
        for index, members in by_block.items():
            added = _block_of(members)
            known = self._blocks.get(index)
            self._blocks[index] = known.merge(added) if known else added
        while max(self._blocks) >= _MOST_BLOCKS:
            self._widen()

    def _widen(self) -> None:
        self.block_s *= 2
        wider: dict[int, Block] = {}
        for index, block in self._blocks.items():
            known = wider.get(index // 2)
            wider[index // 2] = known.merge(block) if known else block
        self._blocks = wider


def _block_of(members: list[RecallOutcome]) -> Block:
    block = _latencies(members)
    block.missed = _latencies([outcome for outcome in members if not outcome.cache_hit])
    block.counts.update(
        errors=sum(bool(outcome.error) for outcome in members),
        partials=sum(outcome.partial for outcome in members),
        cache_hits=sum(outcome.cache_hit is True for outcome in members),
        cache_known=sum(outcome.cache_hit is not None for outcome in members),
    )
    return block


def _latencies(members: list[RecallOutcome]) -> Block:
    block = Block(Counter(finished=len(members)))
    block.latency.add_many([outcome.latency_ms for outcome in members])
    for outcome in members:
        n, sum_log = block.by_type.get(outcome.query_type, (0, 0.0))
        block.by_type[outcome.query_type] = (n + 1, sum_log + math.log(max(outcome.latency_ms, _LEAST_MS)))
    return block
