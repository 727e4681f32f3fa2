"""Counts, off every recall's thread, which layers its answer could have done without."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from athena_tuning.recall.fusion import additions
from athena_tuning.recall.plan import RecallPlan
from athena_tuning.recall.snapshot import Snapshot
from athena_tuning.tuning import Contributions

WAITING = 32
"""Answers that wait to be counted; of more only the newest are, so that counting takes its small share."""

HOLDBACK = 0.04
"""Share of recalls that ask what their config leaves out, to see what that would add."""


class ContributionCount:
    """Takes what answered recalls were given, and later counts what each layer added.

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
        is kept that could be left out.
        """
        if len(by_layer) > 1:
            self._waiting.append((plan, by_layer))

    def count(self) -> int:
        """Count what waits, at most ``WAITING``; return how many recalls that were."""
        counted = 0
        while self._waiting and counted < WAITING:
            plan, by_layer = self._waiting.popleft()
            lists = {layer: snapshot.items for layer, snapshot in by_layer.items()}
            out = plan.config.skipped_layers
            selected = [layer for layer in plan.layer_names if layer not in out] or plan.layer_names
            self._seen.note(plan.query_type, additions(lists, plan.request.k, selected), plan.timestamp)
            counted += 1
        return counted
