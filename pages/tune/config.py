"""Config: what is in force, what is proposed, and why?"""

import streamlit as st

from athena_tuning.model import QUERY_TYPES, Mode, TuningStrategy
from athena_tuning.ui import applying, editing, parts, reads, shell, text, units
from athena_tuning.ui.applying import Change

here = shell.open_page("config", live=True)
service = here.service
configs = service.configs()
applying.conflict(here)

with st.container(horizontal=True, vertical_alignment="center"):
    scopes = ["all", *QUERY_TYPES]
    scope = st.selectbox(
        "For",
        scopes,
        key="scope",
        bind="query-params",
        width=230,
        format_func=lambda name: (
            "all query types"
            if name == "all"
            else f"only {name}" + (" (has its own)" if name in configs.by_type else "")
        ),
    )
    at = configs.in_scope(scope) or configs.default
    base = at.version if at.scope == scope else 0
    st.space("stretch")
    past = service.history(2, scope)
    st.button(
        "Undo",
        icon=":material/undo:",
        disabled=len(past) < 2 or not here.can_write,
        help=f"Back to version {past[1].version}" if len(past) > 1 else "There is no earlier version",
        on_click=lambda: applying.undo(here, scope, at.version),
    )

seen, needed = service.enough()
left, right = st.columns([1.75, 1], gap="small")
with left, parts.card("proposal", "In force and proposed"):
    if seen < needed:
        parts.sheet(
            ["Parameter", "In force"], [(n, units.setting(v)) for n, v in at.config.to_dict().items()]
        )
        st.text(f"{seen} of {needed} queries needed before anything is proposed.")
        parts.samples_menu(here, "config")
    else:
        decision = service.preview(scope=scope)
        st.text(text.plain(decision.summary, 300))
        rows = reads.proposal_rows(decision)
        parts.sheet(
            ["Parameter", "In force", "Proposed", parts.Cell("Why", "why")],
            [
                (
                    name,
                    parts.Cell(was, "was" if differs else ""),
                    parts.Cell(then if differs else "as it is", "now" if differs else "was"),
                    why,
                )
                for name, was, then, why, differs in rows
            ],
            limit=320,
        )
        st.caption(
            f"Policy {text.markdown(decision.policy, 30)} · {units.count(decision.samples)} recalls"
            + (
                f" · objective {parts.change_of(decision.predicted)}"
                if decision.predicted is not None
                else ""
            )
        )
        st.button(
            "Apply the proposal",
            type="primary",
            icon=":material/check:",
            disabled=not any(differs for *_, differs in rows) or not here.can_write,
            on_click=applying.ask,
            args=(
                Change(
                    "Apply the tuner's proposal",
                    base,
                    decision.after,
                    scope,
                    text.plain(decision.summary, 300),
                ),
            ),
        )
with right:
    with parts.card("mode", "Who steers"):
        mode = st.segmented_control(
            "Mode",
            list(Mode),
            default=at.mode,
            format_func=lambda m: m.value,
            label_visibility="collapsed",
            disabled=not here.can_write,
            required=True,
            key=f"mode-{at.version}",
        )
        st.text(
            {
                Mode.AUTO: "The tuner decides and applies. Every change has its reason in the history.",
                Mode.ADVISE: "The tuner proposes; a person applies.",
                Mode.PINNED: "A person's values hold. The tuner only watches.",
            }[mode]
        )
        if mode is not at.mode:
            st.button(
                f"Change to {mode.value}",
                icon=":material/swap_horiz:",
                on_click=applying.ask,
                args=(Change(f"Mode {mode.value}", base, at.config, scope, f"mode {mode.value}", mode=mode),),
            )
    with parts.card("workers", "Where it is in force"):
        here.live(lambda _: parts.workers_in_force(service))

st.subheader("Strategy", anchor=False)
with st.grid(4, min_column_width=250, gap="small"):
    for strategy in TuningStrategy:
        with parts.card(f"strategy-{strategy.value}"):
            editing.strategy_card(here, strategy, configs.default, enough=seen >= needed)

left, right = st.columns([1.2, 1], gap="small")
with left, parts.card("edit", "Edit by hand"):
    editing.form(here, at, base, scope)
with right, parts.card("overrides", "Exceptions by query type"):
    if configs.by_type:
        parts.sheet(
            ["Type", "Version", "Differs from all types in"],
            [
                (
                    name,
                    f"v{version.version}",
                    ", ".join(
                        f"{field} {units.setting(there)}"
                        for field, (_, there) in configs.default.config.changes_to(version.config).items()
                    )
                    or "nothing",
                )
                for name, version in sorted(configs.by_type.items())
            ],
        )
    else:
        st.text(
            "None: every query type runs under the config for all. Choose a type above and apply to make one."
        )
    st.caption("The limit of layer tasks in flight is shared: only the config for all types decides it.")

applying.dialog(here)
