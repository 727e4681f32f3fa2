"""How one recall is to be carried out: decided once, when it is asked."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from athena_tuning.model import TuningConfig
from athena_tuning.recall.cache import Stamp
from athena_tuning.recall.peak import PeakMemory
from athena_tuning.recall.registered_layer import RegisteredLayer
from athena_tuning.recall.request import RecallRequest


@dataclass(slots=True)
class RecallPlan:
    """A request, and what is decided about it.

    Attributes:
        request: what the caller wants.
        query_id: unique id of the recall.
        query_type: what the classifier made of the query.
        config: in force for this type.
        config_version: its number.
        layers: whom to ask.
        layer_names: their names, in the same order.
        parallel: whether they run at the same time.
        key: what two recalls must have in common to have one answer; None: a repeated one will not do, or
            nobody can say which other recall is equal.
        stamp: how often its layers had been written to.
        timestamp: Unix seconds of its start.
        peak: measures its memory; None: nobody wants to know.
    """

    request: RecallRequest
    query_id: str
    query_type: str
    config: TuningConfig
    config_version: int
    layers: tuple[RegisteredLayer, ...]
    layer_names: tuple[str, ...]
    parallel: bool
    key: Hashable | None
    stamp: Stamp
    timestamp: float
    peak: PeakMemory | None

    @property
    def deadline(self) -> float | None:
        """Monotonic seconds at which to go on with what there is."""
        seconds = self.config.deadline_seconds
        return None if seconds is None else self.request.started + seconds

    @property
    def patience(self) -> float:
        """Longest wait, in seconds, for the answer of an identical recall."""
        return self.config.deadline_seconds or self.config.timeout_seconds


def candidates(k: int) -> int:
    """Return how many items a layer is asked for, so that fusion can find what no layer ranks first.

    Half as many again. Deeper lists make the fused one worse: under 1 / (60 + r) two layers that rank
    something twentieth outvote the one that ranks it first.
    """
    return max(15, k + k // 2)
