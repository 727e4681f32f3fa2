"""What a query tells of the results that its answer was made of, as evidence on the layers."""

from __future__ import annotations

import logging

from athena_tuning.model import TaskOutcome, TuningConfig
from athena_tuning.model.source import is_evidence
from athena_tuning.profiling.measure import MeasuredQuery
from athena_tuning.tuning import Contributions
from athena_tuning.tuning.estimation.layer_value import Gain

logger = logging.getLogger(__name__)


def note_used(contributions: Contributions, query: MeasuredQuery, config: TuningConfig) -> None:
    """Count a query that has ended and told which results it used.

    Nobody but the system itself knows which results say the same, so what was used counts as found by its
    layer alone, and no layer is taken to confirm another: layers may be left out and brought back, but none
    is advised to wait for a second round. A layer that is left out, and was asked nevertheless, was explored.

    Args:
        contributions: takes the counts.
        query: what was measured; one layer alone says nothing, and a sample is no evidence.
        config: in force for its type.
    """
    m, uses = query.metrics(), query.uses or {}
    answered = [task.layer for task in m.tasks if task.outcome is TaskOutcome.OK]
    if unknown := uses.keys() - {task.layer for task in m.tasks}:
        logger.warning(
            "a query used results of %r and measured no such layer, but %s: it does not count",
            min(unknown),
            ", ".join(m.layers_queried) or "none",
        )
        return
    if len(answered) < 2 or not is_evidence(m.source):
        return
    whole = sum(uses.values())
    gains = {layer: Gain(uses.get(layer, 0), whole, uses.get(layer, 0)) for layer in answered}
    explored = config.skipped_layers & gains.keys()
    contributions.note(m.query_type, gains, m.timestamp, explored=explored)
