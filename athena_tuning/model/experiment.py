"""An experiment: two configs that are in force in turns, so that what happens under them can be compared."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Self

EXPERIMENT = "(experiment)"
"""The scope of configs that are only tried: there is one experiment at a time."""

SHORTEST_SECONDS, LONGEST_SECONDS = 60.0, 3600.0
_BLOCKS = 30
_BLOCK_SECONDS = (5.0, 30.0)
_SETTLING_SHARE, _LEAST_SETTLING_SECONDS = 0.2, 2.0


@dataclass(frozen=True, slots=True)
class Experiment:
    """When which of two configs is in force.

    Time is cut into blocks, two of them are a pair: one runs under the config in force, one under the other,
    and a coin that was tossed beforehand says which comes first. So load that comes and goes with any period
    meets both alike. Every manager works out from this and its clock whose turn it is.

    Attributes:
        scope: "all", or the query type that it is about.
        base: the version that was in force for the scope; where another one is by now, nothing is tried.
        starts: Unix seconds at which the first block begins.
        seconds: how long it lasts, 60 to 3600; the pairs that fit into it are run.
        seed: of the coin.

    Raises:
        ValueError: if it lasts too short or too long.

    Examples:
        >>> five_minutes = Experiment("all", 7, starts=100.0)
        >>> five_minutes.pairs, five_minutes.block_seconds, five_minutes.settling_seconds
        (15, 10.0, 2.0)
        >>> sorted(five_minutes.tries(block) for block in (4, 5))
        [False, True]
    """

    scope: str
    base: int
    starts: float
    seconds: float = 300.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not SHORTEST_SECONDS <= self.seconds <= LONGEST_SECONDS:
            raise ValueError(
                f"an experiment lasts {SHORTEST_SECONDS:g} to {LONGEST_SECONDS:g} s, not {self.seconds:g} s"
            )

    @property
    def block_seconds(self) -> float:
        """Length of a block."""
        least, most = _BLOCK_SECONDS
        return min(max(self.seconds / _BLOCKS, least), most)

    @property
    def settling_seconds(self) -> float:
        """From the start of a block, how long queues and caches are left to settle: that is not counted."""
        return max(_LEAST_SETTLING_SECONDS, _SETTLING_SHARE * self.block_seconds)

    @property
    def pairs(self) -> int:
        """Number of pairs of blocks."""
        return int(self.seconds / (2 * self.block_seconds) + 1e-9)

    @property
    def ends(self) -> float:
        """Unix seconds at which the last block ends."""
        return self.starts + 2 * self.pairs * self.block_seconds

    def block_at(self, time: float) -> int | None:
        """Return the number of the block at a moment, from 0; None before the first and after the last."""
        if not self.starts <= time < self.ends:
            return None
        return min(int((time - self.starts) / self.block_seconds), 2 * self.pairs - 1)

    def starts_at(self, block: int) -> float:
        """Return when a block begins, in Unix seconds."""
        return self.starts + block * self.block_seconds

    def tries(self, block: int) -> bool:
        """Whether a block runs under the config that is tried."""
        pair, place = divmod(block, 2)
        return (random.Random(f"{self.seed} {pair}").random() < 0.5) == (place == 0)

    def tries_at(self, time: float) -> bool:
        """Whether the config that is tried is in force at a moment."""
        block = self.block_at(time)
        return block is not None and self.tries(block)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a plan from what ``to_dict`` gave; what a newer program added is left out.

        Raises:
            ValueError, TypeError: if it is no such plan.
        """
        if not isinstance(values, Mapping):
            raise TypeError(f"an experiment has fields, {type(values).__name__} has none")
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


class ExperimentVerdict(StrEnum):
    """What an experiment showed of the config that was tried; MIXED: some got better and some worse."""

    BETTER = "better"
    WORSE = "worse"
    MIXED = "better in one, worse in another"
    OPEN = "no difference shown"


