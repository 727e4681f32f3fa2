"""Patterns: when is it slow, and when busy?"""

import streamlit as st

from athena_tuning.service import busy_hours, window_reads
from athena_tuning.service.chart_rows import LONG_DAYS
from athena_tuning.ui.charts import live_charts
from athena_tuning.ui.frame import components, page_context

MEASURES = {"p99": "ms", "p95": "ms", "p50": "ms", "volume": "recalls", "errors": "%"}

page = page_context.current()
view = page.view
if not page.ask(window_reads.summary).count:
    components.empty_view(page)
    st.stop()

grid = page.ask(busy_hours.hour_weekday)
worst, busiest = page.ask(busy_hours.worst_and_busiest)
with st.grid(2, min_column_width=330, gap="small"):
    with components.card("worst", "Worst hour"):
        st.text(worst)
    with components.card("busiest", "Busiest hour"):
        st.text(busiest)

with components.card(
    "heat",
    "Hour of day by weekday",
    "Choose a cell to see its slowest recalls.",
):
    with st.container(horizontal=True, vertical_alignment="center"):
        measure = st.segmented_control(
            "Measure",
            list(MEASURES),
            default="p99",
            required=True,
            key="measure",
            bind="query-params",
            label_visibility="collapsed",
        )
        if view.seconds < 2 * 86_400 and st.session_state.get("range") != "custom":
            st.button(
                "Look at 7 days",
                type="tertiary",
                icon=":material/date_range:",
                on_click=lambda: st.session_state.update(range="7d"),
                help="A pattern over the week needs more than the chosen period.",
            )
    values = busy_hours.measure_of(grid, measure)
    chart = live_charts.hour_weekday(
        values, unit=MEASURES[measure], name=measure, counts=grid.count, least=1 if measure == "volume" else 5
    )
    event = components.live_chart(chart, "pattern-heat", height=330, on_select="rerun")
    st.caption(f"{chart.alt} Times are {view.timezone}. Cells with fewer than five recalls stay empty.")

cell = components.chosen_cell(event, chart)
if cell is not None:
    hour, day = cell
    with components.card(
        "cell", f"Slowest recalls on {LONG_DAYS[day]}, {hour:02d}:00 to {(hour + 1) % 24:02d}:00"
    ):
        components.slow_recalls(page.ask(busy_hours.in_hour, day, hour, 25), view.timezone)
        st.caption("Each leads to where its time went.")
