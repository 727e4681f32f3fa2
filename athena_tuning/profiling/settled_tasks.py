"""Makes one task a layer of calls that were measured as they ended."""

from __future__ import annotations

from collections.abc import Sequence

from athena_tuning.model import LayerTask, TaskOutcome
from athena_tuning.profiling.overlap import most_at_once, time_covered


def settled(tasks: Sequence[LayerTask]) -> tuple[list[LayerTask], int]:
    """Return the tasks in the order of their start, one a layer, and how many ran at once at most."""
    by_layer: dict[str, list[LayerTask]] = {}
    for task in sorted(tasks, key=lambda task: task.offset_ms):
        by_layer.setdefault(task.layer, []).append(task)
    return [_merged(parts) for parts in by_layer.values()], most_at_once(map(_interval, tasks))


def _merged(parts: list[LayerTask]) -> LayerTask:
    """Return several calls of one layer as one task; its service time is when at least one was at work."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return first._replace(
        service_ms=time_covered(map(_interval, parts)),
        in_flight=max(part.in_flight for part in parts),
        outcome=next((part.outcome for part in parts if part.outcome is not TaskOutcome.OK), TaskOutcome.OK),
        result_count=sum(part.result_count for part in parts),
    )


def _interval(task: LayerTask) -> tuple[float, float]:
    started = task.offset_ms + task.queue_ms
    return started, started + task.service_ms
