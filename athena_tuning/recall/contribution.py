"""Counts, off every recall's thread, what each layer was worth to its answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from athena_tuning.model.source import is_evidence
from athena_tuning.recall.fusion import gains
from athena_tuning.recall.plan import RecallPlan, candidates
from athena_tuning.recall.snapshot import Snapshot
from athena_tuning.tuning import Contributions

WAITING = 32
"""Answers that wait to be counted; of more only the newest are, so that counting takes its small share."""


class ContributionCount:
    """Takes what answered recalls were given, and later counts what each layer was worth.

    ``offer`` is one append. Fusing a list a layer anew takes about as long as a small search, so ``count``,
    which does it, belongs to the upkeep thread.

    Args:
        seen: takes the counts.
    """

    def __init__(self, seen: Contributions) -> None:
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

        What a later round gave is not counted: it is asked where the others have little, so that it would
        seem to be worth more than it is. Recalls that explore tell of it.
        """
        counted = 0
        while self._waiting and counted < WAITING:
            plan, by_layer = self._waiting.popleft()
            route, config = plan.route, plan.config
            depth = candidates(plan.request.k)
            lists = {name: by_layer[name].first(depth) for name in route.certain if name in by_layer}
            selected = [layer for layer in route.certain if layer not in route.explored] or route.certain
            found = gains(lists, plan.request.k, selected, plan.fusion)
            self._seen.note(
                plan.query_type,
                found,
                plan.timestamp,
                explored=route.explored,
                below=config.second_round_below,
            )
            counted += 1
        return counted
