"""The blocks of an experiment: what recalls typically took under each config, turn by turn."""

from __future__ import annotations

import math
from collections.abc import Sequence

from athena_tuning.model import ExperimentBlock
from athena_tuning.service import units
from athena_tuning.ui.charts.panel import Axis, Chart, Line, Panel, highest, listed
from athena_tuning.ui.charts.plotly_figure import figure
from athena_tuning.ui.theme import SLATE, TEAL


def blocks(known: Sequence[ExperimentBlock], planned: int) -> Chart:
    """Draw the typical latency of each block that has recalls.

    Args:
        known: the blocks that have begun.
        planned: blocks in all.
    """
    series, words = [], []
    for name, colour, is_tried in (("in force", SLATE, False), ("tried", TEAL, True)):
        own = [b for b in known if b.is_tried is is_tried and b.recalls and math.isfinite(b.typical_ms)]
        series.append(
            Line(
                [block.number + 1 for block in own],
                [block.typical_ms for block in own],
                name,
                colour,
                notes=[units.count(block.recalls) for block in own],
                hover=f"block %{{x}}, {name}: %{{y:.1f}} ms of %{{customdata}} recalls",
                width=0,
                dots=9,
                symbol="diamond" if is_tried else "circle",
            )
        )
        words += [f"block {block.number + 1}, {name}, {units.ms(block.typical_ms)}" for block in own]
    most = highest([y for line in series for y in line.y], 1.0)
    panel = Panel(
        series,
        Axis("block", span=(0, planned + 1), lines=False),
        Axis("typical latency", unit=" ms", span=(0, 1.15 * most)),
        f"Typical latency by block: {listed(words)}.",
    )
    return figure(panel, height=210)
