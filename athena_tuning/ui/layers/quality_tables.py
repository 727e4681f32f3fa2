"""What each layer is worth: what leaving it out costs and saves, and how good answers were."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from athena_tuning.service import text, units
from athena_tuning.service.estimate import Estimate
from athena_tuning.service.layer_quality import LayerCost
from athena_tuning.service.view import View
from athena_tuning.ui.charts import layer_charts
from athena_tuning.ui.frame import components
from athena_tuning.ui.frame.components import Cell, heads
from athena_tuning.ui.frame.page_context import PageContext


def worth(costs: Sequence[LayerCost]) -> None:
    """Draw for each layer what leaving it out would cost beside what it would save."""
    of_all = sorted((cost for cost in costs if cost.query_type == "all"), key=lambda cost: -cost.slot_ms.mean)
    if not of_all:
        components.empty("No recall of this period asked a layer.")
        return
    if any(cost.part_lost.is_known or cost.score_lost.is_known for cost in of_all):
        components.analysis_chart(layer_charts.left_out(of_all), "layers-left-out")
    components.static_table(
        [
            "Without",
            *heads("n", "Answer lost"),
            *heads("n wide", "Score lost", "Scores", "Calls saved"),
            *heads("n", "Ends earlier"),
            *heads("n wide", "Slot time saved"),
            Cell("So it is", "why"),
        ],
        [
            (
                Cell(cost.layer, "name"),
                _with_interval(cost.part_lost, units.percent),
                _with_interval(cost.score_lost, lambda lost: f"{lost:.3f}"),
                f"{units.count(cost.scores[0])} with, {units.count(cost.scores[1])} without",
                units.percent(cost.calls.mean),
                _with_interval(cost.latency_ms, units.ms),
                units.ms(cost.slot_ms.mean),
                verdict(cost),
            )
            for cost in of_all
        ],
        limit=80,
    )
    st.caption(
        f"On {units.count(of_all[0].recalls)} recalls that asked layers. Answer lost: the part of the best "
        "results that is there because of this layer alone. Scores are feedback; a layer that is asked where "
        "it is needed looks better or worse than it is."
    )


def verdict(cost: LayerCost) -> str:
    """Return what the intervals say of a layer: needed, without use, or not sure.

    Examples:
        >>> from dataclasses import replace
        >>> no = Estimate.unknown()
        >>> cost = LayerCost("all", "graph", 9, no, no, no, no, (0, 0), no)
        >>> verdict(cost), verdict(replace(cost, part_lost=Estimate(0.2, 0.1, 0.3)))
        ('not known yet', 'needed')
        >>> verdict(replace(cost, part_lost=Estimate(0.01, -0.01, 0.03)))
        'not sure'
    """
    known = [estimate for estimate in (cost.part_lost, cost.score_lost) if estimate.is_known]
    if not known:
        return "not known yet"
    if any(estimate.low > 0 for estimate in known):
        return "needed"
    return "better left out" if any(estimate.high < 0 for estimate in known) else "not sure"


def by_type(costs: Sequence[LayerCost]) -> None:
    """Draw what each layer adds to the answers of each type, if it is known."""
    known = [cost for cost in costs if cost.query_type != "all" and cost.part_lost.is_known]
    if not known:
        components.empty(
            "Not known yet: the manager of this process counts it while recalls ask several layers."
        )
        return
    components.analysis_chart(layer_charts.added_by_type(known), "layers-by-type")


def feedback(page: PageContext, view: View) -> None:
    """Draw how good the answers were that somebody scored, by what was asked for them."""
    ways = page.service.scored_ways(view, "plan")
    if not ways:
        components.empty("Nobody has scored an answer of this period.")
        st.caption("`athena-tuning quality --gold FILE` measures recall@k where the right answers are known.")
        return
    components.static_table(
        ["Layers are chosen", *heads("n", "Scores", "Score"), *heads("n wide", "Layers a recall", "p99")],
        [
            (
                text.plain(way.way, 80),
                units.count(way.scores),
                _with_interval(way.score, lambda score: f"{score:.2f}"),
                f"{way.calls.mean:.1f}",
                units.ms(way.p99_ms),
            )
            for way in ways[:8]
        ],
    )
    st.caption(
        "Score: 0 useless, 1 just right. `athena-tuning quality --gold FILE` measures recall@k by set of "
        "layers, where the right answers are known."
    )


def _with_interval(estimate: Estimate, said: Callable[[float], str]) -> str:
    if not estimate.is_known:
        return units.UNKNOWN
    return f"{said(estimate.mean)} ({said(estimate.low)} to {said(estimate.high)})"
