"""Within which recall, and for whom, code of a layer runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from athena_tuning.recall.execution.layer_run import CURRENT_RUN, LayerRun, current_run
from athena_tuning.recall.plan import RecallPlan

MAX_DEPTH = 8
"""Recalls within recalls; deeper ones ask no layer."""


@dataclass(frozen=True, slots=True)
class CurrentRecall:
    """The recall within which a layer runs.

    Attributes:
        query_id: unique id of the recall.
        layer: the layer's name.
        query: what was asked.
        scope: only items of this project or conversation.
        context: what the caller gave beside the text; ``priority`` is in it.
        deadline: monotonic seconds at which the layer's answer is of no more use.
    """

    query_id: str
    layer: str
    query: str
    scope: str | None
    context: Mapping[str, Any]
    deadline: float

    @property
    def priority(self) -> str:
        """How urgent its caller is: "interactive", or as its context says ("background")."""
        priority = self.context.get("priority")
        return priority if isinstance(priority, str) else "interactive"


def current_recall() -> CurrentRecall | None:
    """Return the recall within which this is called: in a layer's search, its coroutine, and what they start.

    Context variables of the caller are there as well, so that a trace goes on; threads that a layer starts
    by itself see neither, unless it carries its context over (``contextvars.copy_context``).
    """
    run = current_run()
    if run is None or not isinstance(run.fan.purpose, RecallPlan):
        return None
    plan, request = run.fan.purpose, run.fan.purpose.request
    return CurrentRecall(
        plan.query_id, run.layer_name, request.query, request.scope, request.context or {}, run.deadline
    )


def recalls_above() -> list[tuple[LayerRun, RecallPlan]]:
    """Return the recalls within which this is called, each with the layer task in question, nearest first."""
    run = CURRENT_RUN.get()
    return [] if run is None else list(_above(run))


def _above(run: LayerRun | None) -> Iterator[tuple[LayerRun, RecallPlan]]:
    while run is not None:
        if not run.over and isinstance(run.fan.purpose, RecallPlan):
            yield run, run.fan.purpose
        run = run.fan.parent
