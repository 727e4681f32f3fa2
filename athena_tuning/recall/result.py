"""What came of a recall: for its caller, and for the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.recall.execution.fanout import ExecutionResult
from athena_tuning.recall.fusion import fuse
from athena_tuning.recall.items import Item
from athena_tuning.recall.layers.base import Found
from athena_tuning.recall.plan import RecallPlan


@dataclass(frozen=True, slots=True)
class RecallResult:
    """What the layers gave. It is shared between recalls and never changed.

    Attributes:
        by_layer: items as plain types, best first, for each layer that answered.
        fused: the best of all of them.
        errors: why the other layers did not answer.
        tasks: telemetry of every layer task that got a slot; one that got none has no service time.
        parallel: whether they ran at the same time.
    """

    by_layer: Mapping[str, Sequence[Mapping[str, Any]]]
    fused: Sequence[Mapping[str, Any]]
    errors: Mapping[str, str]
    tasks: tuple[LayerTask, ...]
    parallel: bool

    @property
    def success(self) -> bool:
        """Whether any layer answered."""
        return bool(self.by_layer)

    @property
    def complete(self) -> bool:
        """Whether every layer answered."""
        return not self.errors


def combine(results: Sequence[ExecutionResult], k: int, parallel: bool) -> RecallResult:
    """Make one result of what the layer tasks gave."""
    lists: dict[str, list[dict[str, Any]]] = {}
    errors: dict[str, str] = {}
    tasks = []
    for result in results:
        layer, outcome = result.layer_name, result.outcome
        if result.success:
            try:
                lists[layer] = records(layer, result.result)
            except ValueError as exc:
                errors[layer], outcome = f"its answer cannot be read: {exc}", TaskOutcome.ERROR
        else:
            errors[layer] = result.error or "failed"
        if result.in_flight:
            count = min(k, len(lists.get(layer, ())))
            tasks.append(
                LayerTask(
                    layer,
                    result.offset_ms,
                    result.queue_ms,
                    result.elapsed_ms,
                    result.in_flight,
                    outcome,
                    count,
                )
            )
    by_layer = {layer: items[:k] for layer, items in lists.items()}
    fused = fuse(lists, sum(map(len, by_layer.values())))
    return RecallResult(by_layer, fused, errors, tuple(tasks), parallel)


def records(layer: str, items: Found) -> list[dict[str, Any]]:
    """Return what a layer gave as plain types.

    Raises:
        ValueError: if it is no list of items.
    """
    if not isinstance(items, (list, tuple)):  # a generator would do its work here, outside its slot
        raise ValueError(f"a list is expected, this is {items!r:.80}")
    return [_record(layer, item.to_dict() if isinstance(item, Item) else item) for item in items]


def _record(layer: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """Check what a layer gave; without evidence its id stands for itself in this layer only."""
    if not isinstance(item, Mapping) or not isinstance(item.get("text"), str) or "id" not in item:
        raise ValueError(f"an item has an id and a text, this is {item!r:.80}")
    evidence = item.get("evidence", (f"{layer}/{item['id']}",))
    if not isinstance(evidence, (list, tuple)) or not all(isinstance(piece, str) for piece in evidence):
        raise ValueError(f"evidence is a list of ids, this is {evidence!r:.80}")
    return {**item, "id": str(item["id"]), "layer": layer, "evidence": evidence}


def response(plan: RecallPlan, result: RecallResult, latency_ms: float, *, shared: bool) -> dict[str, Any]:
    """Return what the caller gets: copies, which are the caller's own. ``shared``: see ``metrics``."""
    tasks = () if shared else result.tasks
    return {
        **{layer: [dict(item) for item in items] for layer, items in result.by_layer.items()},
        "_fused": [dict(item) for item in result.fused],
        "_query_id": plan.query_id,
        "_query_type": plan.query_type,
        "_layers": list(plan.layer_names),
        "_cache_hit": shared and result.complete,
        "_partial": result.success and not result.complete,
        "_errors": dict(result.errors),
        "_success": result.success,
        "_latency_ms": latency_ms,
        "_layer_ms": {task.layer: task.service_ms for task in tasks},
        "_queue_ms": {task.layer: task.queue_ms for task in tasks},
        "_config_version": plan.config_version,
    }


def metrics(
    plan: RecallPlan, result: RecallResult, latency_ms: float, memory_mb: float | None, *, shared: bool
) -> QueryMetrics:
    """Return the record of a recall. ``shared``: no layer ran for it, it was given another one's result."""
    tasks = () if shared else result.tasks
    return QueryMetrics(
        plan.query_id,
        plan.request.query,
        plan.query_type,
        plan.timestamp,
        latency_ms,
        memory_mb,
        shared and result.complete,
        sum(map(len, result.by_layer.values())),
        [task.layer for task in tasks],
        {task.layer: task.service_ms for task in tasks},
        result.success,
        "; ".join(f"{layer}: {why}" for layer, why in result.errors.items()) or None,
        result.parallel and not shared,
        len(tasks) if result.parallel and tasks else 1,
        tasks=tasks,
        partial=result.success and not result.complete,
        config_version=plan.config_version,
    )


def cancelled(plan: RecallPlan) -> QueryMetrics:
    """Return the record of a recall that its caller gave up: how it would have ended is unknown."""
    return QueryMetrics(
        plan.query_id,
        plan.request.query,
        plan.query_type,
        plan.timestamp,
        None,
        None,
        None,
        None,
        [],
        {},
        None,
        "given up by its caller",
        config_version=plan.config_version,
    )
