"""What a moment changed: figures before and after it, at equal load and without what the cache answered."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.service import units
from athena_tuning.service.chart_rows import trusted
from athena_tuning.service.view import View

SIDE_SECONDS = 600.0
"""How far a side reaches at most."""

SETTLE_SECONDS = 5.0
"""After the moment, what was begun before it is still under way: not counted."""

SLICE_SECONDS = 5.0
"""Length of the slices that are paired by their load."""

LOAD_STEP = 1.25
"""Slices whose loads differ by less than this factor count as equally loaded."""

LEAST = 50
"""Recalls that asked layers which a side needs, once slices are paired."""

MIX_DIFFERS = 0.2
"""Share of recalls by which the query types of two sides may differ."""

_NEWEST = 6000


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a moment; latencies in ms, of recalls that asked layers, NaN where too few carry them.

    Attributes:
        seconds: of the slices that are compared.
        asked: recalls that asked layers.
        per_second: of these, a second.
        cached: share of all recalls that the cache answered.
    """

    seconds: float
    asked: int
    per_second: float
    cached: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """Both sides of a moment.

    Attributes:
        before: until the moment.
        after: from it on.
        why_not: why they cannot be compared; "" if they can.
    """

    before: Side | None
    after: Side | None
    why_not: str = ""


def before_after(
    profiler: PerformanceProfiler, view: View, moment: float, start: float | None, end: float | None
) -> BeforeAfter:
    """Compare what was before a moment with what came after it.

    Each side is cut into slices of ``SLICE_SECONDS``. Slices of equal load (layers asked at rates that
    differ by less than ``LOAD_STEP``) are paired, those nearest to the moment first; the others are left
    out. What the cache answered is counted, but not compared: how often it did so changes what is asked,
    not how fast.

    Args:
        profiler: the window.
        view: whose recalls, the period aside.
        moment: Unix seconds.
        start: where the side before begins at the earliest; None: ``SIDE_SECONDS`` before.
        end: where the side after ends at the latest; None likewise.
    """
    first = max(moment - SIDE_SECONDS, -math.inf if start is None else start + SETTLE_SECONDS)
    last = min(moment + SIDE_SECONDS, math.inf if end is None else end)
    began = moment + SETTLE_SECONDS
    sides = [
        _slices(_recalls(profiler, view, *ends), moment) if ends[1] > ends[0] else {}
        for ends in ((first, moment), (began, last))
    ]
    for side, when in zip(sides, ("before", "after"), strict=True):
        if sum(map(_count_comparable, side.values())) < LEAST:
            return BeforeAfter(None, None, f"fewer than {LEAST} recalls asked layers {when} it")
    whole = [_side(list(side.values())) for side in sides]
    pairs = _paired(*sides)
    before, after = (_side(slices) for slices in pairs)
    if min(before.asked, after.asked) < LEAST:
        rates = " before, ".join(units.rate(side.per_second) for side in whole)
        return BeforeAfter(whole[0], whole[1], f"the load was never alike: {rates} after")
    apart = _mix_apart(*pairs)
    if apart > MIX_DIFFERS:
        why = f"other types of queries came: {units.percent(apart, 0)} of the recalls differ"
        return BeforeAfter(before, after, why)
    return BeforeAfter(before, after)


def _recalls(profiler: PerformanceProfiler, view: View, start: float, end: float) -> list[QueryMetrics]:
    return profiler.newest(_NEWEST, **view.only(start=start, end=end, config_version=None).where)


def _slices(recalls: Sequence[QueryMetrics], moment: float) -> Mapping[int, list[QueryMetrics]]:
    """Return recalls by slice; slices are counted from the moment, so the small ones are near it."""
    slices: dict[int, list[QueryMetrics]] = defaultdict(list)
    for recall in recalls:
        slices[int(abs(recall.timestamp - moment) // SLICE_SECONDS)].append(recall)
    return slices


def _count_comparable(recalls: Sequence[QueryMetrics]) -> int:
    return sum(_is_comparable(recall) for recall in recalls)


def _is_comparable(recall: QueryMetrics) -> bool:
    return not recall.cache_hit and not recall.refused and recall.latency_ms is not None


def _paired(
    before: Mapping[int, list[QueryMetrics]], after: Mapping[int, list[QueryMetrics]]
) -> tuple[list[list[QueryMetrics]], list[list[QueryMetrics]]]:
    """Return as many slices of one side as of the other at each load."""
    kept: tuple[list[list[QueryMetrics]], list[list[QueryMetrics]]] = ([], [])
    levels = [_by_load(side) for side in (before, after)]
    for level in set(levels[0]) & set(levels[1]):
        n = min(len(side[level]) for side in levels)
        for slices, side in zip(kept, levels, strict=True):
            slices.extend(side[level][:n])
    return kept


def _by_load(side: Mapping[int, list[QueryMetrics]]) -> Mapping[int, list[list[QueryMetrics]]]:
    levels: dict[int, list[list[QueryMetrics]]] = defaultdict(list)
    for number in sorted(side):
        if asked := _count_comparable(side[number]):
            levels[round(math.log(asked) / math.log(LOAD_STEP))].append(side[number])
    return levels


def _side(slices: Sequence[Sequence[QueryMetrics]]) -> Side:
    recalls = [recall for each in slices for recall in each]
    ms = np.array([recall.latency_ms for recall in recalls if _is_comparable(recall)], dtype=float)
    seconds = SLICE_SECONDS * len(slices)
    hits = sum(bool(recall.cache_hit) for recall in recalls)
    p50, p99 = (
        float(np.sort(ms)[int(q * len(ms))]) if len(ms) and trusted(q, len(ms)) else math.nan
        for q in (0.5, 0.99)
    )
    return Side(
        seconds, len(ms), len(ms) / max(seconds, 1e-9), hits / len(recalls) if recalls else math.nan, p50, p99
    )


def _mix_apart(before: Sequence[Sequence[QueryMetrics]], after: Sequence[Sequence[QueryMetrics]]) -> float:
    """Return the share of recalls that would have to be of another type for both sides to be alike."""
    shares = []
    for side in (before, after):
        kinds = [recall.query_type for each in side for recall in each if _is_comparable(recall)]
        shares.append({kind: kinds.count(kind) / len(kinds) for kind in set(kinds)})
    return sum(abs(shares[0].get(k, 0.0) - shares[1].get(k, 0.0)) for k in {**shares[0], **shares[1]}) / 2
