"""Overview: is all well, why not, and what is to be done?"""

import streamlit as st

from athena_tuning.service import headline_figures, timeline, units, window_reads
from athena_tuning.service.chart_rows import Mark
from athena_tuning.service.view import View
from athena_tuning.ui.charts import live_charts
from athena_tuning.ui.charts.echarts_option import over_time
from athena_tuning.ui.config import apply_dialog, verdict_card
from athena_tuning.ui.frame import components, page_context, zoom
from athena_tuning.ui.frame.chips import Chip, chips
from athena_tuning.ui.frame.navigation import page_file
from athena_tuning.ui.overview import (
    happening_card,
    headline,
    promise_dialog,
    situation_card,
    tables,
    tour,
    welcome,
)

page = page_context.current()
service = page.service


def head(view: View) -> None:
    """Draw whether all is well, and the figures; or what fills an empty view."""
    shown = service.ask(window_reads.summary, view)
    if page.explored is None:
        situation_card.draw(page, service.situation(view.timezone))
    elif shown.count:
        state = service.ask(window_reads.health, view, page.slo_ms)
        chips([Chip(state.words, "", state.level.replace("quiet", ""))])
    if shown.count:
        headline.draw(service.ask(headline_figures.headline_figures, view, page.slo_ms, headline.slots(page)))
    else:
        components.empty_view(page)


def over_time_chart(view: View) -> None:
    """Draw how the figures move, and the recalls of a bucket that was chosen."""
    shown = service.ask(window_reads.summary, view)
    if not shown.count:
        return
    seconds = service.ask(headline_figures.now_seconds, view)
    period = (max(view.start, shown.first_timestamp), view.end)
    bucket = window_reads.bucket_for(shown, view)
    series = service.ask(window_reads.over_time, view, bucket)
    missed = timeline.promise_missed(series, bucket, page.slo_ms)
    happened = sorted([*service.happenings(view.only(start=period[0])), *missed])[-timeline.MOST :]
    with components.card(
        "latency",
        "Latency and recalls over time",
        f"Large above: the last {units.seconds(seconds)}. A click on a bar lists its recalls, one on a mark "
        "below tells what was before and after it; the sign above lets you drag a range, for all pages.",
    ):
        latency = live_charts.latency_over_time(
            series,
            timezone=view.timezone,
            marks=[Mark(each.start, "") for each in happened if each.lane is timeline.Lane.CONFIG],
            slo_ms=page.slo_ms,
            period=period,
        )
        recalls = live_charts.throughput_over_time(
            series, bucket_seconds=bucket, timezone=view.timezone, period=period
        )
        chosen = zoom.live_chart(
            over_time(latency, recalls, live_charts.lane(happened, timezone=view.timezone, period=period)),
            zoom.key_of("over-time"),
            bucket_seconds=bucket,
            times=series.time.tolist(),
            height=480,
        )
        if chosen.bucket is not None:
            bucket_of_recalls(view.only(start=chosen.bucket[0], end=chosen.bucket[1]))
        elif chosen.happening is not None and chosen.happening < len(happened):
            happening_card.draw(page, view, happened[chosen.happening], service.happenings(view))


def bucket_of_recalls(view: View) -> None:
    """Draw the slowest recalls of the bucket that was chosen; each leads to where its time went."""
    start, end = (units.moment(at, view.timezone, date=False) for at in (view.start, view.end))
    count = service.ask(window_reads.summary, view).count
    st.caption(f"The slowest of {units.count(count)} recalls from {start} to {end}; double-click to let go.")
    components.slow_recalls(service.ask(window_reads.slowest, view, 6), view.timezone)


def verdict(view: View) -> None:
    """Draw what the tuner says."""
    if not service.ask(window_reads.summary, view).count:
        return
    with components.card("advice", "What the tuner says"):
        proposal = page.proposal()
        if proposal is None:
            components.empty(verdict_card.NOBODY)
            return
        said = verdict_card.draw(page, proposal)
        st.caption(tables.rests_on(page, proposal))
        st.space("stretch")
        label = "Why, and apply it" if said.change else "Why, and all parameters"
        st.page_link(page_file("config"), label=label, icon=":material/arrow_forward:")


def why(view: View) -> None:
    """Draw what people read: how the layers and the managers are, and what was slow."""
    if not service.ask(window_reads.summary, view).count:
        return
    with components.card("layers", "Layers", "p99 is a layer's own time, queue wait left out."):
        tables.layers(page, view)
    left, right = st.columns([1, 1.25], gap="small")
    with left, components.card("fleet", "Managers", "Of the last ten minutes."):
        tables.fleet(page)
    with right, components.card("slow", "Slowest recalls"):
        components.slow_recalls(service.ask(window_reads.slowest, view, 6), view.timezone)


welcome.draw(page)
tour.draw(page)
with st.container(key="overview"):  # on a phone the style sheet puts the verdict before the chart
    page.live(head)
    left, right = st.columns([2.5, 1], gap="small")
    with left:
        page.live(over_time_chart)
    with right:
        page.live(verdict, calmly=True)
    page.live(why, calmly=True)
promise_dialog.dialog(page)
apply_dialog.dialog(page)
