"""Counts, off every recall's thread, what each layer was worth to its answer."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping, Sequence

from athena_tuning.model.source import is_evidence
from athena_tuning.recall.fusion import Item, carried, gains
from athena_tuning.recall.plan import RecallPlan, candidates
from athena_tuning.recall.routing.features import features
from athena_tuning.recall.routing.route import route
from athena_tuning.recall.snapshot import Snapshot
from athena_tuning.tuning import Contributions
from athena_tuning.tuning.estimation.layer_value import Gain
from athena_tuning.tuning.estimation.question_fit import LayerObservation, QuestionObservation

WAITING = 32
"""Answers that wait to be counted; of more only the newest are, so that counting takes its small share."""


class ContributionCount:
    """Takes what answered recalls were given, and later counts what each layer was worth.

    ``offer`` is one append. Fusing a list a layer anew takes about as long as a small search, so ``count``,
    which does it, belongs to the upkeep thread.

    Args:
        seen: takes the counts.
        hashed: whether words of questions are kept as hashes only.
    """

    def __init__(self, seen: Contributions, *, hashed: bool = False) -> None:
        self._hashed = hashed
        self._seen = seen
        self._waiting: deque[tuple[RecallPlan, Mapping[str, Snapshot]]] = deque(maxlen=WAITING)

    def offer(self, plan: RecallPlan, by_layer: Mapping[str, Snapshot]) -> None:
        """Take what the layers of a recall gave that answered; one alone says nothing.

        Where a layer is missing, the others seem to add what it would have given as well: so at worst one
        is kept that could be left out. A recall of a sample, or one whose caller named
        the layers, is no evidence.
        """
        if len(by_layer) > 1 and plan.request.layers is None and is_evidence(plan.source):
            self._waiting.append((plan, by_layer))

    def count(self) -> int:
        """Count what waits, at most ``WAITING``; return how many recalls that were.

        What a later round gave does not count for its type: it is asked where the others have little, so that
        it would seem to be worth more than it is. Recalls that explore tell of it.
        """
        counted = 0
        while self._waiting and counted < WAITING:
            plan, by_layer = self._waiting.popleft()
            route, depth = plan.route, candidates(plan.request.k)
            lists = {name: by_layer[name].first(depth) for name in route.certain if name in by_layer}
            selected = [layer for layer in route.certain if layer not in route.explored] or route.certain
            gained = gains(lists, plan.request.k, selected, plan.fusion)
            self._seen.note(
                plan.query_type,
                gained,
                plan.timestamp,
                explored=route.explored,
                below=plan.config.second_round_below,
            )
            later = {name: part.first(depth) for name, part in by_layer.items() if name not in lists}
            if later:
                gained = gains({**lists, **later}, plan.request.k, selected, plan.fusion)
            self._seen.note_question(self._observation(plan, selected, gained, {**lists, **later}))
            counted += 1
        return counted

    def _observation(
        self,
        plan: RecallPlan,
        selected: Sequence[str],
        gained: Mapping[str, Gain],
        lists: Mapping[str, Sequence[Item]],
    ) -> QuestionObservation:
        """Return what the layers were worth to a question, whichever round they were asked in.

        A layer that is asked whenever it is called for stands for one recall where it is, and where it is
        not, for as many as come for each that explores.
        """
        config, request = plan.config, plan.request
        without = route(
            *(request.query, plan.query_type, tuple(lists), config),
            context=request.context,
            learned=False,
        ).first
        can_wait = {*without, *config.extra_layers, *config.second_round}
        observed = {}
        for layer, gain in gained.items():
            asked = layer in selected
            nothing = not any(lists[name] for name in selected if name in lists and name != layer)
            called_for = nothing or (layer in can_wait and gain.agreed < config.second_round_below)
            if not (asked or called_for or layer in plan.route.explored):
                continue  # another layer had to be asked before it
            weight = 1.0 if asked or called_for else 1.0 / max(config.exploration_share, 0.001)
            alone = gain.sole / max(gain.of, 1)
            observed[layer] = LayerObservation(alone, called_for, asked, layer in without, weight)
        names = sorted(map(sys.intern, features(request.query, hashed=self._hashed)))
        shares = carried(lists, request.k, selected, plan.fusion)
        return QuestionObservation(
            plan.query_id, plan.query_type, plan.timestamp, tuple(names), observed, shares
        )
