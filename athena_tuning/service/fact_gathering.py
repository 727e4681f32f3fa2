"""Where the rules of ``situation`` get what they look at: the window, the store, the managers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from athena_tuning.control import objectives, scope_watch
from athena_tuning.control.isolation import POLICY as BREAKER
from athena_tuning.control.layer_health import posted_health
from athena_tuning.model import (
    Action,
    BreakerState,
    ConfigSet,
    ConfigVersion,
    Decision,
    LayerHealth,
    Objective,
    WorkerStatus,
)
from athena_tuning.model.objective import WITHIN
from athena_tuning.model.source import LIVE_ALONE, MEASURED
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.columns.selection import Filter
from athena_tuning.profiling.histogram import bucket_bounds
from athena_tuning.service import alerts, parameter_rows, units
from athena_tuning.service.chart_rows import trusted
from athena_tuning.service.embedded import Embedded
from athena_tuning.service.facts import Burn, Facts, RecentChange, SickLayer, Stretch
from athena_tuning.service.situation import RISES
from athena_tuning.service.store_follower import Tail
from athena_tuning.store import Store, StoreError

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
RECENT = 5 * MINUTE
_AROUND = 10 * MINUTE
_LEAST = 100
"""Recalls that a stretch needs to be compared with."""

_FORGOTTEN_SECONDS = 10 * MINUTE
"""After so long a manager that is gone was let go, not lost."""


def facts(
    store: Store,
    tail: Tail,
    embedded: Embedded | None,
    burns: Callable[[], Sequence[Burn]],
    *,
    now: float,
    timezone: str,
    alive_seconds: float,
) -> Facts:
    """Return what the rules look at, as it is now.

    Args:
        store: shared by all managers.
        tail: follows it.
        embedded: the manager of this process, if there is one.
        burns: says how each promise is kept.
        now: Unix seconds.
        timezone: whose clock sentences tell and whose day it is.
        alive_seconds: after which a manager that has not reported itself is not alive.
    """
    window = tail.profiler
    unreachable = Facts(now, timezone, tail.problem or "", tail.looked_at)
    if tail.problem:
        return unreachable
    try:
        workers, layers, promised = store.workers(), posted_health(store), objectives.objectives(store)
        versions, decisions, kept = store.config_history(limit=50), store.decisions(limit=50), burns()
        version = store.config_set().default.version
        events = [
            event
            for event in store.events(since=now - HOUR)
            if not alerts.is_alert(event) and event.kind != scope_watch.EVENT
        ]
    except StoreError as failure:
        return replace(unreachable, unreachable=str(failure))
    recent = stretch(window, now - RECENT, now)
    compared, when = usual(window, now)
    here = embedded.manager if embedded else None
    alive = sum(now - worker.last_seen <= alive_seconds for worker in workers)
    return Facts(
        now,
        timezone,
        alive=max(alive, int(here is not None)),
        gone=gone(workers, now, alive_seconds),
        recent=recent,
        usual=compared,
        usual_when=when,
        waiting=here.waiting if here else waiting(layers),
        burns=kept,
        is_asked="all" in promised,
        change=change(window, versions, version, now),
        sick=sick(layers),
        lost=lost(workers, now, alive_seconds),
        events=events,
        taken_back=[d for d in decisions if is_trial_taken_back(d) and now - d.time < 15 * MINUTE],
        load_alone=not recent.recalls and load_alone(window, now),
    )


def stretch(profiler: PerformanceProfiler, start: float, end: float) -> Stretch:
    """Return the live recalls of a stretch of time; rates are over the part that the window covers."""
    seen = profiler.summary(start=start, end=end, sources=LIVE_ALONE)
    if not seen.count:
        return Stretch(0)
    began = profiler.summary(sources=LIVE_ALONE).first_timestamp
    return Stretch(
        seen.count,
        seen.count / max(end - max(start, began), 1.0),
        seen.p99_latency_ms if trusted(0.99, seen.count - seen.refused) else math.nan,
        seen.errors / seen.known_success if seen.known_success else math.nan,
        seen.refused / seen.count,
        seen.partial / seen.count,
    )


def usual(profiler: PerformanceProfiler, now: float) -> tuple[Stretch | None, str]:
    """Return what the last five minutes are compared with, and when that was."""
    for start, end, when in (
        (now - 2 * HOUR, now - HOUR, "an hour ago"),
        (now - DAY - HOUR, now - DAY, "at this time yesterday"),
        (now - HOUR, now - RECENT, "just before"),
    ):
        seen = stretch(profiler, start, end)
        if seen.recalls >= _LEAST and math.isfinite(seen.p99_ms):
            return seen, when
    return None, ""


def burns(
    profiler: PerformanceProfiler,
    promises: Sequence[Objective],
    now: float,
    timezone: str,
    used: Callable[[Objective, tuple[float, float]], float] = lambda *_: math.nan,
) -> Iterator[Burn]:
    """Yield how each promise is kept.

    Args:
        profiler: the window.
        promises: what is promised.
        now: Unix seconds.
        timezone: whose day and month it is.
        used: returns the share of the budget of a month, from start to end, that is used.
    """
    midnight = datetime.fromtimestamp(now, units.zone(timezone)).replace(hour=0, minute=0, second=0)
    first = midnight.replace(day=1, microsecond=0)
    month = first.timestamp(), (first + timedelta(days=32)).replace(day=1).timestamp()
    for promise in promises:
        today, hour, recent = (
            _missed(profiler, promise, start, now)
            for start in (midnight.timestamp(), now - HOUR, now - RECENT)
        )
        if promise.p99_ms is not None:
            allowed = 1 - WITHIN
            yield Burn(
                promise, "p99", recent[0] / allowed, hour[0] / allowed, 1 - today[0], used(promise, month)
            )
        if promise.success is not None:
            allowed = 1 - promise.success
            yield Burn(promise, "success", recent[1] / allowed, hour[1] / allowed, 1 - today[1])


def _missed(
    profiler: PerformanceProfiler, promise: Objective, start: float, end: float
) -> tuple[float, float]:
    """Return the shares of live recalls that missed the promised p99, and that did not succeed."""
    kind = None if promise.scope == "all" else promise.scope
    where = Filter(start=start, end=end, query_type=kind, sources=LIVE_ALONE)
    seen = profiler.summary(**where)
    if not seen.count:
        return math.nan, math.nan
    slow = profiler.slower_than(promise.p99_ms, **where) if promise.p99_ms is not None else 0
    return (slow + seen.refused) / seen.count, (seen.errors + seen.refused) / seen.count


def month_used(store: Store, promise: Objective, month: tuple[float, float], now: float) -> float:
    """Return the share of the month's budget that is used: missed / (allowed · the month's recalls).

    The month's recalls are those so far, drawn out to its end; the missed ones come from the histograms of
    the roll-ups, interpolated in the bucket of the promise.

    Raises:
        StoreError: if the store cannot be read.
    """
    kind = None if promise.scope == "all" else promise.scope
    seen = store.rollups(month[0], now, layer="", query_type=kind, sources=LIVE_ALONE)
    total = seen.total()
    if not total.count or promise.p99_ms is None:
        return math.nan
    low, high = bucket_bounds(seen.buckets)
    beyond = np.clip((high - promise.p99_ms) / (high - low), 0.0, 1.0)
    missed = float((seen.weights * beyond).sum()) + total.refused
    length = (month[1] - month[0]) / max(now - month[0], 1.0)
    return missed / ((1 - WITHIN) * total.count * length)


def waiting(layers: Mapping[str, Sequence[LayerHealth]]) -> int:
    """Return the layer tasks that wait for a slot, in all managers that are alive."""
    return sum(layer.slots_waiting for of in layers.values() for layer in of)


def sick(layers: Mapping[str, Sequence[LayerHealth]]) -> list[SickLayer]:
    """Return the layers that managers leave out."""
    ill: dict[str, list[LayerHealth]] = {}
    for of in layers.values():
        for layer in of:
            if layer.state is not BreakerState.CLOSED:
                ill.setdefault(layer.layer, []).append(layer)
    return [
        SickLayer(name, len(each), min(layer.since for layer in each), each[0].reason)
        for name, each in ill.items()
    ]


def gone(workers: Sequence[WorkerStatus], now: float, alive_seconds: float) -> list[str]:
    """Return the managers that should be alive: lately seen, and no younger one is on their machine."""
    alive = [worker for worker in workers if now - worker.last_seen <= alive_seconds]
    return [
        worker.worker_id
        for worker in workers
        if alive_seconds < now - worker.last_seen <= _FORGOTTEN_SECONDS
        and not any(other.host == worker.host and other.started > worker.started for other in alive)
    ]


def change(
    profiler: PerformanceProfiler, versions: Sequence[ConfigVersion], head: int, now: float
) -> RecentChange | None:
    """Return the newest version of the last two hours, for all types, after which p99 rose.

    Args:
        profiler: the window.
        versions: newest first.
        head: the version in force for all types.
        now: Unix seconds.
    """
    known = {version.version: version for version in versions}
    for version in versions:
        if version.scope != "all" or not now - 2 * HOUR <= version.time < now:
            continue
        before = stretch(profiler, version.time - _AROUND, version.time)
        after = stretch(profiler, version.time, min(now, version.time + _AROUND))
        parent = known.get(version.parent)
        if min(before.recalls, after.recalls) < _LEAST or (parent is None and version.parent):
            continue
        if after.p99_ms >= RISES * before.p99_ms:
            was = parent.config if parent else ConfigSet().default.config
            rows = parameter_rows.changes(was, version.config)
            what = ", ".join(f"{row.label} {row.before} → {row.after}" for row in rows[:3]) or "another mode"
            is_head = version.version == head
            return RecentChange(version.version, version.parent, version.time, what, before, after, is_head)
    return None


def is_trial_taken_back(decision: Decision) -> bool:
    """Whether a decision took a trial back; that a layer is asked again is good news, not that."""
    return decision.action is Action.ROLLBACK and decision.policy != BREAKER


def lost(workers: Sequence[WorkerStatus], now: float, alive_seconds: float) -> float:
    """Return the share of the records of managers that are alive that were lost on the way."""
    alive = [worker for worker in workers if now - worker.last_seen <= alive_seconds]
    recalls = sum(worker.recalls for worker in alive)
    return sum(worker.dropped_metrics for worker in alive) / recalls if recalls else 0.0


def load_alone(profiler: PerformanceProfiler, now: float) -> bool:
    """Whether what came in the last five minutes is load."""
    return bool(profiler.summary(start=now - RECENT, end=now, sources=MEASURED).count)
