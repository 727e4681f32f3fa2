"""Cache: what does the result cache save?"""

import streamlit as st

from athena_tuning.service import units, window_reads
from athena_tuning.ui.charts import cache_charts, live_charts
from athena_tuning.ui.charts.echarts_option import over_time
from athena_tuning.ui.frame import components, page_context, zoom

page = page_context.current()
if not page.ask(window_reads.summary).count:
    components.empty_view(page)
    st.stop()


def losses(each_ms: float) -> None:
    """Draw what expiry and writes cost: recalls that a longer-lived answer would have answered."""
    lost = None if page.explored else page.service.cache_losses()
    reasons = (
        ("expired", lost and lost.expired, each_ms),
        ("a layer was written to", lost and lost.written, each_ms),
        ("pushed out by newer ones", lost and lost.displaced, None),
    )
    components.static_table(
        ["Gone because", *components.heads("n", "Answers", "Cost")],
        [
            (reason, units.count(n), units.ms(None if n is None or cost is None else n * cost if n else 0.0))
            for reason, n, cost in reasons
        ],
    )
    if page.explored:
        st.caption("Unknown: a manager counts it while it runs, and nobody runs this one.")
    elif lost is None:
        st.caption("Unknown here: the managers count in their own processes.")
    elif lost.displaced:
        st.caption("Whether anybody would have asked for what was pushed out is unknown.")


report = page.ask(window_reads.cache_report)
whole = report.overall
if not page.service.configs().default.config.enable_cache:
    st.info("The cache is off in the config in force; hits below are from before.", icon=":material/bolt:")
components.metrics(
    ("Hit rate", units.percent(whole.hit_rate), None),
    ("Answered from the cache", units.count(whole.hits), None),
    (
        "Time saved",
        units.seconds(whole.time_saved_s),
        "What the hits would have taken longer as misses of their type.",
    ),
    ("Median hit", units.ms(whole.hit_p50_ms), None),
    ("Median miss", units.ms(whole.miss_p50_ms), None),
)

types = window_reads.hit_rows(report.by_type)
left, right = st.columns(2, gap="small")
with left, components.card("bytype", "Hit rate by query type"):
    components.analysis_chart(cache_charts.hit_rates(types, what="query type"), "cache-types")
with (
    right,
    components.card(
        "bylayer",
        "Calls by layer",
        "A cached answer asks no layer. What it saved is an estimate: its type's usual layers.",
    ),
):
    components.analysis_chart(
        cache_charts.calls_saved(page.ask(window_reads.calls_saved), beside=len(types)), "cache-layers"
    )

left, right = st.columns(2, gap="small")
with left, components.card("latency", "Hits against misses", "Median, whisker to p95, on a log scale."):
    components.analysis_chart(cache_charts.hits_and_misses(types), "cache-latency")
with right, components.card("over", "Hit rate over time"):
    bucket = window_reads.bucket_for(page.ask(window_reads.summary), page.view, 48)
    series = page.ask(window_reads.over_time, bucket)
    rates = [
        (float(t), h / n * 100)
        for t, h, n in zip(series.time, series.cache_hits, series.count, strict=True)
        if n
    ]
    panel = live_charts.lines_over_time({"hit rate": rates}, timezone=page.view.timezone, unit="%")
    chosen = zoom.live_chart(
        over_time(panel),
        zoom.key_of("cache-over"),
        bucket_seconds=bucket,
        times=[time for time, _ in rates],
        height=300,
    )
    if chosen.bucket is not None:
        start, end = chosen.bucket
        recalls = page.service.ask(window_reads.slowest, page.view.only(start=start, end=end), 6)
        components.slow_recalls(recalls, page.view.timezone)

left, right = st.columns([2.1, 1], gap="small")
with left, components.card("table", "All figures"):
    components.static_table(
        [
            "Query type",
            *components.heads("n", "n", "Hits", "Hit rate"),
            *components.heads("n wide", "Hit p50", "Hit p95", "Miss p50", "Miss p95"),
            components.Cell("Saved", "n"),
        ],
        [
            (name, units.count(r.n), units.count(r.hits), units.percent(r.hit_rate), units.ms(r.hit_p50_ms),
             units.ms(r.hit_p95_ms), units.ms(r.miss_p50_ms), units.ms(r.miss_p95_ms),
             units.seconds(r.time_saved_s))
            for name, r in sorted(report.by_type.items(), key=lambda item: -item[1].time_saved_s)
        ],
    )  # fmt: skip
with (
    right,
    components.card(
        "losses",
        "What ended answers cost",
        "Recalls that asked again for an answer that had ended, since this manager started. The cost is "
        "their number times what a median miss takes longer than a median hit in this view.",
    ),
):
    losses(whole.miss_p50_ms - whole.hit_p50_ms)
