"""Latency: where does the time go?"""

import streamlit as st

from athena_tuning.ui import figures, parts, reads, shell, units

here = shell.open_page("latency")
view = here.view
now = here.ask(reads.summary)

if not now.count:
    parts.nothing_yet(here)
    st.stop()

current, count = here.ask(reads.percentile_curve)
previous, count_before = here.service.ask(reads.percentile_curve, view.before)
before = here.service.ask(reads.summary, view.before)

left, right = st.columns([2.1, 1], gap="small")
with (
    left,
    parts.card(
        "percentiles",
        "Latency by percentile",
        "The axis is stretched towards the tail. Where fewer than five recalls lie beyond, nothing is drawn.",
    ),
):
    parts.analysis_chart(
        figures.percentile_plot(current, previous, counts=(count, count_before), slo_ms=here.slo_ms),
        "lat-percentiles",
    )
with right, parts.card("figures", "In figures", "The period before has the same length."):
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
    parts.sheet(
        ["", parts.Cell("Now", "n"), parts.Cell("Before", "n was")],
        [
            (
                name,
                *(
                    units.ms(getattr(s, field)) if figures.trusted(q, s.count) or not s.count else "too few"
                    for s in (now, before)
                ),
            )
            for name, (field, q) in FIGURES.items()
        ],
    )
    st.caption(f"{units.count(now.count)} recalls now, {units.count(before.count)} before")

left, right = st.columns(2, gap="small")
by_layer, by_type = here.ask(reads.rows_by_layer), here.ask(reads.rows_by_type)
with left, parts.card("layers", "By layer", "A layer's own service time; the wait for a slot is left out."):
    parts.analysis_chart(figures.by_name(by_layer, what="layer", beside=len(by_type)), "lat-layers")
with right, parts.card("types", "By query type", "Whole recalls, queue waits included."):
    parts.analysis_chart(
        figures.by_name(by_type, what="query type", slo_ms=here.slo_ms, beside=len(by_layer)), "lat-types"
    )

with parts.card("multiples", "Over time, side by side"):
    split = st.segmented_control(
        "Split by",
        ["layer", "query type"],
        default="layer",
        required=True,
        key="split",
        bind="query-params",
        label_visibility="collapsed",
    )
    series = here.ask(reads.series_by_layer if split == "layer" else reads.series_by_type)
    parts.analysis_chart(figures.small_multiples(series, timezone=view.timezone), "lat-multiples")

slow = here.ask(reads.slowest, 25)
left, right = st.columns([1.35, 1], gap="small")
with left, parts.card("slow", "Slowest recalls", "Choose one to see where its time went."):
    chosen = parts.records(
        slow, view.timezone, key="lat-slow", on_select="rerun", selection_mode="single-row-required"
    )
with right, parts.card("waterfall", "Where its time went"):
    picked = [row for row in chosen.selection.rows if row < len(slow)] or [0]
    parts.waterfall(slow[picked[0]], view.timezone)
