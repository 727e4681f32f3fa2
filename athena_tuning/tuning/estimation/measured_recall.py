"""One recall as estimation sees it: made of a record that says what it took."""

from __future__ import annotations

import math
from typing import NamedTuple

from athena_tuning.model import LayerTask, QueryMetrics
from athena_tuning.model.metrics import SECOND_CALL


class MeasuredRecall(NamedTuple):
    """One recall that was measured. Times are Unix seconds, ``latency_ms`` includes queue waits.

    ``tasks`` are first calls; a slow one that was made a second time has its second call in ``second``, and
    took until the first answer came.

    One that was refused has no tasks, an infinite latency, and ended as it began.
    """

    began: float
    ended: float
    query_type: str
    text: str
    hit: bool
    success: bool
    partial: bool
    latency_ms: float
    tasks: tuple[LayerTask, ...]
    second: tuple[LayerTask, ...] = ()

    @property
    def bad(self) -> bool:
        """Whether it failed, its answer was partial, or it was refused."""
        return self.partial or not self.success

    @property
    def refused(self) -> bool:
        """Whether it was turned away unserved."""
        return self.partial and not self.success


def measured(m: QueryMetrics) -> MeasuredRecall | None:
    """Return a recall that was refused, or says what it took and whether it succeeded; else None."""
    if m.refused and math.isfinite(m.timestamp):
        return MeasuredRecall(
            m.timestamp, m.timestamp, m.query_type, m.query_text, False, False, True, math.inf, ()
        )
    if m.latency_ms is None or m.success is None or not math.isfinite(m.timestamp + m.latency_ms):
        return None
    return MeasuredRecall(
        m.timestamp,
        m.timestamp + m.latency_ms / 1000,
        m.query_type,
        m.query_text,
        bool(m.cache_hit),
        m.success,
        m.partial,
        m.latency_ms,
        *calls(m.tasks),
    )


def calls(tasks: tuple[LayerTask, ...]) -> tuple[tuple[LayerTask, ...], tuple[LayerTask, ...]]:
    """Return the first calls and the second ones, of those whose times make sense."""
    timed = tasks if all(map(_timed, tasks)) else tuple(filter(_timed, tasks))
    second = tuple(task for task in timed if task.layer.endswith(SECOND_CALL))
    return (tuple(task for task in timed if task not in second), second) if second else (timed, ())


def _timed(task: LayerTask) -> bool:
    return task.service_ms >= 0 and math.isfinite(task.offset_ms + task.queue_ms + task.service_ms)
