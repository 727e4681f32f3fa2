"""Config: what is in force, what is proposed, and why?"""

import streamlit as st

from athena_tuning.model import QUERY_TYPES, Mode, TuningStrategy
from athena_tuning.service import text
from athena_tuning.service.verdict import VerdictKind
from athena_tuning.ui.config import (
    advice,
    apply_dialog,
    config_form,
    experiment_card,
    proposal_table,
    strategy_map,
    verdict_card,
)
from athena_tuning.ui.config.apply_dialog import PendingChange
from athena_tuning.ui.frame import components, page_context

page = page_context.current()
service = page.service
configs = service.configs()

with st.container(horizontal=True, vertical_alignment="bottom"):
    scope = st.selectbox(
        "For",
        list(dict.fromkeys(["all", *QUERY_TYPES, *configs.by_type])),
        key="scope",
        bind="query-params",
        width=260,
        format_func=lambda name: (
            "all query types"
            if name == "all"
            else f"only {text.plain(name, 30)}" + (" (has its own)" if name in configs.by_type else "")
        ),
    )
    at = configs.in_scope(scope) or configs.default
    base = at.version if at.scope == scope else 0
    st.space("stretch")
    undone = service.undo_reason(scope)
    redo = undone is not None and undone.startswith("redo")
    st.button(
        "Redo" if redo else "Undo",
        icon=":material/redo:" if redo else ":material/undo:",
        disabled=undone is None or not page.can_write,
        help=text.markdown(undone, 200) if undone else "Nothing was changed yet",
        on_click=apply_dialog.undo,
        args=(page, scope, base, undone or ""),
    )

proposal = page.proposal(scope)

experiment_card.card(page)
left, right = st.columns([1.9, 1], gap="small")
with left, components.card("proposal", "What the tuner says", stacked=True):
    if proposal is None:
        st.text(verdict_card.NOBODY)
        components.samples_menu(page, "config")
    else:
        verdict = verdict_card.draw(page, proposal)
        if verdict.change:
            proposal_table.button(page, proposal, verdict, base, scope)
        elif verdict.kind is VerdictKind.UNKNOWN:
            components.samples_menu(page, "config")
        with st.expander("Why", icon=":material/help:", key="why", on_change="rerun") as why:
            if why.open:
                advice.grounds(page, proposal)
with left, components.card("mode", "Who steers", stacked=True):
    mode = st.segmented_control(
        "Mode",
        list(Mode),
        default=at.mode,
        format_func=lambda m: m.value,
        label_visibility="collapsed",
        disabled=not page.can_write,
        required=True,
        key=f"mode-{scope}-{at.version}",
    )
    st.text(page_context.MODES[mode])
    if mode is not at.mode:
        st.caption(f"In force is {at.mode.value}, until you apply {mode.value}.")
        change = PendingChange(f"Mode {mode.value}", base, at.config, scope, f"mode {mode.value}", mode=mode)
        label = f"Change to {mode.value}"
        apply_dialog.button(page, label, change, icon=":material/swap_horiz:")
with right, components.card("in-force", "In force and proposed", stacked=True):
    proposal_table.side_by_side(at, proposal)

st.header("Strategy", anchor=False)
page.live(lambda view: strategy_map.draw(page, view), calmly=True)
shared = page.proposal("all")
with st.grid(4, min_column_width=250, gap="small"):
    for strategy in TuningStrategy:
        with components.card(f"strategy-{strategy.value}"):
            config_form.strategy_card(page, strategy, configs.default, shared)

left, right = st.columns([1.6, 1], gap="small")
with left, components.card("edit", "Edit by hand"):
    config_form.form(page, at, base, scope)
with right:
    with components.card("overrides", "Exceptions by query type", stacked=True):
        config_form.exceptions(page, configs)
    with components.card("workers", "Where it is in force", stacked=True):
        page.live(lambda _: components.workers_in_force(service))

apply_dialog.dialog(page)
