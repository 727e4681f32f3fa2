"""What the recalls of a trace met in a simulation, as columns."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from athena_tuning.tuning.settings import TELEMETRY


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedRun:
    """What the recalls of a trace met, in the order of the trace.

    Attributes:
        latency_ms: whole recalls; NaN for those that were not over, infinite for those that were refused.
        ended: seconds from the trace's start.
        partial: whether a layer was given up.
        failed: whether every layer was, or the recall was refused.
        refused: whether it was refused.
        hits: whether the cache answered.
        held_ms: time for which the recall's tasks held slots, together.
        calls: layers that it asked.
        again: calls that were made a second time.
    """

    latency_ms: npt.NDArray[np.float64]
    ended: npt.NDArray[np.float64]
    partial: npt.NDArray[np.bool_]
    failed: npt.NDArray[np.bool_]
    refused: npt.NDArray[np.bool_]
    hits: npt.NDArray[np.bool_]
    held_ms: npt.NDArray[np.float64]
    calls: npt.NDArray[np.float64]
    again: npt.NDArray[np.intp]


def lead_in(pieces: Sequence[Sized], piece: Sized) -> int:
    """Return how many of a piece's first recalls do not count: of more than one piece, a fifth of each."""
    return int(TELEMETRY.lead_in * len(piece)) if len(pieces) > 1 else 0


def joined(pieces: Sequence[SimulatedRun]) -> SimulatedRun:
    """Return what the recalls of several pieces met; of more than one, without the first fifth of each.

    Each began with an empty queue, which it did not really have. Times of the end are each piece's own.
    """
    if len(pieces) == 1:
        return pieces[0]
    columns = [run.ended for run in pieces]
    counted = [slice(lead_in(columns, column), None) for column in columns]
    return SimulatedRun(
        *(
            np.concatenate([getattr(run, f.name)[part] for run, part in zip(pieces, counted, strict=True)])
            for f in fields(SimulatedRun)
        )
    )
