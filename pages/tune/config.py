"""Config: what is in force, what is proposed, and why?"""

import streamlit as st

from athena_tuning.model import QUERY_TYPES, Mode, TuningStrategy
from athena_tuning.ui import applying, editing, foretelling, parts, proposing, shell, text, units
from athena_tuning.ui.applying import Change

MODES = {
    Mode.AUTO: "The tuner decides and applies. Every change has its reason in the history.",
    Mode.ADVISE: "The tuner proposes; a person applies.",
    Mode.PINNED: "A person's values hold. The tuner only watches.",
}

here = shell.open_page("config", live=True)
service = here.service
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
    past = service.history(2, scope)
    st.button(
        "Undo",
        icon=":material/undo:",
        disabled=not past or not here.can_write,
        help=f"Takes version {past[0].version} back" if past else "Nothing was changed yet",
        on_click=lambda: applying.undo(here, scope, base),
    )

seen, needed = service.enough()
enough = seen >= needed
strategies = proposing.strategies_of(here) if enough else {}
decision = service.preview(scope=scope) if enough else None
proposed_run, strategies_run = (
    proposing.forecasts(here, decision, strategies, scope) if decision else (None, None)
)

left, right = st.columns([2.1, 1], gap="small")
with left, parts.card("proposal", "In force and proposed"):
    if decision is None:
        proposing.in_force(at)
        st.text(f"{seen} of {needed} recalls needed before anything is proposed.")
        parts.samples_menu(here, "config")
    else:
        st.text(text.plain(decision.summary, 300))
        proposing.table(decision, proposed_run)
        st.caption(f"Policy {text.markdown(decision.policy, 30)} · {units.count(decision.samples)} recalls")
        if decision.before != decision.after:
            proposing.button(here, decision, base, scope)
with right:
    with parts.card("effect", "What the proposal would bring"):
        if decision is None:
            parts.empty("Nothing is proposed yet.")
        elif decision.before == decision.after:
            parts.empty("Nothing changes: what is in force is what the tuner wants.", icon="check_circle")
        elif proposed_run is None:
            parts.empty("Too many simulations are waiting.")
        else:
            foretelling.effect(proposed_run, proposing.PROPOSAL)
            if proposed_run.found:
                st.caption(foretelling.grounds(proposed_run.found))
    with parts.card("mode", "Who steers"):
        mode = st.segmented_control(
            "Mode",
            list(Mode),
            default=at.mode,
            format_func=lambda m: m.value,
            label_visibility="collapsed",
            disabled=not here.can_write,
            required=True,
            key=f"mode-{scope}-{at.version}",
        )
        st.text(MODES[mode])
        if mode is not at.mode:
            st.button(
                f"Change to {mode.value}",
                icon=":material/swap_horiz:",
                on_click=applying.ask,
                args=(Change(f"Mode {mode.value}", base, at.config, scope, f"mode {mode.value}", mode=mode),),
            )

st.subheader("Strategy", anchor=False)
with st.grid(4, min_column_width=250, gap="small"):
    for strategy in TuningStrategy:
        with parts.card(f"strategy-{strategy.value}"):
            editing.strategy_card(here, strategy, configs.default, strategies.get(strategy), strategies_run)

left, right = st.columns([1.6, 1], gap="small")
with left, parts.card("edit", "Edit by hand"):
    editing.form(here, at, base, scope)
with right:
    with parts.card("overrides", "Exceptions by query type"):
        editing.exceptions(here, configs)
    with parts.card("workers", "Where it is in force"):
        here.live(lambda _: parts.workers_in_force(service))

for run in dict.fromkeys((proposed_run, strategies_run)):
    if run is not None:
        foretelling.wait(here, run, unless=applying.is_open)
applying.dialog(here)
