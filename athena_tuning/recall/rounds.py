"""The rounds of a recall: which layers are asked in each, and which are left out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from athena_tuning.control.breaker import Admission
from athena_tuning.control.layer_health import HealthMonitor
from athena_tuning.recall.cache import AnswerCache
from athena_tuning.recall.current import MAX_DEPTH, recalls_above
from athena_tuning.recall.execution.admission import Ticket
from athena_tuning.recall.execution.executor import ParallelLayerExecutor
from athena_tuning.recall.execution.task import ExecutionResult, QueryTask
from athena_tuning.recall.fusion import Item, is_sure, pieces_found
from athena_tuning.recall.items import LayerQuery
from athena_tuning.recall.plan import RecallPlan, candidates
from athena_tuning.recall.registered_layer import RegisteredLayer
from athena_tuning.recall.result import RecallResult
from athena_tuning.recall.routing.route import LaterRound
from athena_tuning.recall.routing.thin_answers import MOST_PIECES, ThinAnswers
from athena_tuning.recall.snapshot import Snapshot
from athena_tuning.recall.time_focus import time_focus


@dataclass(slots=True)
class Round:
    """What a recall still has to do once it is known what it need not.

    Attributes:
        tasks: to run.
        known: answers that the cache has, by layer.
        left_out: why layers are not asked, by layer.
        began: monotonic seconds at which the first round began.
        ticket: its admission; None: it needs none.
    """

    tasks: list[QueryTask]
    known: dict[str, Snapshot]
    left_out: dict[str, str]
    began: float
    ticket: Ticket | None

    @property
    def is_refused(self) -> bool:
        """Whether nothing is to be asked, because more recalls come than can be served."""
        return self.ticket is not None and self.ticket.refused is not None


class Rounds:
    """Decides round by round which layers a recall asks.

    Args:
        executor: runs the layer tasks.
        cache: keeps answers of layers.
        health: says which layers are left out.
        try_layers: called when one is left out: it may be time to try it.
        layers: gives those that can be asked, by name.
    """

    def __init__(
        self,
        executor: ParallelLayerExecutor,
        cache: AnswerCache[Snapshot, RecallResult],
        health: HealthMonitor,
        try_layers: Callable[[], object],
        layers: Callable[[], Mapping[str, RegisteredLayer]],
    ) -> None:
        self._executor = executor
        self._cache = cache
        self._health = health
        self._try_layers = try_layers
        self._layers = layers
        self._thin_answers = ThinAnswers()

    def begin(self, plan: RecallPlan, known: Mapping[str, Snapshot]) -> Round:
        """Return the first round in which any layer has to be asked."""
        todo = Round([], dict(known), {}, time.monotonic(), self._ask_admission(plan, known))
        if todo.is_refused:
            return todo
        self._admit(plan, todo, plan.layer_names, {})
        if not todo.tasks:
            self.go_on(plan, todo, [], [])
        return todo

    def go_on(
        self, plan: RecallPlan, todo: Round, results: list[ExecutionResult], given: list[ExecutionResult]
    ) -> None:
        """Take the results of a round, and prepare the next one that they call for, if there is one."""
        if todo.is_refused:
            todo.tasks = []
            return
        begun_ms = (plan.round_began - todo.began) * 1000 if results else 0.0
        results += [of._replace(offset_ms=of.offset_ms + begun_ms) for of in given] if begun_ms else given
        plan.widest = max(plan.widest, len(todo.tasks))
        todo.tasks = []
        while plan.later and not todo.tasks:
            following, plan.later = plan.later[0], plan.later[1:]
            plan.round_began = time.monotonic()
            if plan.deadline is not None and plan.round_began >= plan.deadline:
                return
            parts = {**todo.known, **{of.layer_name: of.result for of in results if of.success}}
            depth = candidates(plan.request.k)
            lists = {name: part.first(depth) for name, part in parts.items()}
            if following.is_called_for(lists) or self._is_thin(plan, following, lists, anew=bool(results)):
                plan.later = following.then + plan.later
                self._extend(plan, todo, following.layers, parts)

    def _ask_admission(self, plan: RecallPlan, known: Mapping[str, Snapshot]) -> Ticket | None:
        """Ask whether the recall may wait for slots; None if it needs none of its own.

        A recall within a recall runs in the slot of the layer that asks it.
        """
        if recalls_above() or known.keys() >= {*plan.layer_names}:
            return None
        return self._executor.ask_admission(plan.query_type, plan.deadline, plan.request.is_background)

    def _is_thin(
        self, plan: RecallPlan, following: LaterRound, lists: Mapping[str, Sequence[Item]], *, anew: bool
    ) -> bool:
        """Whether what was left out is to be asked though something was found, because it is little.

        Where no layer was asked ``anew``, the answer is a repeated one: what was asked for it then, and the
        cache has, is part of it.
        """
        below = min(plan.config.thin_below, plan.request.k)
        if not following.is_left_out or below == 1 or is_sure(lists):
            return False
        pieces = pieces_found(lists, MOST_PIECES)
        if anew:
            return self._thin_answers.is_thin(plan.query_type, pieces, below)
        known = self._cache.get(plan.key, following.layers, plan.request.k).parts
        return pieces < below and len(known) == len(following.layers)

    def _extend(
        self,
        plan: RecallPlan,
        todo: Round,
        names: tuple[str, ...],
        parts: Mapping[str, Snapshot],
    ) -> None:
        """Ask more layers for a recall, or take what the cache has of them."""
        plan.layer_names += names
        if plan.key is not None:
            plan.stamp += self._cache.stamp(names)
            todo.known |= self._cache.get(plan.key, names, plan.request.k).parts
        self._admit(plan, todo, names, parts)

    def _admit(
        self,
        plan: RecallPlan,
        todo: Round,
        names: tuple[str, ...],
        parts: Mapping[str, Snapshot],
    ) -> None:
        """Decide which layers are asked: none that is known, or down, or waits for this very answer."""
        request = plan.request
        when = time_focus(request.query, plan.timestamp)
        query = LayerQuery(request.query, request.scope, plan.query_type, request.context or {}, when=when)
        limit, config, admit = candidates(request.k), plan.config, self._health.admit
        above, layers = recalls_above(), self._layers()
        for name in names:
            if name in todo.known:
                continue
            layer = layers[name]
            if above and (why := _recursion(plan, name, above)):
                todo.left_out[name] = why
                continue
            admission, timeout, why = admit(name, config.layer_timeouts.get(name, config.timeout_seconds))
            if admission is Admission.LEAVE_OUT:
                todo.left_out[name] = why
            else:
                asked = query
                if layer.after:
                    found = {name: parts[name].copies(limit) for name in layer.after if name in parts}
                    asked = LayerQuery(query, query.scope, query.query_type, query.context, found, when)
                again = None
                if layer.idempotent and name in config.hedged_layers:
                    again = self._executor.second_calls.delay(name)
                task = layer.task(asked, limit, timeout, again)
                todo.tasks.append(task if plan.layer_memory is None else plan.layer_memory.watched(task))
        if todo.left_out:
            self._try_layers()


def _recursion(plan: RecallPlan, layer: str, above: list[Any]) -> str | None:
    """Return why a layer is not asked by a recall that is made within layers; None if it is asked."""
    if len(above) >= MAX_DEPTH:
        return f"recalls are nested more than {MAX_DEPTH} deep"
    request = plan.request
    for run, outer in above:
        asked = outer.request
        same = (asked.query, asked.scope, asked.k) == (request.query, request.scope, request.k)
        if run.layer_name == layer and same:
            return "it asks for this very answer itself"
    return None
