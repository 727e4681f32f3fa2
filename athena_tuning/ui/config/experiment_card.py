"""The newest experiment on the Config page: how it stands while it runs, and what was observed."""

from __future__ import annotations

import math

import streamlit as st

from athena_tuning.model import ExperimentMeasure, ExperimentReport, ExperimentVerdict
from athena_tuning.service import text, units
from athena_tuning.service.experiments import ExperimentStanding
from athena_tuning.tuning.experiments.wording import change_in_words, figure_in_words
from athena_tuning.tuning.simulation.what_if import Estimate
from athena_tuning.ui.charts import experiment_charts
from athena_tuning.ui.config import apply_dialog, verdict_card
from athena_tuning.ui.config.apply_dialog import PendingChange
from athena_tuning.ui.frame import components, notices
from athena_tuning.ui.frame.components import Cell
from athena_tuning.ui.frame.page_context import PageContext

SHOWN_HOURS = 24.0
EVERY_SECONDS = 2.0
_TONES = {
    ExperimentVerdict.BETTER: "good",
    ExperimentVerdict.WORSE: "bad",
    ExperimentVerdict.MIXED: "warn",
    ExperimentVerdict.OPEN: "",
}
_NAMES = {"refused": "refused, %", "complete": "answered by all layers, %"}


def card(page: PageContext) -> None:
    """Draw the newest experiment, if it runs or was of the last day; while it runs, it renews itself."""
    standing = page.service.experiment()
    if standing is None:
        return
    if not standing.is_running and page.service.now - standing.plan.ends > SHOWN_HOURS * 3600:
        return
    with components.card("experiment", "Experiment", stacked=True):
        every = EVERY_SECONDS if standing.is_running else None
        st.fragment(lambda: notices.guarded(_draw, page, standing), run_every=every)()


def _draw(page: PageContext, drawn: ExperimentStanding) -> None:
    now = page.service.now
    standing = page.service.experiment() or drawn
    if drawn.is_running and not standing.is_running:
        st.rerun()  # what stands beside it, the buttons among them, has changed too
    version, plan, report = standing.version, standing.plan, standing.report
    whom = "all query types" if plan.scope == "all" else f"type {text.plain(plan.scope, 30)}"
    did = "is tried" if standing.is_running else "was tried"
    who = f"by {text.markdown(version.author, 40)} for {whom}: {text.markdown(version.reason, 200)}"
    st.markdown(f"**v{version.version} {did} in turns with v{plan.base}** {who}")
    if standing.is_running:
        st.progress(standing.share_done(now))
    if report is not None and not standing.is_running:
        st.html(f'<div class="verdict"><span class="{_TONES[report.verdict]}">{report.verdict}</span></div>')
    st.text(text.plain(standing.sentence(now), 600))
    left, right = st.columns([1, 1], gap="small")
    with left:
        apply_dialog.differences_of(standing.base, version.config, f"In force (v{plan.base})", "Tried")
    if report is not None:
        with right:
            components.analysis_chart(
                experiment_charts.blocks(report.blocks, 2 * report.planned), "experiment-blocks"
            )
        _observed(report)
    _buttons(page, standing)


def _observed(report: ExperimentReport) -> None:
    """Draw the measures with their intervals, that of typical latency as a picture."""
    components.static_table(
        ["Observed", Cell("In force", "n"), Cell("Tried", "n"), Cell("Change", "n")],
        [
            (
                _NAMES.get(measure.name, f"{measure.name}, ms"),
                figure_in_words(measure.in_force, measure.unit),
                figure_in_words(measure.tried, measure.unit),
                change_in_words(measure) if measure.pairs else units.UNKNOWN,
            )
            for measure in report.measures
        ],
    )
    typical = report.of("typical latency")
    if math.isfinite(typical.low) and typical.low < typical.high:
        st.html(verdict_card.interval_line(_estimate(typical), "typical latency"))
    st.caption(
        f"{units.count(report.recalls[0])} and {units.count(report.recalls[1])} recalls in "
        f"{report.pairs} pairs of blocks. A change is the mean over pairs, within types of query. "
        "All intervals together hold at every look with 95 %."
    )
    for note in report.notes:
        st.caption(f"{text.markdown(note, 300)}.")


def _estimate(measure: ExperimentMeasure) -> Estimate:
    return Estimate(measure.change, measure.low, measure.high)


def _buttons(page: PageContext, standing: ExperimentStanding) -> None:
    version, scope = standing.version, standing.plan.scope
    with st.container(horizontal=True):
        if standing.is_running:
            st.button(
                "End now",
                icon=":material/stop:",
                disabled=not page.is_operator,
                on_click=lambda: notices.act(
                    lambda: page.service.end_experiment(page.actor),
                    f"Ended: what was in force before v{version.version} was tried is in force",
                ),
            )
            return
        configs = page.service.configs()
        at = configs.in_scope(scope)
        is_better = standing.report is not None and standing.report.verdict is ExperimentVerdict.BETTER
        in_force = (at or configs.default).config
        apply_dialog.button(
            page,
            "In force" if in_force == version.config else f"Apply v{version.version}…",
            PendingChange(
                f"Apply version {version.version}, which was tried",
                at.version if at else 0,
                version.config,
                scope,
                text.plain(standing.sentence(page.service.now), 300),
            ),
            icon=":material/check:",
            type="primary" if is_better and in_force != version.config else "secondary",
            disabled=in_force == version.config,
            key="apply-tried",
        )
