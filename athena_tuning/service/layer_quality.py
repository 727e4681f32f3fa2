"""How good answers were by what was asked for them, and what each layer costs."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from athena_tuning.model import ConfigVersion, LayerTask, QueryMetrics, TuningConfig
from athena_tuning.model.metrics import SECOND_CALL
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.service.estimate import Estimate
from athena_tuning.service.plain_json import without_nan
from athena_tuning.service.view import View

NEWEST = 5_000
"""Recalls that costs are computed from: the newest."""

LEAST_SCORES = 20
"""Scores with a layer, and without it, from which on the two are compared."""

CACHE = "from the cache"
"""The layers of an answer for which none was asked."""

By = Literal["layers", "plan", "version"]
"""What scored recalls are told apart by; ``plan`` is what the config says of layers, whatever its version."""


@dataclass(frozen=True, slots=True)
class ScoredWay:
    """Answers that somebody scored and that were asked for in one way.

    Attributes:
        way: the layers that were asked, joined by "+"; or the plan, or the config version.
        scores: how many.
        score: their mean, 0 to 1.
        calls: layers a recall.
        p50_ms: median latency; NaN where it is unknown.
        p99_ms: 99th percentile of the latency.
    """

    way: str
    scores: int
    score: Estimate
    calls: Estimate
    p50_ms: float
    p99_ms: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types; what is unknown is null."""
        values: dict[str, Any] = without_nan(asdict(self))
        return values


