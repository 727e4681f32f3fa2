"""Whether one run was better than another, with intervals.

Two runs of the same spec differ by luck alone: a p99 of a thousand recalls moves by more than a tenth most of
the time. So every difference here comes with an interval, from a bootstrap over the runs' blocks (recalls
near each other in time share their fate; blocks hardly do), and is called inconclusive unless the interval
says otherwise. Latencies are of recalls that the cache did not answer, where both runs know them: how warm a
cache was is no merit of what is compared. The most sensitive figure is the typical latency: the mean of log
latencies with the effect of the query types taken out; it sees a tenth at some four hundred recalls, where
p99 needs tens of thousands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from athena_tuning.load import student_t
from athena_tuning.load.blocks import Block
from athena_tuning.load.summary import LoadSummary
from athena_tuning.profiling.histogram import bucket_bounds

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 1000
LEAST_BLOCKS = 10
LEAST_BEYOND = 5
"""A percentile needs so many recalls beyond it in each run."""

ALIKE = 0.03
"""Runs whose interval lies within plus or minus three percent are alike."""


class Verdict(StrEnum):
    """What a difference comes to."""

    BETTER = "better"
    WORSE = "worse"
    ALIKE = "alike"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure of two runs.

    Attributes:
        measure: "typical latency", "p50", "p95", "p99", "throughput", "errors", "partial" or "cache hits".
        unit: "ms", "1/s" or "share".
        before: its value in the first run.
        after: its value in the second run.
        change: relative change, -0.1 for a tenth less; for shares the difference itself.
        low: lower bound of the change; NaN if there is too little to say.
        high: its upper bound.
        verdict: what it comes to.
        why: the reason in words, where the verdict is "inconclusive".
    """

    measure: str
    unit: str
    before: float
    after: float
    change: float
    low: float
    high: float
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, measure by measure; ``notes`` say what makes them hard to compare, the cache first."""

    before: str
    after: str
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    def of(self, measure: str) -> Difference:
        """Return one difference.

        Raises:
            KeyError: if there is no such measure.
        """
        for difference in self.differences:
            if difference.measure == measure:
                return difference
        raise KeyError(measure)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain JSON types; NaN where there is too little to say."""
        return {
            "before": self.before,
            "after": self.after,
            "differences": [{**asdict(d), "verdict": d.verdict.value} for d in self.differences],
            "notes": list(self.notes),
        }


def compare(before: LoadSummary, after: LoadSummary, *, seed: int = 0) -> Comparison:
    """Compare two runs.

    Args:
        before: the first run.
        after: the second run.
        seed: of the bootstrap; the same runs and seed give the same intervals.
    """
    runs = (_Blocks(before), _Blocks(after))
    known = all(block.missed is not None for block in before.blocks + after.blocks)
    sides = (_Blocks(before, missed=True), _Blocks(after, missed=True)) if known else runs
    shared = _type_means([block for run in sides for block in run.timed])
    rng = np.random.default_rng(seed)
    samples = tuple(run.resamples(rng) for run in runs)
    differences = [_relative("typical latency", sides, samples, partial(_Blocks.typical, means=shared), 30)]
    for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        least = math.ceil(LEAST_BEYOND / (1 - q))
        differences.append(_relative(name, sides, samples, partial(_Blocks.quantile, q=q), least))
    differences.append(_relative("throughput", runs, samples, _Blocks.throughput, 30))
    for name, count, of in (
        ("errors", "errors", "finished"),
        ("partial", "partials", "finished"),
        ("cache hits", "cache_hits", "cache_known"),
    ):
        differences.append(_share(name, runs, samples, count, of))
    notes = (*_warmth(before, after, known=known), *_notes(before, after))
    return Comparison(before.id, after.id, tuple(differences), notes)


