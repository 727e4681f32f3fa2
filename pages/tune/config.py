"""Config: what is in force, what is proposed, and why?"""

import streamlit as st

from athena_tuning.model import QUERY_TYPES, Mode, TuningStrategy
from athena_tuning.service import parameter_rows, text, units
from athena_tuning.ui.config import apply_dialog, config_form, predictions, proposal_table
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

recalls, needed = service.enough()
enough = recalls >= needed
strategies = proposal_table.strategies_of(page) if enough else {}
decision = service.preview(scope=scope) if enough else None
proposed_run, strategies_run = (
    proposal_table.forecasts(page, decision, strategies, scope) if decision else (None, None)
)

left, right = st.columns([2.1, 1], gap="small")
with left, components.card("proposal", "In force and proposed"):
    if decision is None:
        proposal_table.in_force(at)
        st.text(f"{recalls} of {needed} recalls needed before anything is proposed.")
        components.samples_menu(page, "config")
    else:
        st.text(text.plain(parameter_rows.summary_of(decision), 300))
        proposal_table.table(decision, proposed_run)
        st.caption(f"Policy {text.markdown(decision.policy, 30)} · {units.count(decision.samples)} recalls")
        if decision.before != decision.after:
            proposal_table.button(page, decision, base, scope)
with right:
    with components.card("effect", "What the proposal would bring"):
        if decision is None:
            components.empty("Nothing is proposed yet.")
        elif decision.before == decision.after:
            components.empty(
                "Nothing changes: what is in force is what the tuner wants.", icon="check_circle"
            )
        elif proposed_run is None:
            components.empty("Too many simulations are waiting.")
        else:
            predictions.effect(proposed_run, proposal_table.PROPOSAL)
            if proposed_run.found:
                st.caption(predictions.grounds(proposed_run.found))
    with components.card("mode", "Who steers"):
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
            change = PendingChange(
                f"Mode {mode.value}", base, at.config, scope, f"mode {mode.value}", mode=mode
            )
            label = f"Change to {mode.value}"
            apply_dialog.button(page, label, change, icon=":material/swap_horiz:")

st.header("Strategy", anchor=False)
with st.grid(4, min_column_width=250, gap="small"):
    for strategy in TuningStrategy:
        with components.card(f"strategy-{strategy.value}"):
            config_form.strategy_card(
                page, strategy, configs.default, strategies.get(strategy), strategies_run
            )

left, right = st.columns([1.6, 1], gap="small")
with left, components.card("edit", "Edit by hand"):
    config_form.form(page, at, base, scope)
with right:
    with components.card("overrides", "Exceptions by query type"):
        config_form.exceptions(page, configs)
    with components.card("workers", "Where it is in force"):
        page.live(lambda _: components.workers_in_force(service))

for run in dict.fromkeys((proposed_run, strategies_run)):
    if run is not None:
        predictions.wait(page, run, unless=apply_dialog.is_open)
apply_dialog.dialog(page)
