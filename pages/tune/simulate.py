"""Simulate: what happens under load, and what would have happened under another config?"""

import streamlit as st

from athena_tuning.load.run_handle import UNDER_WAY
from athena_tuning.service.view import View
from athena_tuning.ui.config import apply_dialog
from athena_tuning.ui.frame import components, page_context
from athena_tuning.ui.simulate import load_form, run_results, sweep

page = page_context.current()
loads = page.service.loads
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
    with components.card("sim-run", "Run"):
        if load is None:
            way_on = "Set one up and press start." if page.can_write else "An operator can start one."
            components.empty(f"No load was started yet. {way_on}", icon="science")
        else:
            load_form.progress(page, load)
    load_form.charts(page, view)
    if load is not None and load.state not in UNDER_WAY:
        with components.card("sim-outcome", "What came out of it"):
            load_form.outcome(load)


if way == "Runs":
    with components.card("sim-runs", "Load runs that are kept"):
        run_results.kept_runs(page)
elif way == "What-if":
    left, right = st.columns([1, 2.6], gap="small")
    with left, components.card("what-form", "What if"):
        sweep.form(page)
    with right:
        sweep.result(page)
else:
    left, right = st.columns([1, 2.6], gap="small")
    whose = "this manager" if page.service.embedded else "a manager on this store"
    with left, components.card("sim-form", f"Load on {whose}"):
        load_form.form(page)
    with right:
        under_way = loads.newest is not None and loads.newest.state in UNDER_WAY
        page.live(run, every=1.0 if under_way else page.every)

apply_dialog.dialog(page)
