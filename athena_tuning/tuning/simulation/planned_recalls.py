"""What recorded recalls would ask under another plan: which layers, in which round."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from athena_tuning.model import ConfigSet, TuningConfig
from athena_tuning.tuning.estimation.plan_evidence import PlanEvidence
from athena_tuning.tuning.estimation.telemetry import MeasuredRecall

Tasks = tuple[tuple[str, float], ...]
"""Layers with their own work in seconds."""


class PlannedRecall(NamedTuple):
    """What a recall asks: its tasks, and the round that each is asked in (() where all are at once)."""

    tasks: Tasks
    rounds: tuple[int, ...] = ()


class Way(NamedTuple):
    """The way of one question through the layers: what is asked at once, and what may be asked after that."""

    first: frozenset[str]
    waiting: frozenset[str] = frozenset()

    @property
    def layers(self) -> frozenset[str]:
        """The layers that the question calls for."""
        return self.first | self.waiting


WayOf = Callable[[str, str, frozenset[str], TuningConfig], Way | None]
"""Gives the way of a question by its text, its type, the layers that there are, and a config; None: the text
is not known."""


def unknown_way(text: str, query_type: str, layers: frozenset[str], config: TuningConfig) -> None:
    """Give no way of any question, where nobody can tell ways by texts."""


class Odds:
    """The chance that a second round is called for, by type and layers, as it could be.

    Args:
        evidence: in how many recalls the others agreed on enough without a layer.
        rng: draws a possible chance; None: the likeliest one.

    Of one layer it is Beta(n − s + ½, s + ½) for s of n recalls in which the others agreed (Jeffreys' prior).
    Of several it is at least the largest of theirs and at most their sum: nobody has counted them together.
    """

    def __init__(self, evidence: PlanEvidence, rng: np.random.Generator | None = None) -> None:
        self._evidence = evidence
        self._rng = rng
        self._known: dict[tuple[str, frozenset[str]], float] = {}

    def called_for(self, query_type: str, waiting: frozenset[str]) -> float:
        """Return the chance for these layers of a type."""
        key = query_type, waiting
        if key not in self._known:
            each = [self._of_layer(query_type, layer) for layer in sorted(waiting)]
            low, high = max(each), min(1.0, sum(each))
            share = 0.5 if self._rng is None else float(self._rng.random())
            self._known[key] = low + share * (high - low)
        return self._known[key]

    def _of_layer(self, query_type: str, layer: str) -> float:
        spared = self._evidence.spared(query_type, layer)
        called, agreed = spared.recalls - spared.added + 0.5, spared.added + 0.5
        if self._rng is None:
            return called / (called + agreed)
        return float(self._rng.beta(called, agreed))


class PlannedRecalls:
    """Recorded recalls under other plans.

    What a recall asked under the plan in force is known. Under another one chance decides by the odds whether
    the second round is called for, for each recall alike under every plan. Layers that a plan adds, and those
    that it asks at once and that were not called for, work as they did for another recall, of the type if
    there is one. Where a config decides by question, each recall's own text says what it asks.

    Args:
        recalls: in the order in which places count.
        versions: config versions that they ran under.
        base: the configs in force.
        evidence: on what second rounds are called for.
        rng: decides which recalls call for more.
        way_of: tells the ways of questions.
    """

    def __init__(
        self,
        recalls: Sequence[MeasuredRecall],
        versions: Sequence[int],
        base: ConfigSet,
        evidence: PlanEvidence,
        rng: np.random.Generator,
        way_of: WayOf = unknown_way,
    ) -> None:
        self._recalls = recalls
        self._layers = frozenset(task.layer for recall in recalls for task in recall.tasks)
        self._way_of = way_of
        self._types = [recall.query_type for recall in recalls]
        self._base = base
        self._evidence = evidence
        self._chance: npt.NDArray[np.float64] = rng.random(len(recalls))
        self._later = [asked_later(recall) for recall in recalls]
        self._in_force = [
            version >= base.by_type.get(recall.query_type, base.default).version
            for recall, version in zip(recalls, versions, strict=True)
        ]

    def why_unknown(self, configs: ConfigSet) -> str:
        """Return why nobody can tell what recalls would ask under some configs; "" if one can.

        Without its text nobody knows what a question model makes of a recall that ran under another one; nor
        how long a layer takes that no recall asked.
        """
        asked = unknown = 0
        never: set[str] = set()
        for place, recall in enumerate(self._recalls):
            config, base = configs.for_type(recall.query_type), self._base.for_type(recall.query_type)
            if recall.tasks and _by_question(config, base) and _plan(config) != _plan(base):
                way = self._way(place, config)
                asked += 1
                unknown += way is None
                never |= way.first - self._layers if way is not None else frozenset()
        if unknown:
            return (
                "which layers its question model asks depends on the words of each question, and of "
                f"{unknown} of {asked} recalls the text is not kept (ATHENA_TUNING_TEXTS)"
            )
        return f"its question model asks {min(never)!r}, which no recall here has asked" if never else ""

    def under(
        self, configs: ConfigSet, which: Sequence[int], works: Sequence[Tasks], seed: int | None
    ) -> list[PlannedRecall]:
        """Return what recalls ask under some configs.

        Args:
            configs: what would be in force.
            which: places of the recalls.
            works: what each of them asked, with the works that it would have now.
            seed: of possible odds; None: the likeliest ones.
        """
        if not (_has_plan(configs) or _has_plan(self._base)):
            return [PlannedRecall(tasks) for tasks in works]
        odds = Odds(self._evidence, None if seed is None else np.random.default_rng(seed))
        types = [self._types[place] for place in which]
        pool = works_by_layer(types, works)
        return [
            self._planned(place, tasks, configs.for_type(query_type), odds, pool)
            for place, tasks, query_type in zip(which, works, types, strict=True)
        ]

    def _planned(
        self, place: int, tasks: Tasks, config: TuningConfig, odds: Odds, pool: Pool
    ) -> PlannedRecall:
        query_type, later = self._types[place], self._later[place]
        base = self._base.for_type(query_type)
        if not (config.layer_selection_enabled and tasks):
            return PlannedRecall(tasks)
        if self._in_force[place] and _plan(config) == _plan(base):
            return PlannedRecall(tasks, tuple(int(layer in later) for layer, _ in tasks) if later else ())
        if _by_question(config, base):
            before = base if self._in_force[place] else replace(base, question_model={})
            was, way = self._way(place, before), self._way(place, config)
            if was is not None and way is not None:
                return self._on_its_way(place, tasks, was, way, odds, pool)
        added = (config.extra_layers - base.extra_layers) | base.second_round
        works = self._works(place, tasks, added, config.skipped_layers, pool)
        waiting = config.second_round.intersection(layer for layer, _ in works)
        return self._in_rounds(place, works, waiting, odds)

    def _on_its_way(
        self, place: int, tasks: Tasks, was: Way, way: Way, odds: Odds, pool: Pool
    ) -> PlannedRecall:
        """Return what a recall asks whose own question says so; its caller may have asked more."""
        added = (way.layers - was.layers) | (was.waiting & way.layers)
        works = self._works(place, tasks, added, was.layers - way.layers, pool)
        waiting = way.waiting.intersection(layer for layer, _ in works)
        if waiting and way.waiting == was.waiting and self._in_force[place]:
            called = not was.waiting.isdisjoint(layer for layer, _ in tasks)
            return self._in_rounds(place, works, waiting, odds, called=called)
        return self._in_rounds(place, works, waiting, odds)

    def _works(
        self, place: int, tasks: Tasks, added: frozenset[str], dropped: frozenset[str], pool: Pool
    ) -> Tasks:
        asked = {layer for layer, _ in tasks}
        drawn = [
            like[place % len(like)]
            for layer in sorted(added - asked - dropped)
            if (like := pool.get((self._types[place], layer)) or pool.get(("", layer)))
        ]
        return tuple(work for work in (*tasks, *drawn) if work[0] not in dropped) or tasks

    def _in_rounds(
        self, place: int, works: Tasks, waiting: frozenset[str], odds: Odds, called: bool | None = None
    ) -> PlannedRecall:
        if not waiting or len(works) - len(waiting) < 2:
            return PlannedRecall(works)
        if called is None:
            called = bool(self._chance[place] < odds.called_for(self._types[place], waiting))
        if called:
            return PlannedRecall(works, tuple(int(layer in waiting) for layer, _ in works))
        return PlannedRecall(tuple(work for work in works if work[0] not in waiting))

    def _way(self, place: int, config: TuningConfig) -> Way | None:
        recall, layers = self._recalls[place], self._layers | config.question_model.keys()
        return self._way_of(recall.text, recall.query_type, layers, config)


Pool = Mapping[tuple[str, str], Tasks]
"""Works of layers by type and layer, and by "" and layer."""


def _plan(config: TuningConfig) -> tuple[object, ...]:
    return (
        *(config.skipped_layers, config.extra_layers, config.second_round, config.second_round_below),
        config.question_model,
    )


def _by_question(*configs: TuningConfig) -> bool:
    return any(config.question_model for config in configs)


def _has_plan(configs: ConfigSet) -> bool:
    every = [version.config for version in (configs.default, *configs.by_type.values())]
    return any(config.second_round or config.extra_layers or config.question_model for config in every)


def answer_lost(
    evidence: PlanEvidence, base: ConfigSet, configs: ConfigSet, recalls: Sequence[MeasuredRecall]
) -> tuple[float, float, float]:
    """Return what part of an answer configs lose that the base does not, with its 95 % interval.

    Args:
        evidence: what layers are worth.
        base: what is compared with.
        configs: what would be in force.
        recalls: each counts alike; those that the cache answered, or that were refused, do not.

    Returns:
        The mean, its lower and its upper bound; NaN where of a type nobody knows.
    """
    asked: dict[str, Counter[str]] = {}
    types = Counter(recall.query_type for recall in recalls if recall.tasks)
    for recall in recalls:
        asked.setdefault(recall.query_type, Counter()).update({task.layer for task in recall.tasks})
    mean, variance = 0.0, 0.0
    for query_type, n in types.items():
        shares = {layer: count / n for layer, count in asked[query_type].items()}
        lost = evidence.change(query_type, base.for_type(query_type), configs.for_type(query_type), shares)
        mean += n / types.total() * lost.mean
        variance += (n / types.total() * lost.error) ** 2
    away = 1.96 * math.sqrt(variance)
    return mean, mean - away, mean + away


def works_by_layer(types: Sequence[str], works: Sequence[Tasks]) -> Pool:
    """Return the works of each layer by type and layer, and by "" and layer.

    Examples:
        >>> works_by_layer(["a"], [(("graph", 0.5),)])
        {('a', 'graph'): (('graph', 0.5),), ('', 'graph'): (('graph', 0.5),)}
    """
    pool: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for query_type, tasks in zip(types, works, strict=True):
        for layer, work in tasks:
            for key in ((query_type, layer), ("", layer)):
                pool.setdefault(key, []).append((layer, work))
    return {key: tuple(tasks) for key, tasks in pool.items()}


def asked_later(recall: MeasuredRecall) -> frozenset[str]:
    """Return the layers that a recall asked after all others were over, if its layers ran at once."""
    tasks = sorted(recall.tasks, key=lambda task: task.offset_ms)
    for at in range(1, len(tasks)):
        over = max(task.offset_ms + task.queue_ms + task.service_ms for task in tasks[:at])
        if at > 1 and tasks[at].offset_ms >= over:
            return frozenset(task.layer for task in tasks[at:])
    return frozenset()
