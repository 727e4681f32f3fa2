"""How a layer is: what its breaker lets through, since when, why and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Self


class BreakerState(StrEnum):
    """What becomes of calls of a layer: they are made, they are left out, or one at a time tries it out."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class LayerHealth:
    """One layer of one worker, as it is now. Counts are since the worker's start.

    Attributes:
        layer: its name.
        state: of its breaker.
        since: Unix seconds since which it is in this state.
        reason: why, in one sentence; "" if it has always been well.
        calls: that ended, or were given up.
        failures: of them, that failed; time-outs not counted.
        timeouts: of them, that took too long.
        left_out: recalls that went without it, because its breaker was not closed.
        lost_seconds: slot time of calls that failed or took too long.
        typical_ms: mean service time of calls that were well, newer ones weighing more; None without one.
        slots_held: slots that it holds now.
        slots_waiting: calls that wait for a slot now.
        last_error: the latest failure's text; "" without one.
        blocks_loop: where it kept an event loop from turning, and for how long; "" if it never did.
        stale_answers: answers given although they had expired, because it was down.
        index_bytes: of its index in the memory file; None where nobody knows.
        returned_bytes: of the items that it gave a recall, written as JSON: mean of the newest samples.
        peak_bytes: most Python memory that a call took with no other task in flight, of the newest samples.
        peaks: how many samples of the peak those are.
    """

    layer: str
    state: BreakerState
    since: float
    reason: str = ""
    calls: int = 0
    failures: int = 0
    timeouts: int = 0
    left_out: int = 0
    lost_seconds: float = 0.0
    typical_ms: float | None = None
    slots_held: int = 0
    slots_waiting: int = 0
    last_error: str = ""
    blocks_loop: str = ""
    stale_answers: int = 0
    index_bytes: int | None = None
    returned_bytes: float | None = None
    peak_bytes: int | None = None
    peaks: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON types."""
        return asdict(self) | {"state": self.state.value}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a record from what ``to_dict`` gave; what a newer program added is left out."""
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        return cls(**{**known, "state": BreakerState(values["state"])})
