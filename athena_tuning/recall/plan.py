"""How one recall is to be carried out: decided once, when it is asked."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from athena_tuning.model import Source, TuningConfig
from athena_tuning.recall.attempt import Attempt
from athena_tuning.recall.cache import Stamp
from athena_tuning.recall.fusion import DEPTH, FusionRule
from athena_tuning.recall.layer_memory import LayerMemoryMonitor
from athena_tuning.recall.peak import PeakMemory
from athena_tuning.recall.request import RecallRequest
from athena_tuning.recall.routing.route import LaterRound, Route


@dataclass(slots=True)
class RecallPlan:
    """A request, and what is decided about it.

    Attributes:
        request: what the caller wants.
        query_id: unique id of the recall.
        query_type: what the classifier made of the query.
        config: in force for this type.
        config_version: its number.
        route: the way through the layers.
        layer_names: those that are asked; each round that is called for adds its own.
        parallel: whether they run at the same time.
        key: what two recalls must have in common to have one answer; None: a repeated one will not do, or
            nobody can say which other recall is equal.
        stamp: how often its layers had been written to.
        timestamp: Unix seconds of its start.
        peak: measures its memory; None: nobody wants to know.
        layer_memory: measures that of its layers; likewise.
        source: where it comes from, as its record says.
        attempt: has it recorded; None: it is recorded when it ends.
        later: the rounds that may still be called for.
        round_began: monotonic seconds at which the present round began.
        widest: layer tasks of its largest round.
        deadline: monotonic seconds at which to go on with what there is; None: no deadline.
    """

    request: RecallRequest
    query_id: str
    query_type: str
    config: TuningConfig
    config_version: int
    route: Route
    layer_names: tuple[str, ...]
    parallel: bool
    key: Hashable | None
    stamp: Stamp
    timestamp: float
    peak: PeakMemory | None
    layer_memory: LayerMemoryMonitor | None = None
    source: str = Source.LIVE.value
    attempt: Attempt | None = None
    later: tuple[LaterRound, ...] = ()
    round_began: float = 0.0
    widest: int = 0
    deadline: float | None = field(init=False)

    def __post_init__(self) -> None:
        self.later = self.route.later
        seconds = self.config.deadline_seconds
        self.deadline = None if seconds is None else self.request.started + seconds

    @property
    def fusion(self) -> FusionRule:
        """What ranks count in its answer."""
        return FusionRule(self.config.fusion_weights, self.config.rank_constant)

    @property
    def patience(self) -> float:
        """Longest wait, in seconds, for the answer of an identical recall."""
        return self.config.deadline_seconds or self.config.timeout_seconds


def candidates(k: int) -> int:
    """Return how many items a layer is asked for, so that fusion can find what no layer ranks first."""
    return max(DEPTH, k + k // 2)
