"""The act that is shown in place of what the dashboard serves, and its end."""

from __future__ import annotations

import streamlit as st

from athena_tuning.service.acts import ACTS, Act, open_act
from athena_tuning.service.roles import Actor
from athena_tuning.service.tuning_service import TuningService

_ON = "act"
_running: dict[str, TuningService] = {}


def is_on() -> bool:
    """Whether this visitor watches an act."""
    return st.session_state.get(_ON) in _running


def service() -> TuningService | None:
    """Return the service of the act that this visitor watches; None without one."""
    return _running.get(st.session_state.get(_ON, ""))


def start(actor: Actor, act: Act) -> None:
    """Show an act from now on; one that runs already is joined.

    Raises:
        NotAllowed: if the actor is no operator: an act makes load on this machine.
    """
    actor.must_be_operator("start an act")
    if act.name not in _running:
        end_all()
        opened = open_act(act)
        if _running.setdefault(act.name, opened) is not opened:  # somebody else was quicker
            opened.close()
    st.session_state[_ON] = act.name
    st.session_state["range"] = "15m"


def end() -> None:
    """End the act, for all who watch it."""
    end_all()
    st.session_state.pop(_ON, None)
    st.session_state["range"] = "1h"


def banner() -> None:
    """Say on every page that an act is shown, and what there is to see."""
    act = ACTS.get(st.session_state.get(_ON, ""))
    if act is None or not is_on():
        return
    with st.container(key="on-stage", horizontal=True, vertical_alignment="center", gap="small"):
        steps = " · ".join(f"{n}. {seen}" for n, seen in enumerate(act.sees, 1))
        st.markdown(
            f":material/theater_comedy: **{act.title}**: {act.about} {steps}. "
            "Only the waits of the layers are simulated.",
            width="stretch",
        )
        st.button("Leave the act", icon=":material/undo:", key="leave-act", on_click=end)


def end_all() -> None:
    """End what runs; the server does so as it stops."""
    for name in list(_running):
        if (running := _running.pop(name, None)) is not None:
            running.close()
