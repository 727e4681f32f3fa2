"""Simulate: what happens under load, and what would have happened under another config?"""

import streamlit as st

from athena_tuning.ui import applying, parts, runs, shell, simulating, whatif
from athena_tuning.ui.view import View
from athena_tuning.workload.run import UNDER_WAY

here = shell.open_page("simulate", live=True)
loads = here.service.loads
way = st.segmented_control(
    "What to simulate",
    ["Load", "Runs", "What-if"],
    default="Load",
    required=True,
    key="simulate",
    bind="query-params",
    label_visibility="collapsed",
)


def run(view: View) -> None:
    load = loads.newest
    with parts.card("sim-run", "Run"):
        if load is None:
            way_on = "Set one up and press start." if here.can_write else "An operator can start one."
            parts.empty(f"No load was started yet. {way_on}", icon="science")
        else:
            simulating.progress(here, load)
    simulating.charts(here, view)
    if load is not None and load.state not in UNDER_WAY:
        with parts.card("sim-outcome", "What came out of it"):
            simulating.outcome(load)


if way == "Runs":
    with parts.card("sim-runs", "Load runs that are kept"):
        runs.kept(here)
elif way == "What-if":
    left, right = st.columns([1, 2.6], gap="small")
    with left, parts.card("what-form", "What if"):
        whatif.form(here)
    with right:
        whatif.result(here)
else:
    left, right = st.columns([1, 2.6], gap="small")
    whose = "this manager" if here.service.embedded else "a manager on this store"
    with left, parts.card("sim-form", f"Load on {whose}"):
        simulating.form(here)
    with right:
        under_way = loads.newest is not None and loads.newest.state in UNDER_WAY
        here.live(run, every=1.0 if under_way else here.every)

applying.dialog(here)