@dataclass(frozen=True, slots=True)
class ExperimentMeasure:
    """One measure of recalls under two configs that were in force in turns.

    Attributes:
        name: "typical latency", "p99", "refused" or "complete".
        unit: "ms", or "share" of all recalls.
        in_force: its value under the config in force; NaN where too few recalls came.
        tried: likewise under the config that was tried.
        change: from the one to the other, the mean over pairs of blocks: a log ratio of ms, of shares the
            difference.
        low: where the change begins that may be, of all measures and at all looks together with 95 %
            probability; -inf while nothing is known.
        high: where it ends.
        pairs: of blocks that it rests on.
    """

    name: str
    unit: str
    in_force: float
    tried: float
    change: float
    low: float
    high: float
    pairs: int


@dataclass(frozen=True, slots=True)
class ExperimentBlock:
    """One block: which config it ran under, the recalls that count, and their typical latency in ms."""

    number: int
    is_tried: bool
    recalls: int
    typical_ms: float


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """What is known of an experiment, as the worker that leads told everybody.

    Attributes:
        version: the version of the config that is tried, by which recalls say what they ran under.
        time: Unix seconds at which this was told.
        is_over: whether it has ended.
        verdict: what it showed so far.
        ended: why it ended, in words; "" while it runs.
        pairs: pairs of blocks that have passed.
        planned: pairs of blocks in all.
        recalls: that count, under the config in force and under the other.
        cached: shares of them that the cache answered.
        measures: what was observed.
        blocks: those that have begun.
        notes: what was not counted, and what else there is to know, in sentences.
    """

    version: int
    time: float
    is_over: bool
    verdict: ExperimentVerdict
    ended: str
    pairs: int
    planned: int
    recalls: tuple[int, int]
    cached: tuple[float, float]
    measures: tuple[ExperimentMeasure, ...]
    blocks: tuple[ExperimentBlock, ...] = ()
    notes: tuple[str, ...] = ()

    def of(self, measure: str) -> ExperimentMeasure:
        """Return one measure.

        Raises:
            KeyError: if there is no such measure.
        """
        for known in self.measures:
            if known.name == measure:
                return known
        raise KeyError(measure)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON types; NaN and infinity as None."""
        return asdict(self) | {
            "verdict": self.verdict.value,
            "recalls": list(self.recalls),
            "cached": [_finite(share) for share in self.cached],
            "measures": [_plain(measure) for measure in self.measures],
            "blocks": [_plain(block) for block in self.blocks],
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a report from what ``to_dict`` gave.

        Raises:
            ValueError, TypeError, KeyError: if it is no such report.
        """
        nan = float("nan")
        known = {f.name: values[f.name] for f in fields(cls)}
        measures = [
            ExperimentMeasure(
                **{**m, "low": _or(m["low"], -float("inf")), "high": _or(m["high"], float("inf"))}
                | {name: _or(m[name], nan) for name in ("in_force", "tried", "change")}
            )
            for m in values["measures"]
        ]
        blocks = [ExperimentBlock(**b | {"typical_ms": _or(b["typical_ms"], nan)}) for b in values["blocks"]]
        of_force, of_tried = (int(n) for n in values["recalls"])
        cached_in_force, cached_tried = (_or(share, nan) for share in values["cached"])
        return cls(
            **known
            | {
                "verdict": ExperimentVerdict(values["verdict"]),
                "recalls": (of_force, of_tried),
                "cached": (cached_in_force, cached_tried),
                "measures": tuple(measures),
                "blocks": tuple(blocks),
                "notes": tuple(values["notes"]),
            }
        )


def _plain(record: ExperimentMeasure | ExperimentBlock) -> dict[str, Any]:
    return {name: _finite(value) for name, value in asdict(record).items()}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not abs(value) < float("inf") else value


def _or(value: float | None, default: float) -> float:
    return default if value is None else float(value)
