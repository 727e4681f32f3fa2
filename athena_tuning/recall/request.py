"""One recall on its way: what was asked, and what came of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome, TuningConfig
from athena_tuning.recall.cache import Stamp
from athena_tuning.recall.execution.fanout import ExecutionResult
from athena_tuning.recall.fusion import fuse
from athena_tuning.recall.items import MAX_TEXT, Item
from athena_tuning.recall.layers.base import Found, Layer
from athena_tuning.recall.peak import PeakMemory

MAX_K = 1000
MAX_CACHED_TEXT = 4000
"""Longer queries are rarely repeated, and would fill the memory with their own text."""

NO_CONTEXT: Mapping[str, Any] = MappingProxyType({})


@dataclass(slots=True)
class Asked:
    """A recall from its first moment. Times are monotonic seconds, ``timestamp`` is Unix seconds.

    ``cached``: a repeated answer will do, and this one may be repeated. ``key``: what two recalls must have
    in common to have one answer.
    """

    query_id: str
    text: str
    query_type: str
    k: int
    scope: str | None
    context: Mapping[str, Any]
    layers: tuple[Layer, ...]
    layer_names: tuple[str, ...]
    config: TuningConfig
    config_version: int
    parallel: bool
    cached: bool
    timestamp: float
    started: float
    key: Hashable
    stamp: Stamp
    peak: PeakMemory | None

    @property
    def deadline(self) -> float | None:
        """When to go on with what there is."""
        seconds = self.config.deadline_seconds
        return None if seconds is None else self.started + seconds

    @property
    def patience(self) -> float:
        """Longest wait, in seconds, for the answer of an identical recall."""
        return self.config.deadline_seconds or self.config.timeout_seconds


@dataclass(frozen=True, slots=True)
class Answer:
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


def check(text: Any, context: Any, k: Any, scope: Any) -> None:
    """Refuse a recall that makes no sense.

    Raises:
        ValueError: naming the argument and its value.
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"the query must be text that is not empty, not {text!r:.80}")
    if len(text) > MAX_TEXT:
        raise ValueError(f"the query has {len(text):,} characters; at most {MAX_TEXT:,} are read")
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_K:
        raise ValueError(f"k must be a whole number from 1 to {MAX_K}, not {k!r:.80}")
    if context is not None and not isinstance(context, Mapping):
        raise ValueError(f"context must be a mapping or None, not {context!r:.80}")
    if scope is not None and not isinstance(scope, str):
        raise ValueError(f"scope must be text or None, not {scope!r:.80}")


def candidates(k: int) -> int:
    """Return how many items a layer is asked for, so that fusion can find what no layer ranks first.

    Half as many again. Deeper lists make the fused one worse: under 1 / (60 + r) two layers that rank
    something twentieth outvote the one that ranks it first.
    """
    return max(15, k + k // 2)


def answer(results: Sequence[ExecutionResult], k: int, parallel: bool) -> Answer:
    """Make the answer from what the layer tasks gave."""
    found: dict[str, list[dict[str, Any]]] = {}
    errors: dict[str, str] = {}
    tasks = []
    for result in results:
        layer, outcome = result.layer_name, result.outcome
        if result.success:
            try:
                found[layer] = records(layer, result.result)
            except ValueError as exc:
                errors[layer], outcome = f"its answer cannot be read: {exc}", TaskOutcome.ERROR
        else:
            errors[layer] = result.error or "failed"
        if result.in_flight:
            count = min(k, len(found.get(layer, ())))
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
    by_layer = {layer: items[:k] for layer, items in found.items()}
    fused = fuse(found, sum(map(len, by_layer.values())))
    return Answer(by_layer, fused, errors, tuple(tasks), parallel)


def records(layer: str, found: Found) -> list[dict[str, Any]]:
    """Return what a layer gave as plain types.

    Raises:
        ValueError: if it is no list of items.
    """
    if not isinstance(found, (list, tuple)):  # a generator would do its work here, outside its slot
        raise ValueError(f"a list is expected, this is {found!r:.80}")
    return [_record(layer, item.to_dict() if isinstance(item, Item) else item) for item in found]


def _record(layer: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """Check what a layer gave; without evidence its id stands for itself in this layer only."""
    if not isinstance(item, Mapping) or not isinstance(item.get("text"), str) or "id" not in item:
        raise ValueError(f"an item has an id and a text, this is {item!r:.80}")
    evidence = item.get("evidence", (f"{layer}/{item['id']}",))
    if not isinstance(evidence, (list, tuple)) or not all(isinstance(piece, str) for piece in evidence):
        raise ValueError(f"evidence is a list of ids, this is {evidence!r:.80}")
    return {**item, "id": str(item["id"]), "layer": layer, "evidence": evidence}


def response(asked: Asked, given: Answer, latency_ms: float, *, shared: bool) -> dict[str, Any]:
    """Return what the caller gets: copies, which are the caller's own. ``shared``: see ``metrics``."""
    ran = () if shared else given.tasks
    return {
        **{layer: [dict(item) for item in items] for layer, items in given.by_layer.items()},
        "_fused": [dict(item) for item in given.fused],
        "_query_id": asked.query_id,
        "_query_type": asked.query_type,
        "_layers": list(asked.layer_names),
        "_cache_hit": shared and given.complete,
        "_partial": given.success and not given.complete,
        "_errors": dict(given.errors),
        "_success": given.success,
        "_latency_ms": latency_ms,
        "_layer_ms": {task.layer: task.service_ms for task in ran},
        "_queue_ms": {task.layer: task.queue_ms for task in ran},
        "_config_version": asked.config_version,
    }


def metrics(
    asked: Asked, given: Answer, latency_ms: float, memory_mb: float | None, *, shared: bool
) -> QueryMetrics:
    """Return the record of a recall. ``shared``: no layer ran for it, it was given another one's answer."""
    tasks = () if shared else given.tasks
    return QueryMetrics(
        asked.query_id,
        asked.text,
        asked.query_type,
        asked.timestamp,
        latency_ms,
        memory_mb,
        shared and given.complete,
        sum(map(len, given.by_layer.values())),
        [task.layer for task in tasks],
        {task.layer: task.service_ms for task in tasks},
        given.success,
        "; ".join(f"{layer}: {why}" for layer, why in given.errors.items()) or None,
        given.parallel and not shared,
        len(tasks) if given.parallel and tasks else 1,
        tasks=tasks,
        partial=given.success and not given.complete,
        config_version=asked.config_version,
    )


def cancelled(asked: Asked) -> QueryMetrics:
    """Return the record of a recall that its caller gave up: how it would have ended is unknown."""
    return QueryMetrics(
        asked.query_id,
        asked.text,
        asked.query_type,
        asked.timestamp,
        None,
        None,
        None,
        None,
        [],
        {},
        None,
        "given up by its caller",
        config_version=asked.config_version,
    )
