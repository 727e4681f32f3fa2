"""What recalls met in the blocks of an experiment, and the differences between those of a pair."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from athena_tuning.model import Experiment, ExperimentBlock, QueryMetrics
from athena_tuning.profiling.histogram import LatencyHistogram

LEAST_IN_BLOCK = 5
"""Recalls with a latency that a block needs for its typical one to be compared."""
LEAST_FOR_P99 = 100
"""Recalls with a latency that a block needs for its p99: below that it is their maximum."""
WRONG = 0.1
"""A manager that runs more than this share of a block's recalls under the other config does not obey."""
_LEAST_MS = 1e-3


@dataclass(slots=True)
class BlockTally:
    """Recalls of a block, or of several: counts, and the latencies of those that count for latency.

    Attributes:
        recalls: all that ran under the block's config.
        wrong: those that ran under the other one; they count nowhere else.
        refused: turned away.
        complete: answered by all layers that were asked.
        cached: answered from the cache.
        latency: of answered recalls, in ms.
        by_type: their number and the sum of their log ms, by type.
    """

    recalls: int = 0
    wrong: int = 0
    refused: int = 0
    complete: int = 0
    cached: int = 0
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    by_type: dict[str, tuple[int, float]] = field(default_factory=dict)

    def add(self, other: BlockTally) -> None:
        """Count another's recalls too."""
        self.recalls += other.recalls
        self.wrong += other.wrong
        self.refused += other.refused
        self.complete += other.complete
        self.cached += other.cached
        self.latency = self.latency.merge(other.latency)
        for kind, (n, logs) in other.by_type.items():
            known, total = self.by_type.get(kind, (0, 0.0))
            self.by_type[kind] = known + n, total + logs

    @property
    def timed(self) -> int:
        """Recalls with a latency that counts."""
        return sum(n for n, _ in self.by_type.values())

    @property
    def typical_ms(self) -> float:
        """The geometric mean of latencies; NaN without one."""
        return (
            math.exp(sum(logs for _, logs in self.by_type.values()) / self.timed) if self.timed else math.nan
        )

    def share(self, of: int) -> float:
        """Return a count as a share of all recalls."""
        return of / self.recalls if self.recalls else math.nan


