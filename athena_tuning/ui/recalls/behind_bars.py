"""From a name on a chart to the recalls behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from athena_tuning.service import text, window_reads
from athena_tuning.ui.charts.latency_charts import LABEL
from athena_tuning.ui.charts.panel import Chart
from athena_tuning.ui.frame import components
from athena_tuning.ui.frame.page_context import PageContext

LISTED = 6


def draw(page: PageContext, chart: Chart, kind: Literal["query_type", "layer"], names: Sequence[str]) -> None:
    """Draw a chart with a place for each name; a click on one lists its slowest recalls beneath.

    Args:
        page: where it stands.
        chart: names down its side, each at most ``LABEL`` characters of it.
        kind: what the names are.
        names: whole.
    """
    event = components.analysis_chart(chart, f"bars-{kind}", on_select="rerun", selection_mode="points")
    labels = {text.plotly(name, LABEL): name for name in names}
    chosen = [labels[point["y"]] for point in event.selection.points if point["y"] in labels]
    if chosen:
        view = page.view.only(**{kind: chosen[0]})
        components.slow_recalls(page.service.ask(window_reads.slowest, view, LISTED), view.timezone)
