"""Overview: is it healthy, and is it getting worse?"""

import math

import streamlit as st

from athena_tuning.service import parameter_rows, text, units, window_reads
from athena_tuning.service.view import View
from athena_tuning.ui.charts import live_charts
from athena_tuning.ui.charts.echarts_option import over_time
from athena_tuning.ui.config import predictions
from athena_tuning.ui.frame import components, page_context
from athena_tuning.ui.frame.chips import Chip, chips
from athena_tuning.ui.frame.navigation import page_file

IN_FORCE = ("max_concurrent", "timeout_seconds", "enable_parallel", "enable_cache", "layer_selection_enabled")

page = page_context.current()
service = page.service


def now(view: View) -> None:
    """Draw what people watch: the figures and how they move."""
    shown = service.ask(window_reads.summary, view)
    if not shown.count:
        components.empty_view(page)
        return
    state = service.ask(window_reads.health, view, page.slo_ms)
    chips([Chip(state.words, "", state.level.replace("quiet", ""))])
    with st.grid(6, min_column_width=165, gap="small"):
        for kpi in service.ask(window_reads.kpis, view):
            components.kpi(kpi)
    period = (max(view.start, shown.first_timestamp), view.end)
    bucket = window_reads.bucket_for(shown, view)
    series = service.ask(window_reads.over_time, view, bucket)
    with components.card(
        "latency", "Latency and recalls over time", "Dotted lines are config changes and notes."
    ):
        latency = live_charts.latency_over_time(
            series,
            timezone=view.timezone,
            marks=window_reads.marks(service.history(50), service.store.annotations(since=view.start), view),
            slo_ms=page.slo_ms,
            period=period,
        )
        recalls = live_charts.throughput_over_time(
            series, bucket_seconds=bucket, timezone=view.timezone, period=period
        )
        components.live_chart(over_time(latency, recalls), "over-time", height=400)


def why(view: View) -> None:
    """Draw what people read: what is advised, where time goes, what was slow."""
    if not service.ask(window_reads.summary, view).count:
        return
    left, middle, right = st.columns([1.7, 1, 1], gap="small")
    with left, components.card("advice", "What the tuner recommends"):
        recommendation()
    with middle, components.card("layers", "Layers by p99", "Each layer's own time, queue wait left out."):
        layers_by_p99(view)
    with right, components.card("inforce", "In force"):
        in_force()
    with components.card("slow", "Slowest recalls"):
        components.slow_recalls(service.ask(window_reads.slowest, view, 8), view.timezone)
        st.page_link(page_file("latency"), label="Where their time went", icon=":material/arrow_forward:")


def layers_by_p99(view: View) -> None:
    rows = [row for row in service.ask(window_reads.rows_by_layer, view) if math.isfinite(row.p99)]
    most = max((row.p99 for row in rows), default=1.0)
    components.static_table(
        ["Layer", components.Cell("p99", "bar"), components.Cell("Calls", "n")],
        [
            (row.name, components.Cell(units.ms(row.p99), share=row.p99 / most), units.count(row.n))
            for row in sorted(rows, key=lambda row: -row.p99)
        ],
    )


def recommendation() -> None:
    recalls, needed = service.enough()
    if recalls < needed:
        components.empty(f"{recalls} of {needed} recalls needed before anything is concluded.")
        return
    decision = service.preview()
    st.text(text.plain(parameter_rows.summary_of(decision), 300))
    rows = parameter_rows.decided(decision)
    changes = [row for row in rows if row.differs]
    if changes:
        components.static_table(
            ["Parameter", "Now", "Proposed", components.Cell("Why", "why")],
            [
                (row.label, components.Cell(row.before, "was"), components.Cell(row.after, "now"), row.why)
                for row in changes
            ],
        )
    else:
        components.static_table(
            ["Parameter", components.Cell("Stays", "n"), components.Cell("Why", "why")],
            [(row.label, row.before, row.why or units.UNKNOWN) for row in rows[:4]],
        )
        predictions.candidates(decision)
    st.caption(
        f"Rests on {units.count(decision.samples)} recalls · policy {text.markdown(decision.policy, 30)}"
    )
    label = "Look at it and apply" if changes else "All parameters and strategies"
    st.page_link(page_file("config"), label=label, icon=":material/arrow_forward:")


def in_force() -> None:
    version = service.configs().default
    config = version.config
    components.static_table(
        ["Parameter", components.Cell("Value", "n")],
        [(parameter_rows.label(n), parameter_rows.written(n, getattr(config, n))) for n in IN_FORCE],
    )
    st.caption(
        f"Version {version.version} by {text.markdown(version.author, 30)}, "
        f"{units.ago(service.now - version.time) if version.time else 'since the start'}: "
        f"{text.markdown(version.reason, 120)}"
    )


with st.container(key="overview"):  # on a phone the style sheet puts the advice first
    page.live(now)
    page.live(why, calmly=True)
