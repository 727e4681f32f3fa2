"""Latency: where does the time go?"""

import streamlit as st

from athena_tuning.profiling.questions.statistics import WindowSummary
from athena_tuning.service import units, window_reads
from athena_tuning.service.chart_rows import trusted
from athena_tuning.ui.charts import latency_charts
from athena_tuning.ui.frame import components, page_context, zoom
from athena_tuning.ui.recalls import behind_bars

page = page_context.current()
view = page.view
now = page.ask(window_reads.summary)

if not now.count:
    components.empty_view(page)
    st.stop()

current, count = page.ask(window_reads.percentile_curve)
previous, count_before = page.service.ask(window_reads.percentile_curve, view.before)
before = page.service.ask(window_reads.summary, view.before)


def latency_or_too_few(summary: WindowSummary, field: str, quantile: float) -> str:
    known = trusted(quantile, summary.count) or not summary.count
    return units.ms(getattr(summary, field)) if known else window_reads.TOO_FEW


left, right = st.columns([2.1, 1], gap="small")
with (
    left,
    components.card(
        "percentiles",
        "Latency by percentile",
        "The axis is stretched towards the tail. Where fewer than five recalls lie beyond, nothing is drawn.",
    ),
):
    components.analysis_chart(
        latency_charts.percentile_plot(current, previous, counts=(count, count_before), slo_ms=page.slo_ms),
        "lat-percentiles",
    )
with right, components.card("figures", "In figures", "The period before has the same length."):
    FIGURES = {
        "mean": ("mean_latency_ms", 0.0),
        "p50": ("p50_latency_ms", 0.5),
        "p90": ("p90_latency_ms", 0.9),
        "p95": ("p95_latency_ms", 0.95),
        "p99": ("p99_latency_ms", 0.99),
        "p99.9": ("p999_latency_ms", 0.999),
        "queue wait, mean": ("mean_queue_ms", 0.0),
        "queue wait, p99": ("p99_queue_ms", 0.99),
    }
    components.static_table(
        ["", components.Cell("Now", "n"), components.Cell("Before", "n was")],
        [
            (name, *(latency_or_too_few(summary, field, q) for summary in (now, before)))
            for name, (field, q) in FIGURES.items()
        ],
    )
    st.caption(f"{units.count(now.count)} recalls now, {units.count(before.count)} before")

left, right = st.columns(2, gap="small")
by_layer, by_type = page.ask(window_reads.rows_by_layer), page.ask(window_reads.rows_by_type)
with (
    left,
    components.card(
        "layers",
        "By layer",
        "A layer's own time, no wait for a slot. A click lists its recalls.",
    ),
):
    behind_bars.draw(
        page,
        latency_charts.by_name(by_layer, what="layer", beside=len(by_type)),
        "layer",
        [row.name for row in by_layer],
    )
with (
    right,
    components.card("types", "By query type", "Whole recalls, waits included. A click lists its recalls."),
):
    behind_bars.draw(
        page,
        latency_charts.by_name(by_type, what="query type", slo_ms=page.slo_ms, beside=len(by_layer)),
        "query_type",
        [row.name for row in by_type],
    )

with components.card("multiples", "Over time, side by side"):
    split = st.segmented_control(
        "Split by",
        ["layer", "query type"],
        default="layer",
        required=True,
        key="split",
        bind="query-params",
        label_visibility="collapsed",
    )
    series = page.ask(window_reads.series_by_layer if split == "layer" else window_reads.series_by_type)
    zoom.analysis_chart(latency_charts.small_multiples(series, timezone=view.timezone), "lat-multiples")

slow = page.ask(window_reads.slowest, 25)
left, right = st.columns([1.35, 1], gap="small")
with left, components.card("slow", "Slowest recalls", "Choose one to see where its time went."):
    chosen = components.records(
        slow, view.timezone, key="lat-slow", on_select="rerun", selection_mode="single-row-required"
    )
with right, components.card("waterfall", "Where its time went"):
    picked = [row for row in chosen.selection.rows if row < len(slow)] or [0]
    components.waterfall(slow[picked[0]], view.timezone)
