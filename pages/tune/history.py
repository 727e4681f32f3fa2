"""History: what was changed, and did it help?"""

import streamlit as st

from athena_tuning.ui.config import apply_dialog
from athena_tuning.ui.frame import components, page_context
from athena_tuning.ui.history import history_tables

page = page_context.current()
service = page.service
versions, decisions = service.history(500), service.decisions(300)
points, others = history_tables.past_predictions(page, decisions, versions)

with components.card("versions", "Config versions", "Choose one to roll back to it, or two to compare them."):
    chosen = history_tables.versions(page, versions) if versions else []
    if not versions:
        components.empty("No config was written yet: the defaults are in force.", icon="history")
    else:
        with st.container(horizontal=True, vertical_alignment="center"):
            history_tables.roll_back_button(page, chosen)
            if not chosen:
                st.caption("Choose one version to roll back to it, or two to compare them.")
if chosen:
    history_tables.compare(page, chosen)

left, right = st.columns([1.7, 1], gap="small")
with (
    left,
    components.card(
        "decisions",
        "Decisions",
        "The tuner's, “no change” included, and people's that were simulated. Choose one for its reasons.",
    ),
):
    if decisions:
        history_tables.decisions(page, decisions, points)
    else:
        components.empty("Nothing was decided yet.", icon="psychology")
with right, components.card("expected", "Expected and seen"):
    history_tables.expected_and_observed(points, others)

left, right = st.columns([1.7, 1], gap="small")
with left, components.card("trail", "Audit trail", "Who did what and why: configs, loads, samples, notes."):
    history_tables.trail(page, versions)
with right, components.card("note", "Leave a note on the charts"):
    history_tables.note_form(page)

apply_dialog.dialog(page)
