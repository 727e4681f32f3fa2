"""What came of a recall: for its caller, and for the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.model.metrics import SECOND_CALL
from athena_tuning.recall.execution.task import ExecutionResult
from athena_tuning.recall.fusion import Fused
from athena_tuning.recall.plan import RecallPlan, candidates
from athena_tuning.recall.routing import own_layer
from athena_tuning.recall.snapshot import Snapshot

_SECOND = attrgetter("second")
_NO_FIELDS: frozenset[str] = frozenset()


@dataclass(slots=True)
class RecallResult:
    """What the layers gave. It is shared between recalls and never changed.

    Attributes:
        by_layer: items for each layer that answered, more of them than the caller gets.
        fused: the best of all of them.
        errors: why the other layers did not answer.
        tasks: telemetry of every layer task that got a slot; one that got none has no service time.
        parallel: whether they ran at the same time.
        stale: age in seconds of answers that had expired, by layer: the layer itself is in ``errors``.
        reused: whether no layer was asked for it: all of it was there.
        count: items of all layers that the caller gets.
        retry_after: seconds after which a recall that was refused is worth another try; None: it was not.
    """

    by_layer: Mapping[str, Snapshot]
    fused: Fused
    errors: Mapping[str, str]
    tasks: tuple[LayerTask, ...]
    parallel: bool
    stale: Mapping[str, float]
    reused: bool
    count: int
    retry_after: float | None = None

    @property
    def is_refused(self) -> bool:
        """Whether no layer was asked because there are more recalls than can be served."""
        return self.retry_after is not None

    @property
    def success(self) -> bool:
        """Whether any layer answered."""
        return bool(self.by_layer)

    @property
    def complete(self) -> bool:
        """Whether every layer answered."""
        return not self.errors

    def found(self, layer: str | None) -> Sequence[Mapping[str, Any]]:
        """Return what a layer gave, or the best of all: to look at, nobody changes it."""
        if layer is None:
            return self.fused.items
        return self.by_layer[layer].items if layer in self.by_layer else ()

    @property
    def is_whole(self) -> bool:
        """Whether every layer answered, with what can be copied."""
        return not self.errors and all(snapshot.is_whole for snapshot in self.by_layer.values())


def combine(
    plan: RecallPlan,
    results: Sequence[ExecutionResult],
    known: Mapping[str, Snapshot],
    left_out: Mapping[str, str],
    stale: Mapping[str, tuple[Snapshot, float]],
) -> RecallResult:
    """Make one result of what the layers gave.

    Args:
        plan: what was asked.
        results: of the layer tasks that ran.
        known: answers that did not have to be made anew, by layer.
        left_out: why layers were not asked, by layer.
        stale: answers that stand in for those of layers that are down, and their ages.
    """
    k = plan.request.k
    snapshots = {**known, **{layer: old for layer, (old, _) in stale.items()}}
    errors = dict(left_out)
    for result in results:
        if result.success:
            snapshots[result.layer_name] = result.result
        else:
            errors[result.layer_name] = result.error or "failed"
    if errors:
        for layer in plan.route.explored & errors.keys():
            del errors[layer]  # the recall did not need it
    by_layer, lists = {}, {}
    depth, shown, fields = candidates(k), 0, _NO_FIELDS
    for layer in plan.layer_names:
        if layer in snapshots:
            by_layer[layer] = snapshot = snapshots[layer]
            lists[layer] = items = snapshot.first(depth)
            count = len(items)
            shown += count if count < k else k
            if snapshot.fields:
                fields |= snapshot.fields
    if (own := own_layer(plan.query_type)) in lists:
        lists = {own: lists[own], **lists}  # of equal scores it is first
    tasks = [_task(result, k) for result in results if result.in_flight]
    if any(map(_SECOND, results)):
        tasks += _second_calls(results, k)
    return RecallResult(
        by_layer,
        Fused(lists, shown, plan.fusion, fields),
        errors,
        tuple(tasks),
        plan.parallel and plan.widest > 1,
        {layer: age for layer, (_, age) in stale.items()},
        not results,
        shown,
    )


def _second_calls(results: Sequence[ExecutionResult], k: int) -> list[LayerTask]:
    """Return the second calls among the results, if there were any."""
    return [
        LayerTask(
            of.layer_name + SECOND_CALL,
            of.second.offset_ms,
            0.0,
            of.second.elapsed_ms,
            of.second.in_flight,
            TaskOutcome.OK if of.second.won else TaskOutcome.TIMEOUT,
            min(k, len(of.result.items)) if of.second.won else 0,
        )
        for of in results
        if of.second is not None
    ]


def _task(result: ExecutionResult, k: int) -> LayerTask:
    layer, success, found, _, elapsed_ms, queue_ms, offset_ms, in_flight, outcome, *_ = result
    count = min(k, len(found.items)) if success else 0
    # its own constructor costs as much again
    return tuple.__new__(LayerTask, (layer, offset_ms, queue_ms, elapsed_ms, in_flight, outcome, count))


def refused(plan: RecallPlan, why: str, retry_after: float) -> RecallResult:
    """Make the result of a recall that was refused: nothing, also of what the cache knows of it."""
    errors = dict.fromkeys(plan.layer_names, f"refused: {why}")
    return RecallResult({}, Fused({}, 0), errors, (), False, {}, True, 0, retry_after)


def response(plan: RecallPlan, result: RecallResult, latency_ms: float, *, shared: bool) -> dict[str, Any]:
    """Return what the caller gets: its own, to any depth. ``shared``: see ``metrics``."""
    k, tasks = plan.request.k, () if shared else result.tasks
    return {
        **{layer: snapshot.copies(k) for layer, snapshot in result.by_layer.items()},
        "_fused": result.fused.copies(),
        "_query_id": plan.query_id,
        "_query_type": plan.query_type,
        "_layers": list(plan.layer_names),
        "_cache_hit": _is_hit(result, shared),
        "_partial": result.success and not result.complete,
        "_stale": dict(result.stale),
        "_errors": dict(result.errors),
        "_success": result.success,
        "_latency_ms": latency_ms,
        "_layer_ms": {task.layer: task.service_ms for task in tasks},
        "_queue_ms": {task.layer: task.queue_ms for task in tasks},
        "_config_version": plan.config_version,
        "_refused": result.is_refused,
        "_retry_after_s": result.retry_after,
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
        None if result.is_refused else latency_ms,
        memory_mb,
        None if result.is_refused else _is_hit(result, shared),
        result.count,
        [task.layer for task in tasks],
        {task.layer: task.service_ms for task in tasks},
        result.success,
        _error(result),
        result.parallel and not shared,
        min(len(tasks), plan.widest) if result.parallel and tasks else 1,
        tasks=tasks,
        partial=result.is_refused or (result.success and not result.complete),
        config_version=plan.config_version,
        source=plan.source,
    )


def _error(result: RecallResult) -> str | None:
    if not result.errors:
        return None
    if result.is_refused:
        return next(iter(result.errors.values()), "refused")
    return "; ".join([f"{layer}: {why}" for layer, why in result.errors.items()])


def _is_hit(result: RecallResult, shared: bool) -> bool:
    """Whether the answer was there already: another recall's whole one, or all that layers gave before."""
    return result.complete if shared else result.success and result.reused


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
        source=plan.source,
    )
