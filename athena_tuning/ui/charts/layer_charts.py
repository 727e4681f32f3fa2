"""What layers add: how much of the answers is lost without each, and by type."""

from __future__ import annotations

import math
from collections.abc import Sequence

from athena_tuning.service import text, units
from athena_tuning.service.layer_quality import LayerCost
from athena_tuning.ui.charts.panel import NAMES, Axis, Cells, Chart, Line, Panel, Rule, listed
from athena_tuning.ui.charts.plotly_figure import figure, row_height
from athena_tuning.ui.theme import CRIMSON


def left_out(costs: Sequence[LayerCost]) -> Chart:
    """Draw how much of the answers is lost without each layer, with its 95 % interval; hollow if not sure."""
    known = [cost for cost in costs if cost.part_lost.is_known]
    losses = [cost.part_lost for cost in known]
    dots = Line(
        [loss.mean for loss in losses],
        [text.plotly(cost.layer, 24) for cost in known],
        colour=CRIMSON,
        notes=[_words(cost) for cost in known],
        hover="%{y}: %{customdata}",
        width=0,
        dots=11,
        hollow=[not loss.low > 0 for loss in losses],
        x_ends=[(loss.low, loss.high) for loss in losses],
    )
    words = f"Part of the answers lost without each layer: {listed(map(_named, known))}."
    x = Axis("part of the answers that is lost without it", percent=True)
    panel = Panel([dots], x, NAMES, words, rules=[Rule(0.0, dash="dot")])
    return figure(panel, height=row_height(len(known)))


def added_by_type(costs: Sequence[LayerCost]) -> Chart:
    """Draw what each layer adds to the answers of each type of recall; what is unknown stays empty."""
    types = sorted({cost.query_type for cost in costs})
    layers = sorted({cost.layer for cost in costs})
    parts = {(cost.layer, cost.query_type): cost.part_lost.mean * 100 for cost in costs}
    values = [[parts.get((layer, kind), math.nan) for kind in types] for layer in layers]
    cells = Cells(
        [text.plotly(kind, 16) for kind in types],
        [text.plotly(layer, 24) for layer in layers],
        values,
        unit="%",
        hover="%{y} adds %{z:.1f} % to %{x} answers",
    )
    words = f"What each layer adds by type: {listed(map(_named, costs))}."
    return figure(
        Panel([cells], Axis(kind="category", lines=False), NAMES, words), height=row_height(len(layers))
    )


def _words(cost: LayerCost) -> str:
    loss = cost.part_lost
    return f"{units.percent(loss.mean)} ({units.percent(loss.low)} to {units.percent(loss.high)})"


def _named(cost: LayerCost) -> str:
    kind = "" if cost.query_type == "all" else f", {text.plain(cost.query_type, 16)}"
    return f"{text.plain(cost.layer, 24)}{kind} {_words(cost)}"