class _Blocks:
    """A run's blocks as arrays; every figure takes weights, one row a resample, one column a block."""

    def __init__(self, run: LoadSummary, *, missed: bool = False) -> None:
        self.blocks = run.blocks
        self.timed = tuple(block.missed or Block() for block in run.blocks) if missed else run.blocks
        self.n = sum(block.counts["finished"] for block in self.timed)
        self.seconds = np.full(len(run.blocks), run.block_s)
        if len(self.seconds):
            self.seconds[-1] = max(run.elapsed_s - run.block_s * (len(run.blocks) - 1), run.block_s * 0.1)
        held = [block.latency.buckets() for block in self.timed]
        names = np.unique(np.concatenate([buckets for buckets, _ in held])) if held else np.empty(0, np.int64)
        self._low, self._high = bucket_bounds(names)
        self._counts = np.zeros((len(held), len(names)))
        for row, (buckets, counts) in zip(self._counts, held, strict=True):
            row[np.searchsorted(names, buckets)] = counts

    def whole(self) -> Floats:
        return np.ones((1, len(self.blocks)))

    def resamples(self, rng: np.random.Generator) -> Floats:
        blocks = len(self.blocks)
        if not blocks:
            return np.ones((RESAMPLES, 0))
        return rng.multinomial(blocks, np.full(blocks, 1 / blocks), RESAMPLES).astype(np.float64)

    def count(self, weights: Floats, name: str) -> Floats:
        return np.asarray(weights @ np.array([block.counts[name] for block in self.blocks], np.float64))

    def throughput(self, weights: Floats) -> Floats:
        done = self.count(weights, "finished") - self.count(weights, "errors")
        return np.asarray(done / (weights @ self.seconds))

    def quantile(self, weights: Floats, q: float) -> Floats:
        cumulated = np.cumsum(weights @ self._counts, axis=1)
        rank = np.clip(np.floor(q * cumulated[:, -1]), 0, np.maximum(cumulated[:, -1] - 1, 0))
        index = (cumulated <= rank[:, None]).sum(axis=1)
        before = np.where(
            index > 0, np.take_along_axis(cumulated, np.maximum(index - 1, 0)[:, None], 1)[:, 0], 0
        )
        inside = np.take_along_axis(cumulated, index[:, None], 1)[:, 0] - before
        share = (rank - before + 0.5) / inside
        return np.asarray(self._low[index] + share * (self._high[index] - self._low[index]))

    def typical(self, weights: Floats, means: dict[str, float]) -> Floats:
        """Return the geometric mean latency as if both runs had asked the same mix."""
        sums = [
            (
                sum(n for n, _ in block.by_type.values()),
                sum(total - n * means[name] for name, (n, total) in block.by_type.items()),
            )
            for block in self.timed
        ]
        n, excess = (np.array(column, np.float64) for column in zip(*sums, strict=True))
        return np.asarray(np.exp((weights @ excess) / (weights @ n) + means[""]))


def _type_means(blocks: Sequence[Block]) -> dict[str, float]:
    """Return the mean log latency of each type over both runs; under "" that of all."""
    whole = Block()
    for block in blocks:
        whole = whole.merge(block)
    means = {name: total / n for name, (n, total) in whole.by_type.items()}
    counted = sum(n for n, _ in whole.by_type.values())
    means[""] = sum(total for _, total in whole.by_type.values()) / counted if counted else math.nan
    return means


_Runs = tuple[_Blocks, ...]
_Figure = Callable[[_Blocks, Floats], Floats]


def _relative(name: str, runs: _Runs, samples: tuple[Floats, ...], figure: _Figure, least: int) -> Difference:
    """Compare a positive figure by the log of its ratio."""
    unit = "1/s" if name == "throughput" else "ms"
    before, after = (float(figure(run, run.whole())[0]) if run.n else math.nan for run in runs)
    comparable = before > 0 and after > 0
    if why := _too_little(runs, least) or ("" if comparable else "a value is zero"):
        change = after / before - 1 if comparable else math.nan
        return Difference(name, unit, before, after, change, math.nan, math.nan, Verdict.INCONCLUSIVE, why)
    reach = _reach(runs, [np.log(figure(run, w)) for run, w in zip(runs, samples, strict=True)])
    ratio = math.log(after / before)
    low, high = math.expm1(ratio - reach), math.expm1(ratio + reach)
    verdict, why = _verdict(low, high, more_is_better=name == "throughput")
    return Difference(name, unit, before, after, math.expm1(ratio), low, high, verdict, why)


