"""Who takes part: processes with a manager, and notes and scores by people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A process with a manager, as it last reported itself.

    Attributes:
        worker_id: unique id.
        host: machine name.
        pid: process id.
        started: Unix seconds.
        last_seen: Unix seconds of the last report.
        config_version: the version that it runs.
        recalls: recalls since its start.
        dropped_metrics: records that it could not deliver.
        rejected_metrics: records that its profiler refused as impossible.
    """

    worker_id: str
    host: str
    pid: int
    started: float
    last_seen: float
    config_version: int = 0
    recalls: int = 0
    dropped_metrics: int = 0
    rejected_metrics: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the status as plain JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Annotation:
    """A note at a moment, for charts."""

    time: float
    text: str
    author: str


@dataclass(frozen=True, slots=True)
class Feedback:
    """How good the answer of a recall was found to be: ``score`` is 0 to 1, ``time`` Unix seconds."""

    query_id: str
    score: float
    time: float