class BlockPairs:
    """Counts the recalls of an experiment by block and manager.

    A recall counts in the block that it began in, once that has settled, if it ran under that block's config.
    Latencies are of recalls that the cache did not answer: how warm it is is no merit of a config. Where one
    of the configs has no cache, they are of all.

    Args:
        plan: of the experiment.
        tried: the version that is tried.
        with_cached: whether what the cache answered counts for latency.
    """

    def __init__(self, plan: Experiment, tried: int, *, with_cached: bool = False) -> None:
        self.plan = plan
        self.tried = tried
        self._with_cached = with_cached
        self._tallies: dict[tuple[int, str], BlockTally] = defaultdict(BlockTally)

    def count(self, records: Iterable[QueryMetrics], managers: Collection[str] = ()) -> None:
        """Count recalls.

        Args:
            records: whatever was measured.
            managers: names of managers; with one of them and a hyphen the ids of its recalls begin.
        """
        latencies: dict[tuple[int, str], list[float]] = defaultdict(list)
        for record in records:
            if record.config_version not in (self.plan.base, self.tried):
                continue
            block = self.plan.block_at(record.timestamp)
            if block is None or self.plan.scope not in ("all", record.query_type):
                continue
            if record.timestamp - self.plan.starts_at(block) < self.plan.settling_seconds:
                continue
            name = record.query_id.rpartition("-")[0]
            worker = name if name in managers else ""
            tally = self._tallies[block, worker]
            if (record.config_version == self.tried) != self.plan.tries(block):
                tally.wrong += 1
                continue
            tally.recalls += 1
            tally.cached += record.cache_hit is True
            tally.refused += record.refused
            tally.complete += record.success is not False and not record.partial
            ms = record.latency_ms
            if record.refused or ms is None or (record.cache_hit and not self._with_cached):
                continue
            latencies[block, worker].append(ms)
            n, logs = tally.by_type.get(record.query_type, (0, 0.0))
            tally.by_type[record.query_type] = n + 1, logs + math.log(max(ms, _LEAST_MS))
        for place, values in latencies.items():
            self._tallies[place].latency.add_many(values)

    def pairs(self, until: float) -> list[tuple[BlockTally, BlockTally]]:
        """Return what ran under the config in force and under the other, of each pair that ended by then.

        A manager counts in a pair if it measured recalls in both blocks and obeyed in both.

        Args:
            until: Unix seconds.
        """
        found = []
        for pair in range(self.plan.pairs):
            if self.plan.starts_at(2 * pair + 2) > until:
                break
            sides = (BlockTally(), BlockTally())
            for both in self._of_managers(pair):
                if all(tally.recalls and _obeyed(tally) for tally in both):
                    for side, tally in zip(sides, both, strict=True):
                        side.add(tally)
            found.append(sides)
        return found

    def disobedient(self) -> list[str]:
        """Return the managers that ran another config than their blocks', "" where they are not known."""
        wrong, all_of = Counter[str](), Counter[str]()
        for (_, worker), tally in self._tallies.items():
            wrong[worker] += tally.wrong
            all_of[worker] += tally.wrong + tally.recalls
        return sorted(worker for worker, n in wrong.items() if n > WRONG * all_of[worker])

    def managers(self) -> set[str]:
        """Return who measured something, "" where that is not known."""
        return {worker for _, worker in self._tallies}

    def left_out(self, until: float) -> int:
        """Return how many recalls were measured in whole pairs and count in none."""
        counted = sum(side.recalls for sides in self.pairs(until) for side in sides)
        return (
            sum(
                tally.recalls + tally.wrong
                for (block, _), tally in self._tallies.items()
                if self.plan.starts_at(2 * (block // 2) + 2) <= until
            )
            - counted
        )

    def blocks(self, until: float) -> list[ExperimentBlock]:
        """Return the blocks that began by then."""
        whole: dict[int, BlockTally] = defaultdict(BlockTally)
        for (block, _), tally in self._tallies.items():
            whole[block].add(tally)
        return [
            ExperimentBlock(n, self.plan.tries(n), whole[n].recalls, whole[n].typical_ms)
            for n in range(2 * self.plan.pairs)
            if self.plan.starts_at(n) <= until
        ]

    def _of_managers(self, pair: int) -> Iterator[tuple[BlockTally, BlockTally]]:
        blocks = sorted((2 * pair, 2 * pair + 1), key=self.plan.tries)  # that in force first
        for worker in sorted({worker for block, worker in self._tallies if block in blocks}):
            in_force, tried = (self._tallies.get((block, worker), BlockTally()) for block in blocks)
            yield in_force, tried


def _obeyed(tally: BlockTally) -> bool:
    return tally.wrong <= WRONG * (tally.wrong + tally.recalls)


def latency_difference(in_force: BlockTally, tried: BlockTally) -> float | None:
    """Return the log ratio of typical latencies within types; None where too few recalls came.

    A type weighs n m / (n + m), with n and m recalls of it: so the variance is the smallest, and another mix
    of types is no difference.
    """
    if min(in_force.timed, tried.timed) < LEAST_IN_BLOCK:
        return None
    total = weights = 0.0
    for kind in in_force.by_type.keys() & tried.by_type.keys():
        (n, was), (m, now) = in_force.by_type[kind], tried.by_type[kind]
        weight = n * m / (n + m)
        total += weight * (now / m - was / n)
        weights += weight
    return total / weights if weights else None


def p99_difference(in_force: BlockTally, tried: BlockTally) -> float | None:
    """Return the log ratio of p99s; None where a block has too few recalls for one."""
    if min(in_force.timed, tried.timed) < LEAST_FOR_P99:
        return None
    was, now = (max(side.latency.quantile(0.99), _LEAST_MS) for side in (in_force, tried))
    return math.log(now / was)