def _share(name: str, runs: _Runs, samples: tuple[Floats, ...], count: str, of: str) -> Difference:
    """Compare a share by its plain difference."""

    def figure(run: _Blocks, weights: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            return run.count(weights, count) / run.count(weights, of)

    before, after = (float(figure(run, run.whole())[0]) for run in runs)
    change = after - before
    why = _too_little(runs, 100) or ("it is unknown in a run" if math.isnan(change) else "")
    if why:
        return Difference(name, "share", before, after, change, math.nan, math.nan, Verdict.INCONCLUSIVE, why)
    if before == after and before in (0.0, 1.0):
        return Difference(name, "share", before, after, 0.0, *_none_seen(runs), Verdict.ALIKE)
    reach = _reach(runs, [figure(run, w) for run, w in zip(runs, samples, strict=True)])
    low, high = change - reach, change + reach
    verdict, why = _verdict(low, high, more_is_better=name == "cache hits")
    return Difference(name, "share", before, after, change, low, high, verdict, why)


def _none_seen(runs: _Runs) -> tuple[float, float]:
    """Return what none in n can hide: up to about 3 / n (95%), on either side."""
    return -3 / runs[0].n, 3 / runs[1].n


def _too_little(runs: _Runs, least: int) -> str:
    if min(run.n for run in runs) < least:
        return f"fewer than {least:,} recalls in a run"
    if min(len(run.blocks) for run in runs) < LEAST_BLOCKS:
        return "a run is too short"
    return ""


def _reach(runs: _Runs, resampled: Sequence[Floats]) -> float:
    """Return half the interval of a difference: Student's t times the standard errors of both runs."""
    error = math.hypot(*(float(np.nanstd(values)) for values in resampled))
    return student_t.two_sided(CONFIDENCE, min(len(run.blocks) for run in runs) - 1) * error


def _verdict(low: float, high: float, *, more_is_better: bool) -> tuple[Verdict, str]:
    if low >= -ALIKE and high <= ALIKE:
        return Verdict.ALIKE, ""
    if low > 0:
        return (Verdict.BETTER if more_is_better else Verdict.WORSE), ""
    if high < 0:
        return (Verdict.WORSE if more_is_better else Verdict.BETTER), ""
    return Verdict.INCONCLUSIVE, "the interval includes no change"


def _warmth(before: LoadSummary, after: LoadSummary, *, known: bool) -> tuple[str, ...]:
    """Say how much of either run the cache answered, and what that means for its latencies."""
    if not (before.cache_hits or after.cache_hits):
        return ()
    shares = (f"{run.cache_hits / max(run.cache_known, 1):.1%}" for run in (before, after))
    warmth = "the cache answered {} of the one and {} of the other".format(*shares)
    if known:
        return (f"{warmth}: latencies are of the recalls that it did not answer",)
    return (f"{warmth}, and a run does not tell latencies apart: a warmer cache looks like a faster run",)


def _notes(before: LoadSummary, after: LoadSummary) -> tuple[str, ...]:
    notes = []
    ours, theirs = before.spec.to_dict(), after.spec.to_dict()
    if changed := [name for name in ours if ours[name] != theirs[name] and name != "seed"]:
        notes.append(f"the runs were asked for with another {', '.join(changed)}")
    for run in (before, after):
        if run.state != "finished":
            notes.append(f"run {run.id} is {run.state}: not all of its load came")
        if len(run.config_versions) > 1:
            versions = ", ".join(str(version) for version in run.config_versions)
            notes.append(f"the config changed during run {run.id} (versions {versions})")
    return tuple(notes)
