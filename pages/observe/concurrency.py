"""Concurrency: what do parallel layers give?"""

import streamlit as st

from athena_tuning.ui import figures, parts, reads, shell, units

here = shell.open_page("concurrency")
view, service = here.view, here.service
if not here.ask(reads.summary).count:
    parts.nothing_yet(here)
    st.stop()

report = here.ask(reads.concurrency_report)
limit = service.configs().default.config.max_concurrent


def gauges(_: object) -> None:
    manager = service.embedded.manager if service.embedded else None
    with st.grid(6, min_column_width=165, gap="small"):
        st.metric(
            "Speed-up",
            units.times(report.speed_up),
            height="stretch",
            help="Service time of all layers over the time in which at least one worked. "
            "A wait for a slot is in neither.",
        )
        st.metric("Recalls with parallel layers", units.percent(report.parallel_share), height="stretch")
        st.metric("Queue wait p50", units.ms(report.queue_p50_ms), height="stretch")
        st.metric("Queue wait p99", units.ms(report.queue_p99_ms), height="stretch")
        st.metric(
            "In flight now",
            f"{manager.in_flight} of {limit}" if manager else f"limit {limit}",
            height="stretch",
        )
        st.metric("Waiting now", units.count(manager.waiting) if manager else units.UNKNOWN, height="stretch")


here.live(gauges)
left, right = st.columns([1.5, 1], gap="small")
with (
    left,
    parts.card(
        "levels",
        "Latency against tasks in flight",
        "Hollow dots rest on fewer than five recalls; grey bars are the recalls at a level.",
    ),
):
    rows = reads.level_rows(report.levels)
    parts.analysis_chart(figures.by_level(rows, limit), "conc-levels")
with (
    right,
    parts.card(
        "together", "Layers that run together", "Share of recalls; the diagonal is a layer's own share."
    ),
):
    layers, matrix = here.ask(reads.co_occurrence)
    parts.analysis_chart(figures.co_occurrence(layers, matrix), "conc-together")

left, right = st.columns([1.5, 1], gap="small")
with (
    left,
    parts.card(
        "queue", "Queue wait over time", "How long layer tasks waited for a slot under the shared limit."
    ),
):
    parts.analysis_chart(
        figures.queue_wait(here.ask(reads.queue_over_time), timezone=view.timezone), "conc-queue"
    )
with right, parts.card("table", "By tasks in flight"):
    parts.sheet(
        [
            "In flight",
            parts.Cell("Recalls", "n"),
            parts.Cell("p50", "n"),
            parts.Cell("p99", "n"),
            parts.Cell("Tasks /s", "n"),
        ],
        [
            (r.level, units.count(r.n), units.ms(r.p50), units.ms(r.p99), units.rate(r.throughput))
            for r in rows[:14]
        ],
    )