@dataclass(frozen=True, slots=True)
class LayerCost:
    """What leaving a layer out would cost beside what it would save, per recall that asks layers.

    Attributes:
        query_type: of the recalls; "all": every type.
        layer: its name.
        recalls: on which what is saved rests.
        calls: layer calls saved: the share of the recalls that ask it, and second calls.
        slot_ms: slot time saved.
        latency_ms: by how much a recall would end earlier, the other tasks being as they were.
        score_lost: by how much answers score lower without it, types weighted by their recalls; NaN below
            ``LEAST_SCORES`` on either side. Recalls are not assigned by chance: a layer that is asked where
            it is needed looks better or worse than it is.
        scores: of recalls with it, and without.
        part_lost: part of the best k that is there because of it, over all these recalls; NaN where nobody
            has counted.
    """

    query_type: str
    layer: str
    recalls: int
    calls: Estimate
    slot_ms: Estimate
    latency_ms: Estimate
    score_lost: Estimate
    scores: tuple[int, int]
    part_lost: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types; what is unknown is null."""
        values: dict[str, Any] = without_nan(asdict(self))
        return values


def scored_ways(
    profiler: PerformanceProfiler, view: View, by: By = "layers", history: Sequence[ConfigVersion] = ()
) -> list[ScoredWay]:
    """Return how good the scored answers of a view were, by what was asked for them; most scores first.

    Args:
        profiler: the window; a score counts wherever and however late it was given, the last one of a recall.
        view: what is looked at.
        by: what they are told apart by.
        history: config versions, for their plans; a version that is not among them has the plan "unknown".
    """
    plans = {0: plan_words(TuningConfig())}
    plans |= {version.version: plan_words(version.config) for version in history}
    name: Mapping[By, Callable[[QueryMetrics], str]] = {
        "layers": lambda m: "+".join(sorted({*map(_plain_name, m.layers_queried)})) or CACHE,
        "plan": lambda m: plans.get(m.config_version, "unknown"),
        "version": lambda m: f"v{m.config_version}",
    }
    groups: defaultdict[str, list[QueryMetrics]] = defaultdict(list)
    for record in profiler.scored(**view.where):
        groups[name[by](record)].append(record)
    return sorted((_scored_way(way, group) for way, group in groups.items()), key=lambda one: -one.scores)


def plan_words(config: TuningConfig) -> str:
    """Return what a config says of layers, for a person.

    Examples:
        >>> plan_words(TuningConfig(extra_layers={"episodic"}, second_round={"graph"}))
        'by words, with episodic, graph where fewer than 3 agree'
        >>> plan_words(TuningConfig(skipped_layers={"meta"})), plan_words(TuningConfig())
        ('by words, without meta', 'by words')
    """
    if not config.layer_selection_enabled:
        return "every layer"
    words = ["by words"]
    if config.extra_layers:
        words.append(f"with {_joined(config.extra_layers)}")
    if config.skipped_layers:
        words.append(f"without {_joined(config.skipped_layers)}")
    if config.second_round:
        words.append(f"{_joined(config.second_round)} where fewer than {config.second_round_below} agree")
    return ", ".join(words)


class _Held(NamedTuple):
    """What a layer did in one recall: its calls, their service time, and how much later the recall ended."""

    calls: float = 0.0
    service_ms: float = 0.0
    later_ms: float = 0.0


def layer_costs(
    profiler: PerformanceProfiler,
    view: View,
    parts: Mapping[str, Mapping[str, Estimate]] | None = None,
) -> list[LayerCost]:
    """Return what leaving each layer out costs beside what it saves: of all types, then type by type.

    Args:
        profiler: the window; saved is counted on the ``NEWEST`` recalls of the view, scores on all of them.
        view: what is looked at; with a layer, that one alone.
        parts: by type and layer, the part of the best k that is there because of it in recalls that ask it,
            where it is known.
    """
    chosen = view.only(layer=None)
    groups = _by_type(m for m in profiler.newest(NEWEST, **chosen.where) if m.tasks)
    scored = _by_type(m for m in profiler.scored(**chosen.where) if m.layers_queried)
    held = {kind: [_held_by_layer(m) for m in group] for kind, group in groups.items()}
    layers = {layer for rows in held.values() for row in rows for layer in row}
    shown = sorted(layers if view.layer is None else layers & {view.layer})
    costs = [
        _cost(
            query_type, layer, [query_type] if query_type != "all" else [*groups], held, scored, parts or {}
        )
        for query_type in ("all", *groups)
        for layer in shown
    ]
    return [cost for cost in costs if cost.calls.mean > 0 or cost.scores[0]]


def _by_type(records: Iterable[QueryMetrics]) -> dict[str, list[QueryMetrics]]:
    groups: defaultdict[str, list[QueryMetrics]] = defaultdict(list)
    for record in records:
        groups[record.query_type].append(record)
    return dict(sorted(groups.items()))


def _scored_way(way: str, group: Sequence[QueryMetrics]) -> ScoredWay:
    times = sorted(m.latency_ms for m in group if m.latency_ms is not None)
    return ScoredWay(
        way,
        len(group),
        Estimate.of([m.user_satisfaction for m in group if m.user_satisfaction is not None]),
        Estimate.of([float(len(m.layers_queried)) for m in group]),
        *(times[int(q * len(times))] if times else math.nan for q in (0.5, 0.99)),
    )


def _cost(
    query_type: str,
    layer: str,
    kinds: Sequence[str],
    held: Mapping[str, Sequence[Mapping[str, _Held]]],
    scored: Mapping[str, Sequence[QueryMetrics]],
    parts: Mapping[str, Mapping[str, Estimate]],
) -> LayerCost:
    rows = [row.get(layer, _Held()) for kind in kinds for row in held[kind]]
    weights = {kind: len(held[kind]) for kind in kinds}
    asked = [layer in m.layers_queried for kind in kinds for m in scored.get(kind, ())]
    known = {
        kind: _over_all(parts[kind][layer], held[kind], layer)
        for kind in kinds
        if layer in parts.get(kind, {})
    }
    return LayerCost(
        query_type,
        layer,
        len(rows),
        Estimate.of([row.calls for row in rows]),
        Estimate.of([row.service_ms for row in rows]),
        Estimate.of([row.later_ms for row in rows]),
        _weighted({kind: _score_lost(scored.get(kind, ()), layer) for kind in kinds}, weights),
        (sum(asked), len(asked) - sum(asked)),
        _weighted(known, weights),
    )


def _held_by_layer(record: QueryMetrics) -> dict[str, _Held]:
    held: dict[str, _Held] = {}
    for task in record.tasks:
        layer = _layer(task)
        before = held.get(layer) or _Held(later_ms=ends_earlier_ms(record, layer))
        held[layer] = before._replace(calls=before.calls + 1, service_ms=before.service_ms + task.service_ms)
    return held


def _over_all(part: Estimate, held: Sequence[Mapping[str, _Held]], layer: str) -> Estimate:
    """Return what a part of the answers of recalls that ask a layer is of the answers of all of them."""
    share = sum(layer in row for row in held) / len(held)
    return Estimate.by_error(share * part.mean, share * part.error)


def ends_earlier_ms(record: QueryMetrics, layer: str) -> float:
    """Return by how many ms the tasks of a recall would have ended earlier without a layer.

    Where layers run one after another, what follows moves up; where they run at once, the last end counts.

    Examples:
        >>> from athena_tuning.model import LayerTask
        >>> tasks = LayerTask("graph", 0.0, 0.0, 30.0, 2), LayerTask("semantic", 0.0, 0.0, 10.0, 2)
        >>> one = QueryMetrics("q", "who", "meta", 0, 30.0, None, False, 3, ["graph", "semantic"], {}, True,
        ...                    parallel_execution=True, tasks=tasks)
        >>> ends_earlier_ms(one, "graph"), ends_earlier_ms(one, "semantic")
        (20.0, 0.0)
    """
    ends = [(_layer(task), task.offset_ms + task.queue_ms + task.service_ms) for task in record.tasks]
    if not record.parallel_execution:
        return sum(task.queue_ms + task.service_ms for task in record.tasks if _layer(task) == layer)
    last = max((end for _, end in ends), default=0.0)
    return last - max((end for name, end in ends if name != layer), default=0.0)


def _score_lost(scored: Sequence[QueryMetrics], layer: str) -> Estimate:
    """Return the mean score with a layer less the one without, of recalls of a type.

    The error is Welch's; of scores that are all the same, that of one that is not.
    """
    sides: dict[bool, list[float]] = {True: [], False: []}
    for record in scored:
        if record.user_satisfaction is not None:
            sides[layer in record.layers_queried].append(record.user_satisfaction)
    if min(map(len, sides.values())) < LEAST_SCORES:
        return Estimate.unknown()
    variances = [max(statistics.variance(side), 0.25 / len(side)) / len(side) for side in sides.values()]
    lost = statistics.fmean(sides[True]) - statistics.fmean(sides[False])
    return Estimate.by_error(lost, math.sqrt(sum(variances)))


def _weighted(by_type: Mapping[str, Estimate], weights: Mapping[str, int]) -> Estimate:
    """Return the mean over the types where it is known, by their weights."""
    known = {kind: estimate for kind, estimate in by_type.items() if estimate.is_known}
    whole = sum(weights[kind] for kind in known)
    if not whole:
        return Estimate.unknown()
    return Estimate.by_error(
        sum(weights[kind] / whole * estimate.mean for kind, estimate in known.items()),
        math.hypot(*(weights[kind] / whole * estimate.error for kind, estimate in known.items())),
    )


def _layer(task: LayerTask) -> str:
    """Return whose task it is, a second call's too."""
    return _plain_name(task.layer)


def _plain_name(layer: str) -> str:
    return layer.removesuffix(SECOND_CALL)


def _joined(layers: Iterable[str]) -> str:
    return " and ".join(sorted(layers))
