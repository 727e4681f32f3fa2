"""The way of one recall through the layers: a first round, and what is asked if that is not enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from athena_tuning.model import TuningConfig
from athena_tuning.recall.fusion import Item, agreement
from athena_tuning.recall.routing.by_question import worth_asking
from athena_tuning.recall.routing.dependencies import DependencyGraph
from athena_tuning.recall.routing.table import select_layers


@dataclass(frozen=True, slots=True)
class LaterRound:
    """Layers that are asked if those before them do not find enough.

    Attributes:
        layers: their names.
        below: of the first ten pieces of evidence, how many two layers must agree on for the answer to be
            enough; 0: they were left out, and are asked if nothing was found, or little for the type (see
            ``ThinAnswers``); None: they are always asked.
        then: layers that are asked after these, if these are: they depend on them.
    """

    layers: tuple[str, ...]
    below: int | None = 0
    then: tuple[LaterRound, ...] = ()

    @property
    def is_left_out(self) -> bool:
        """Whether nothing called for its layers but what the others lack."""
        return self.below == 0

    def is_called_for(self, lists: Mapping[str, Sequence[Item]]) -> bool:
        """Whether what was found is not enough, whatever is usual for the type.

        Args:
            lists: what the layers gave so far, best first.

        Examples:
            >>> alone = {"episodic": [{"id": "t1", "evidence": ()}], "semantic": []}
            >>> LaterRound(("graph",)).is_called_for(alone), LaterRound(("graph",), 1).is_called_for(alone)
            (False, True)
        """
        if self.below is None or not any(lists.values()):
            return True
        return self.below > 0 and agreement(lists) < self.below


@dataclass(frozen=True, slots=True)
class Route:
    """Which layers a recall asks.

    Attributes:
        first: those that are asked at once.
        later: what is asked after that, in this order, each only if it is called for.
        explored: those of ``first`` that are asked only to see what they would add.
    """

    first: tuple[str, ...]
    later: tuple[LaterRound, ...] = ()
    explored: frozenset[str] = frozenset()

    @property
    def waiting(self) -> frozenset[str]:
        """The layers that are asked if those of the first round agree on little."""
        return frozenset([name for r in self.later if r.below for name in r.layers])

    @property
    def certain(self) -> tuple[str, ...]:
        """The layers that are asked whatever is found."""
        return self.first + tuple(name for r in self.later if r.below is None for name in r.layers)

    def ordered(self, graph: DependencyGraph) -> Route:
        """Return the same way with layers after those that they depend on."""
        first, *waves = graph.waves(self.first)
        if not waves and len(self.later) == 0:
            return self
        later = [_ordered(round_, graph) for round_ in self.later]
        return Route(first, (*_always(waves), *later), self.explored)


def _always(waves: Sequence[tuple[str, ...]]) -> tuple[LaterRound, ...]:
    return tuple([LaterRound(wave, None) for wave in waves])


def _ordered(round_: LaterRound, graph: DependencyGraph) -> LaterRound:
    first, *waves = graph.waves(round_.layers)
    return LaterRound(first, round_.below, _always(waves)) if waves else round_


def route(
    text: str,
    query_type: str,
    registered: tuple[str, ...],
    config: TuningConfig,
    *,
    context: Mapping[str, Any] | None = None,
    explores: bool = False,
    learned: bool = True,
) -> Route:
    """Return the way of a query through the layers.

    The layers that the query calls for are asked at once, those of the config's second round after them
    where the others agree on little. What was learned of questions like it adds layers to the first round,
    and lets others wait. What was not called for is asked at last where nothing was found,
    or little.

    Args:
        text: the query.
        query_type: what the classifier made of it.
        registered: names of the manager's layers.
        config: in force for this type.
        context: what the caller gave beside the text.
        explores: ask every layer.
        learned: obey what was learned by question; else only what holds for the type.

    Examples:
        >>> config = TuningConfig(second_round=frozenset({"graph"}))
        >>> way = route("Who is Ana?", "factual", ("episodic", "semantic", "graph", "procedural"), config)
        >>> way.first, [later.layers for later in way.later]
        (('episodic', 'semantic'), [('graph',), ('procedural',)])
    """
    if not config.layer_selection_enabled:
        return Route(registered)
    chosen = select_layers(
        text,
        query_type,
        registered,
        context=context,
        skipped=config.skipped_layers,
        extra=config.extra_layers,
    )
    second, below = config.second_round, config.second_round_below
    model = config.question_model
    if not (model and learned):
        return _way(registered, chosen, second, below, explores)
    asked = worth_asking(text, config)
    return _learned_way(
        registered, chosen, second, below, explores, asked, tuple(model), config.skipped_layers
    )


@lru_cache(maxsize=1024)
def _learned_way(
    registered: tuple[str, ...],
    chosen: tuple[str, ...],
    second: frozenset[str],
    below: int,
    explores: bool,
    asked: frozenset[str],
    known: tuple[str, ...],
    skipped: frozenset[str],
) -> Route:
    """Return the way through chosen layers and those that are worth asking; others that are known wait."""
    asked -= skipped
    chosen = tuple(name for name in registered if name in chosen or name in asked)
    return _way(registered, chosen, second.union(known) - asked, below, explores)


@lru_cache(maxsize=1024)
def _way(
    registered: tuple[str, ...],
    chosen: tuple[str, ...],
    second: frozenset[str],
    below: int,
    explores: bool,
) -> Route:
    """Return the way through chosen layers, of which some are asked in a second round.

    There are few ways, so that nearly every one is known.
    """
    first = tuple(name for name in chosen if name not in second) or chosen
    if explores:
        return Route(registered, explored=frozenset(registered).difference(first))
    later = []
    if len(first) < len(chosen):
        if len(first) == 1:  # nobody could agree with it
            first = chosen
        else:
            later.append(LaterRound(tuple(name for name in chosen if name in second), below))
    if len(chosen) < len(registered):
        later.append(LaterRound(tuple(name for name in registered if name not in chosen)))
    return Route(first, tuple(later))
