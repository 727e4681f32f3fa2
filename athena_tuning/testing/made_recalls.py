"""Records of recalls that were never asked, for the suites."""

from __future__ import annotations

import random

from athena_tuning.model import LAYERS, QUERY_TYPES, LayerTask, QueryMetrics, TaskOutcome

START = 1_700_000_000.0
"""Unix seconds of the first one, if nothing else is said."""


def made_recalls(n: int, *, seed: int = 1, start: float = START, step: float = 0.5) -> list[QueryMetrics]:
    """Return records as a manager would make them: several types, layers, cache hits, errors, unknowns.

    Args:
        n: how many.
        seed: the same one gives the same records.
        start: Unix seconds of the first.
        step: seconds between two.
    """
    chance = random.Random(seed)
    return [_recall(f"w{seed}-{i}", start + i * step, chance) for i in range(n)]


def _recall(query_id: str, at: float, chance: random.Random) -> QueryMetrics:
    layers = chance.sample(LAYERS, chance.randint(1, 3))
    hit = chance.random() < 0.3
    tasks = [] if hit else [_task(layer, chance) for layer in layers]
    failed = bool(tasks) and all(task.outcome is not TaskOutcome.OK for task in tasks)
    unknown = chance.random() < 0.05
    return QueryMetrics(
        query_id,
        f"what about {chance.randint(0, 50)}?",
        chance.choice(QUERY_TYPES),
        round(at, 6),
        None if unknown else round(chance.lognormvariate(3, 0.8), 6),
        None,
        None if unknown else hit,
        None if unknown else chance.randint(0, 9),
        [task.layer for task in tasks],
        {task.layer: task.service_ms for task in tasks},
        None if unknown else not failed,
        "graph: gone" if failed else None,
        len(tasks) > 1,
        max(len(tasks), 1),
        tasks=tuple(tasks),
        partial=not failed and any(task.outcome is not TaskOutcome.OK for task in tasks),
        config_version=chance.choice((3, 4)),
    )


def _task(layer: str, chance: random.Random) -> LayerTask:
    outcome = chance.choices(tuple(TaskOutcome), (95, 2, 3))[0]
    offset, queue = round(chance.random(), 6), round(chance.random(), 6)
    service = round(chance.lognormvariate(2.5, 0.8), 6)
    return LayerTask(layer, offset, queue, service, chance.randint(1, 8), outcome, chance.randint(0, 5))
