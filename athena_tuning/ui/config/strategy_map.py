"""Strategies on a map, on the Config page: why each goes where it goes."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from athena_tuning.load.run_handle import State
from athena_tuning.load.whatif_run import WhatIfRun
from athena_tuning.service import outcomes, text
from athena_tuning.service.strategy_map import StrategyMap, strategy_map
from athena_tuning.service.view import View
from athena_tuning.tuning.settings import SEARCH
from athena_tuning.ui.charts import strategy_charts
from athena_tuning.ui.frame import components
from athena_tuning.ui.frame.page_context import PageContext

FURTHEST = 24
"""The highest limit that is simulated, unless twice the one in force is higher."""


def draw(page: PageContext, _: View) -> None:
    """Draw the map and the curve beside it, once limits have been simulated; until then how far that is."""
    try:
        run = _sweep(page)
    except ValueError as busy:
        st.caption(f"Not simulated: {text.markdown(str(busy), 200)}.")
        return
    if run.state is State.RUNNING:
        with components.card("strategy-map", "Strategies on a map", stacked=True):
            st.progress(run.share, text="Simulating limits on the newest recalls…")
        return
    if run.answer is None:
        with components.card("strategy-map", "Strategies on a map", stacked=True):
            why = text.markdown(run.failure or "the simulation was stopped", 200)
            st.caption(f"Nothing to draw yet: {why}.")
        return
    history = page.service.history(50, "all")
    told = strategy_map(
        run.answer,
        page.proposal("all"),
        history,
        lambda before, after: page.service.ask(outcomes.observed_change, page.view, before, after),
    )
    left, right = st.columns([1.9, 1], gap="small")
    with (
        left,
        components.card(
            "strategy-map",
            "Strategies on a map",
            "What each strategy wants to be small, over the limit, against what is in force. "
            "Large dots: where the tuner would go. Diamonds: typical latency under a past version.",
        ),
    ):
        st.text(told.sentence)
        components.analysis_chart(strategy_charts.objectives(told), "strategy-map-chart")
        _past(told)
    with (
        right,
        components.card(
            "load-curve",
            "p99 against load it can take",
            "Each point is a limit. Right and low is better; the large red one is in force.",
        ),
    ):
        components.analysis_chart(strategy_charts.p99_against_load(told), "strategy-load-chart")


def _sweep(page: PageContext) -> WhatIfRun:
    """Return the simulation of limits, on what is looked at.

    Raises:
        ValueError: if too many simulations are waiting.
    """
    if page.explored is not None:
        return page.service.sweep(page.explored.source, "limit")
    config = page.service.configs().default.config
    most = max(FURTHEST, 2 * config.max_concurrent)
    limits = [n for n in SEARCH.limits if n <= most and n != config.max_concurrent]
    return page.service.forecast({str(n): replace(config, max_concurrent=n) for n in limits})


def _past(told: StrategyMap) -> None:
    untold = [f"v{each.version} ({each.limit} at once): {each.why_not}" for each in told.past if each.why_not]
    if untold:
        st.caption(f"Not drawn, for it cannot be compared: {text.markdown('; '.join(untold), 400)}.")
