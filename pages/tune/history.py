"""History: what was changed, and did it help?"""

import streamlit as st

from athena_tuning.ui import applying, comparing, parts, shell

here = shell.open_page("history")
service = here.service
applying.conflict(here)
versions, decisions = service.history(500), service.decisions(300)

with parts.card("versions", "Config versions", "Choose one to roll back to it, or two to compare them."):
    chosen = comparing.versions(here, versions) if versions else []
    if not versions:
        parts.empty("No config was written yet: the defaults are in force.", icon="history")
    with st.container(horizontal=True):
        comparing.roll_back_button(here, chosen)
if chosen:
    comparing.compare(here, chosen)

with parts.card(
    "decisions",
    "Decisions of the tuner",
    "Every one is kept, “no change” included. Choose one for its reasons.",
):
    if decisions:
        comparing.decisions(here, decisions)
    else:
        parts.empty("The tuner has not decided anything yet.", icon="psychology")

with parts.card("note", "Leave a note on the charts"):
    comparing.note_form(here)

applying.dialog(here)
