"""Each layer of a view in one row: how it is, since when, what it takes and how fast it answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from athena_tuning.model import BreakerState, LayerHealth
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.service import text, units, window_reads
from athena_tuning.service.facts import Situation
from athena_tuning.service.view import View


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer of all managers.

    Attributes:
        layer: its name.
        told: by manager, what it says of the layer now.
        calls: of the view.
        slot_share: its share of all slot time of the view; NaN without calls.
        p50_ms: service time, the wait for a slot left out.
        p99_ms: likewise.
    """

    layer: str
    told: Mapping[str, LayerHealth] = field(default_factory=dict)
    calls: int = 0
    slot_share: float = math.nan
    p50_ms: float = math.nan
    p99_ms: float = math.nan

    @property
    def left_out(self) -> Mapping[str, LayerHealth]:
        """The managers that leave it out, with why."""
        return {name: of for name, of in self.told.items() if of.state is not BreakerState.CLOSED}

    @property
    def since(self) -> float:
        """Unix seconds since which it is as it is; NaN if no manager has told."""
        now = self.left_out or self.told
        return min((of.since for of in now.values()), default=math.nan)

    @property
    def waiting(self) -> int:
        """Calls that wait for a slot now."""
        return sum(of.slots_waiting for of in self.told.values())


def layer_rows(
    profiler: PerformanceProfiler, view: View, health: Mapping[str, Sequence[LayerHealth]]
) -> list[LayerRow]:
    """Return the layers of a view and of all managers that are alive: those that are left out first.

    Args:
        profiler: the window.
        view: what is looked at; with a layer, that one alone.
        health: by manager, what it says of its layers.
    """
    told: dict[str, dict[str, LayerHealth]] = {}
    for worker, layers in health.items():
        for of in layers:
            told.setdefault(of.layer, {})[worker] = of
    figures = {row.name: row for row in window_reads.rows_by_layer(profiler, view)}
    shares = window_reads.slot_shares(profiler, view)
    names = {*figures, *told} if view.layer is None else {view.layer}
    rows = []
    for name in sorted(names):
        seen = figures.get(name)
        timed = (seen.n, shares.get(name, math.nan), seen.p50, seen.p99) if seen else ()
        rows.append(LayerRow(name, told.get(name, {}), *timed))
    return sorted(rows, key=lambda row: (not row.left_out, -_known(row.slot_share)))


def say_of_layers(rows: Sequence[LayerRow], timezone: str) -> Situation:
    """Return what there is to say first of the layers.

    Examples:
        >>> say_of_layers([], "UTC").sentence
        'No layer has been asked in this period, and no manager that is alive has reported its layers.'
    """
    if not rows:
        return Situation(
            "quiet",
            "No layer has been asked in this period, and no manager that is alive has reported its layers.",
        )
    ill = [row for row in rows if row.left_out]
    if not ill:
        told = sum(bool(row.told) for row in rows)
        if not told:
            return Situation(
                "quiet", f"{_layers(len(rows))} answered; no manager that is alive tells of one."
            )
        return Situation("good", "The layer answers." if told == 1 else f"All {told} layers answer.")
    first = ill[0]
    since = units.moment(first.since, timezone, date=False)[:5]
    managers = next(iter(first.left_out.values()))
    words = f"{text.plain(first.layer, 30)} is left out since {since}"
    if len(first.told) > 1:
        words += f" by {len(first.left_out)} of {len(first.told)} managers"
    reasons = [f"{text.plain(managers.reason, 200).rstrip('.')}."] if managers.reason else []
    if len(ill) > 1:
        names = ", ".join(text.plain(row.layer, 30) for row in ill[1:4])
        reasons.append(f"Left out as well: {names}.")
    return Situation("warn", f"{words}.", tuple(reasons))


def _layers(count: int) -> str:
    return f"{count} layer{'s' if count != 1 else ''}"


def _known(value: float) -> float:
    return value if math.isfinite(value) else -1.0
