"""What-if on the Simulate page: a sweep over recorded recalls, without load, and the way to apply it."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from athena_tuning.load.run_handle import State
from athena_tuning.load.whatif_run import WhatIfRun
from athena_tuning.model import QUERY_TYPES
from athena_tuning.service import text
from athena_tuning.service.chart_rows import change_words
from athena_tuning.service.forecast_reads import NOW
from athena_tuning.tuning.simulation.what_if import Outcome, WhatIf
from athena_tuning.ui.charts import what_if_charts
from athena_tuning.ui.charts.panel import Chart
from athena_tuning.ui.config import apply_dialog, predictions
from athena_tuning.ui.config.apply_dialog import PendingChange
from athena_tuning.ui.frame import components, exploring, notices
from athena_tuning.ui.frame.page_context import PageContext

OVER = {
    "limit": "layer tasks in flight, over all recalls",
    "timeout": "longest service time of a layer task",
    "strategy": "what the rules would set under each strategy on these recalls",
    "switches": "layers at once or in turn, cache on or off",
    "plans": "each layer at once, in a second round where the others agree on little, or left out",
}
_SWEEP = "what-if sweep"


class Sweep(NamedTuple):
    """A sweep that this session started."""

    source: str
    over: str
    scope: str
    speed: float
    head: int
    run: WhatIfRun


def form(page: PageContext) -> None:
    """Draw what to sweep, over which recalls."""
    titles = {NOW: "the newest recalls", **{s.name: s.title for s in page.service.samples()}}
    if page.explored is not None:
        titles = {page.explored.source: exploring.name_of(page.explored), **titles}
    over = st.pills("Vary", list(OVER), default="limit", required=True, key="what-over", bind="query-params")
    st.caption(OVER[over or "limit"])
    with st.form("what-if", border=False):
        st.selectbox("Recalls", list(titles), format_func=titles.__getitem__, key="what-source")
        with st.grid(2, min_column_width=120, gap="small"):
            st.selectbox(
                "For",
                ["all", *QUERY_TYPES],
                key="what-scope",
                format_func=lambda name: "all types" if name == "all" else name,
                help="Whose config changes and whose recalls are counted. The limit is always everybody's.",
            )
            st.number_input(
                "Arrivals, times",
                value=1.0,
                step=0.5,
                format="%g",
                key="what-speed",
                help="2 brings the same recalls in half the time: is there room for twice the load?",
            )
        st.form_submit_button(
            "Simulate",
            type="primary",
            icon=":material/query_stats:",
            width="stretch",
            on_click=_start,
            args=(page,),
        )
    st.caption("The manager is left alone: recorded recalls are simulated again in virtual time.")


def result(page: PageContext) -> None:
    """Draw what the newest sweep of this session came to, or how far it is."""
    sweep: Sweep | None = st.session_state.get(_SWEEP)
    if sweep is None:
        with components.card("what-none"):
            components.empty("Choose what to vary and press Simulate.", icon="query_stats")
    elif sweep.run.state is State.RUNNING:
        with components.card("what-running", "Simulating"):
            page.live(lambda _: _progress(sweep), every=0.5)
    elif sweep.run.answer is None:
        with components.card("what-failed", "No answer"):
            st.text(text.plain(sweep.run.failure or "The simulation was stopped.", 300))
            if sweep.source == NOW:
                components.samples_menu(page, "what-if")
    else:
        _answer(page, sweep, sweep.run.answer)


def _progress(sweep: Sweep) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(sweep.run.share, text=f"{sweep.run.share:.0%} of {_description(sweep)}")
        st.button("Stop", icon=":material/stop:", key="what-stop", on_click=sweep.run.stop)
    if sweep.run.state is not State.RUNNING:
        st.rerun()


def _answer(page: PageContext, sweep: Sweep, result: WhatIf) -> None:
    with components.card("what-answer", _conclusion(sweep, result)):
        st.caption(predictions.grounds(result, as_recorded=sweep.speed == 1))
        if sweep.over in ("limit", "timeout"):
            components.analysis_chart(_curve(sweep, result), "what-curve")
        else:
            components.analysis_chart(what_if_charts.changes(result.outcomes), "what-changes")
            st.caption("Filled: the 95 % interval leaves out no change. Blue is for the better.")
        if sweep.over == "plans":
            components.static_table(*predictions.plans(result))
    with components.card("what-case", "Before and after"):
        _case(page, sweep, result)


def _case(page: PageContext, sweep: Sweep, result: WhatIf) -> None:
    by_name = {outcome.name: outcome for outcome in result.outcomes}
    best = result.best.name if result.best else next(iter(by_name))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Compare what is in force with",
            list(by_name),
            index=list(by_name).index(best),
            key=f"what-case-{id(sweep.run)}",
            format_func=lambda name: (
                _case_name(sweep, name) + (" · best" if result.best and name == best else "")
            ),
            width=300,
        )
        outcome = by_name[chosen]
        apply_dialog.button(
            page,
            "Apply this…",
            _change(page, sweep, result, outcome),
            type="primary" if result.best and chosen == best else "secondary",
            icon=":material/check:",
        )
    components.static_table(*predictions.before_and_after(result, outcome))
    if outcome.beyond:
        st.text(
            f"Beyond what was seen: what happens above {result.trusted} layer tasks in flight is a guess. "
            "Go up in steps, and look again."
        )
    configs = page.service.configs()
    if configs.head != sweep.head:
        st.text(f"Simulated against version {sweep.head}; version {configs.head} is in force by now.")


def _change(page: PageContext, sweep: Sweep, result: WhatIf, outcome: Outcome) -> PendingChange:
    scope = "all" if sweep.over == "limit" else sweep.scope
    at = page.service.configs().in_scope(scope)
    config = (outcome.configs.in_scope(scope) or outcome.configs.default).config
    return PendingChange(
        f"Apply {_case_name(sweep, outcome.name)}",
        at.version if at else 0,
        config,
        scope,
        f"what-if over {result.recalls} recalls: p99 {change_words(outcome.p99_change)}",
    )


def _curve(sweep: Sweep, result: WhatIf) -> Chart:
    at = (result.base.configs.in_scope(sweep.scope) or result.base.configs.default).config
    limit = result.base.configs.default.config.max_concurrent
    in_force = float(limit) if sweep.over == "limit" else at.timeout_seconds
    points = [(float(outcome.name), outcome) for outcome in result.outcomes]
    return what_if_charts.sweep_curve(
        [*points, (in_force, result.base)],
        what="layer tasks in flight" if sweep.over == "limit" else "timeout of a layer task",
        in_force=in_force,
        unit="" if sweep.over == "limit" else " s",
    )


def _conclusion(sweep: Sweep, result: WhatIf) -> str:
    if result.best is None:
        said = f"Nothing tried is surely better for {result.strategy.value} than what is in force"
        if result.promising is None:
            return said
        gain = change_words(result.promising.gain)
        return f"{said}; worth a try: {_case_name(sweep, result.promising.name)}, objective {gain}"
    change = change_words(result.best.p99_change)
    return f"Best for {result.strategy.value}: {_case_name(sweep, result.best.name)}, p99 {change}"


def _case_name(sweep: Sweep, name: str) -> str:
    if sweep.over == "limit":
        return f"{name} task{'' if name == '1' else 's'} in flight"
    return f"a timeout of {name} s" if sweep.over == "timeout" else name


def _description(sweep: Sweep) -> str:
    whom = "the newest recalls" if sweep.source == NOW else f"the workload {text.markdown(sweep.source, 40)}"
    return f"{sweep.over} over {whom}" + (f" at {sweep.speed:g}x" if sweep.speed != 1 else "")


def _start(page: PageContext) -> None:
    state = st.session_state
    over = str(state.get("what-over") or "limit")
    source, scope = str(state["what-source"]), str(state["what-scope"])

    def start() -> None:
        speed = float(state["what-speed"] or 0)
        run = page.service.sweep(source, over, scope=scope, speed=speed)
        state[_SWEEP] = Sweep(source, over, scope, speed, page.service.configs().head, run)

    notices.act(start)
