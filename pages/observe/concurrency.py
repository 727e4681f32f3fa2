"""Concurrency: what do parallel layers give?"""

import streamlit as st

from athena_tuning.service import deadlines, units, window_reads
from athena_tuning.service.capacity import Curve
from athena_tuning.ui.charts import concurrency_charts, deadline_charts
from athena_tuning.ui.frame import components, page_context, zoom

SPEED_UP_HELP = (
    "Service time of all layers over the time in which at least one worked. A wait for a slot is in neither."
)

page = page_context.current()
view, service = page.view, page.service
if not page.ask(window_reads.summary).count:
    components.empty_view(page)
    st.stop()

report = page.ask(window_reads.concurrency_report)
limit = service.configs().default.config.max_concurrent


def chosen_limit() -> int | None:
    """Return the limit that the tuner would choose, where it is another one."""
    proposal = page.proposal()
    proposed = proposal.current.decision.after.max_concurrent if proposal else limit
    return proposed if proposed != limit else None


def law_words(law: Curve | None) -> str:
    """Return what the fitted law rests on, and what follows for the limit."""
    if law is None:
        return "No law yet: tasks have to meet different numbers in flight often enough (12 each)."
    gain = law.at(law.best) / law.at(limit) - 1
    words = f"Fitted on {units.count(law.recalls)} recalls at {law.levels} levels, up to {law.measured_to}."
    if not law.fits:
        return (
            f"{words} The law is far from what was measured, so nothing follows: unlike loads may be mixed."
        )
    if gain > 0.01:
        return f"{words} By the law, {law.best} would carry {units.percent(gain, 0)} more than {limit}."
    return f"{words} By the law, more than {law.best} in flight carries nothing more."


def gauges(_: object) -> None:
    manager = service.embedded.manager if service.embedded else None
    components.metrics(
        ("Speed-up", units.times(report.speed_up), SPEED_UP_HELP),
        ("Recalls with parallel layers", units.percent(report.parallel_share), None),
        ("Queue wait p50", units.ms(report.queue_p50_ms), None),
        ("Queue wait p99", units.ms(report.queue_p99_ms), None),
        ("In flight now", f"{manager.in_flight} of {limit}" if manager else f"limit {limit}", None),
        ("Waiting now", units.count(manager.waiting) if manager else units.UNKNOWN, None),
    )


page.live(gauges)
rows = window_reads.level_rows(report.levels)
curve = service.capacity(page.explored.source if page.explored else None)
left, right = st.columns(2, gap="small")
with (
    left,
    components.card(
        "capacity",
        "Throughput against tasks in flight",
        "With so many tasks always in flight. Dots: from the time that tasks really spent beside so many "
        "others; the line: the contention law that the tuner fits on it.",
    ),
):
    chosen = chosen_limit()
    components.analysis_chart(
        concurrency_charts.throughput(
            curve.measured if curve else (),
            curve.per_second if curve else (),
            measured_to=curve.measured_to if curve else 1,
            limit=limit,
            chosen=chosen,
        ),
        "conc-capacity",
    )
    st.caption(law_words(curve))
with (
    right,
    components.card(
        "levels",
        "Latency against tasks in flight",
        "Hollow dots rest on fewer than five recalls; grey bars are the recalls at a level.",
    ),
):
    components.analysis_chart(concurrency_charts.by_level(rows, limit), "conc-levels")

left, right = st.columns([1.5, 1], gap="small")
with (
    left,
    components.card(
        "queue", "Queue wait over time", "How long layer tasks waited for a slot under the shared limit."
    ),
):
    zoom.analysis_chart(
        concurrency_charts.queue_wait(page.ask(window_reads.queue_over_time), timezone=view.timezone),
        "conc-queue",
    )
with (
    right,
    components.card(
        "together", "Layers that run together", "Share of recalls; the diagonal is a layer's own share."
    ),
):
    layers, matrix = page.ask(window_reads.co_occurrence)
    components.analysis_chart(concurrency_charts.co_occurrence(layers, matrix), "conc-together")

deadline = service.configs().default.config.deadline_seconds
with components.card(
    "deadline",
    "What a deadline would do",
    "On the newest recalls: a recall goes on with the layers that have answered by then. The dashed line is "
    "the deadline in force.",
):
    components.analysis_chart(
        deadline_charts.deadline_trade(page.ask(deadlines.trade), deadline and deadline * 1000),
        "conc-deadline",
    )

with components.card("table", "By tasks in flight"):
    components.static_table(
        [
            "In flight",
            *components.heads("n", "Recalls", "p50", "p99", "Tasks /s"),
            components.Cell("By the law", "n wide"),
        ],
        [
            (
                r.level,
                units.count(r.n),
                units.ms(r.p50),
                units.ms(r.p99),
                units.rate(curve.measured_at(r.level) if curve else None),
                units.rate(curve.at(r.level) if curve else None),
            )
            for r in rows[:14]
        ],
    )
