"""What-if on the Simulate page: a sweep over recorded recalls, without load, and the way to apply it."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from athena_tuning.load.run_handle import State
from athena_tuning.load.whatif_run import WhatIfRun
from athena_tuning.model import QUERY_TYPES
from athena_tuning.service import text
from athena_tuning.service.chart_rows import change_words
from athena_tuning.service.read_service import NOW
from athena_tuning.tuning.simulation.what_if import Outcome, WhatIf
from athena_tuning.ui.charts import what_if_charts
from athena_tuning.ui.charts.panel import Chart
from athena_tuning.ui.config import apply_dialog, predictions
from athena_tuning.ui.config.apply_dialog import Change
from athena_tuning.ui.frame import components, notices
from athena_tuning.ui.frame.page_context import PageContext

OVER = {
    "limit": "layer tasks in flight, over all recalls",
    "timeout": "longest service time of a layer task",
    "strategy": "what the rules would set under each strategy on these recalls",
    "switches": "layers at once or in turn, cache on or off",
}
_ASKED = "asked what-if"


class Asked(NamedTuple):
    """A sweep that this session asked for."""

    source: str
    over: str
    scope: str
    speed: float
    head: int
    run: WhatIfRun


def form(page: PageContext) -> None:
    """Draw what to sweep, over which recalls."""
    titles = {NOW: "the newest recalls", **{s.name: s.title for s in page.service.samples()}}
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
            on_click=_ask,
            args=(page,),
        )
    st.caption("Nothing is asked of the manager: recorded recalls are met again in virtual time.")


def result(page: PageContext) -> None:
    """Draw what the newest sweep of this session came to, or how far it is."""
    asked: Asked | None = st.session_state.get(_ASKED)
    if asked is None:
        with components.card("what-none"):
            components.empty("Choose what to vary and press Simulate.", icon="query_stats")
    elif asked.run.state is State.RUNNING:
        with components.card("what-running", "Simulating"):
            page.live(lambda _: _progress(asked), every=0.5)
    elif asked.run.found is None:
        with components.card("what-failed", "No answer"):
            st.text(text.plain(asked.run.failure or "The simulation was stopped.", 300))
            if asked.source == NOW:
                components.samples_menu(page, "what-if")
    else:
        _answer(page, asked, asked.run.found)


def _progress(asked: Asked) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(asked.run.share, text=f"{asked.run.share:.0%} of {_told(asked)}")
        st.button("Stop", icon=":material/stop:", key="what-stop", on_click=asked.run.stop)
    if asked.run.state is not State.RUNNING:
        st.rerun()


def _answer(page: PageContext, asked: Asked, found: WhatIf) -> None:
    with components.card("what-answer", _conclusion(asked, found)):
        st.caption(predictions.grounds(found, as_recorded=asked.speed == 1))
        if asked.over in ("limit", "timeout"):
            components.analysis_chart(_curve(asked, found), "what-curve")
        else:
            components.analysis_chart(what_if_charts.changes(found.outcomes), "what-changes")
            st.caption("Filled: the 95 % interval leaves out no change. Blue is for the better.")
    with components.card("what-case", "Before and after"):
        _case(page, asked, found)


def _case(page: PageContext, asked: Asked, found: WhatIf) -> None:
    by_name = {outcome.name: outcome for outcome in found.outcomes}
    best = found.best.name if found.best else next(iter(by_name))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Compare what is in force with",
            list(by_name),
            index=list(by_name).index(best),
            key=f"what-case-{id(asked.run)}",
            format_func=lambda name: (
                _case_name(asked, name) + (" · best" if found.best and name == best else "")
            ),
            width=300,
        )
        outcome = by_name[chosen]
        st.button(
            "Apply this…",
            type="primary",
            icon=":material/check:",
            disabled=not page.can_write,
            on_click=apply_dialog.ask,
            args=(_change(page, asked, found, outcome),),
        )
    components.sheet(*predictions.before_and_after(found, outcome))
    if outcome.beyond:
        st.text(
            f"Beyond what was seen: what happens above {found.trusted} layer tasks in flight is a guess. "
            "Go up in steps, and look again."
        )
    configs = page.service.configs()
    if configs.head != asked.head:
        st.text(f"Simulated against version {asked.head}; version {configs.head} is in force by now.")


def _change(page: PageContext, asked: Asked, found: WhatIf, outcome: Outcome) -> Change:
    scope = "all" if asked.over == "limit" else asked.scope
    at = page.service.configs().in_scope(scope)
    config = (outcome.configs.in_scope(scope) or outcome.configs.default).config
    return Change(
        f"Apply {_case_name(asked, outcome.name)}",
        at.version if at else 0,
        config,
        scope,
        f"what-if over {found.recalls} recalls: p99 {change_words(outcome.p99_change)}",
    )


def _curve(asked: Asked, found: WhatIf) -> Chart:
    at = (found.base.configs.in_scope(asked.scope) or found.base.configs.default).config
    limit = found.base.configs.default.config.max_concurrent
    in_force = float(limit) if asked.over == "limit" else at.timeout_seconds
    points = [(float(outcome.name), outcome) for outcome in found.outcomes]
    return what_if_charts.sweep_curve(
        [*points, (in_force, found.base)],
        what="layer tasks in flight" if asked.over == "limit" else "timeout of a layer task",
        in_force=in_force,
        unit="" if asked.over == "limit" else " s",
    )


def _conclusion(asked: Asked, found: WhatIf) -> str:
    if found.best is None:
        return f"Nothing tried is surely better for {found.strategy.value} than what is in force"
    told = change_words(found.best.p99_change)
    return f"Best for {found.strategy.value}: {_case_name(asked, found.best.name)}, p99 {told}"


def _case_name(asked: Asked, name: str) -> str:
    if asked.over == "limit":
        return f"{name} task{'' if name == '1' else 's'} in flight"
    return f"a timeout of {name} s" if asked.over == "timeout" else name


def _told(asked: Asked) -> str:
    whom = "the newest recalls" if asked.source == NOW else f"the workload {text.markdown(asked.source, 40)}"
    return f"{asked.over} over {whom}" + (f" at {asked.speed:g}x" if asked.speed != 1 else "")


def _ask(page: PageContext) -> None:
    state = st.session_state
    over = str(state.get("what-over") or "limit")
    source, scope = str(state["what-source"]), str(state["what-scope"])

    def start() -> None:
        speed = float(state["what-speed"] or 0)
        run = page.service.sweep(source, over, scope=scope, speed=speed)
        state[_ASKED] = Asked(source, over, scope, speed, page.service.configs().head, run)

    notices.act(start)
