"""A Plotly chart as the running theme wants it."""

from __future__ import annotations

import streamlit as st

from athena_tuning.ui.charts.panel import Chart
from athena_tuning.ui.charts.plotly_figure import Drawing
from athena_tuning.ui.theme import CLEAR


def drawing(chart: Chart) -> Drawing:
    """Return a chart that is saved with the page's background behind it."""
    theme = st.context.theme.type or "light"
    return Drawing(chart, st.get_option(f"theme.{theme}.backgroundColor") or CLEAR)
