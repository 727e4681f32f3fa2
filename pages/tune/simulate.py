"""Simulate: what happens under load, and what would have happened under another config?"""

import streamlit as st

from athena_tuning.ui import applying, parts, shell, simulating, whatif
from athena_tuning.ui.view import View

here = shell.open_page("simulate", live=True)
embedded = here.service.embedded
applying.conflict(here)
way = st.segmented_control(
    "What to simulate",
    ["Load", "What-if"],
    default="Load",
    required=True,
    key="simulate",
    bind="query-params",
    label_visibility="collapsed",
)


def run(view: View) -> None:
    load = embedded.load
    with parts.card("sim-run", "Run"):
        if load is None:
            parts.empty("No load was started yet. Set one up and press start.", icon="science")
        else:
            simulating.progress(here, load)
    simulating.charts(here, view)
    if load is not None and load.state not in simulating.UNDER_WAY:
        with parts.card("sim-outcome", "What came out of it"):
            simulating.outcome(load)


if way == "What-if":
    left, right = st.columns([1, 2.6], gap="small")
    with left, parts.card("what-form", "What if"):
        whatif.form(here)
    with right:
        whatif.result(here)
elif embedded is None:
    st.info(
        "A load runs on a manager in this process, and this dashboard watches those of others. "
        "Start it without --attach to run one. What-if works here too.",
        icon=":material/link_off:",
    )
else:
    left, right = st.columns([1, 2.6], gap="small")
    with left, parts.card("sim-form", "Load on this manager"):
        simulating.form(here)
    with right:
        under_way = embedded.load is not None and embedded.load.state in simulating.UNDER_WAY
        here.live(run, every=1.0 if under_way else here.every)

applying.dialog(here)
