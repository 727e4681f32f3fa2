"""History: what was changed, and did it help?"""

import streamlit as st

from athena_tuning.ui import applying, comparing, parts, shell

here = shell.open_page("history")
service = here.service
versions, decisions = service.history(500), service.decisions(300)
points = comparing.held_against(here, decisions, versions)

with parts.card("versions", "Config versions", "Choose one to roll back to it, or two to compare them."):
    chosen = comparing.versions(here, versions) if versions else []
    if not versions:
        parts.empty("No config was written yet: the defaults are in force.", icon="history")
    else:
        with st.container(horizontal=True, vertical_alignment="center"):
            comparing.roll_back_button(here, chosen)
            if not chosen:
                st.caption("Choose one version to roll back to it, or two to compare them.")
if chosen:
    comparing.compare(here, chosen)

left, right = st.columns([1.7, 1], gap="small")
with (
    left,
    parts.card(
        "decisions",
        "Decisions",
        "The tuner's, “no change” included, and people's that were simulated. Choose one for its reasons.",
    ),
):
    if decisions:
        comparing.decisions(here, decisions, points)
    else:
        parts.empty("Nothing was decided yet.", icon="psychology")
with right, parts.card("expected", "Expected, and what came"):
    comparing.expected_and_came(points)

left, right = st.columns([1.7, 1], gap="small")
with left, parts.card("trail", "Audit trail", "Who did what and why: configs, loads, samples, notes."):
    comparing.trail(here, versions)
with right, parts.card("note", "Leave a note on the charts"):
    comparing.note_form(here)

applying.dialog(here)
