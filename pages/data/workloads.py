"""Workloads: what is asked, and what comes back?"""

import streamlit as st

from athena_tuning.ui import forwarding, parts, playground, shell, uploading

here = shell.open_page("workloads")

with parts.card(
    "playground", "Ask the memory", "Runs a real recall; it is measured and recorded like any other."
):
    if here.service.embedded is None:
        parts.empty("The managers run in other processes: ask them there.", icon="link_off")
    else:
        playground.ask(here)

st.subheader("Sample workloads", anchor=False)
st.caption("Recorded from the real manager. Loading one records it as if it had just ended.")
with st.grid(3, min_column_width=300, gap="small"):
    for sample in here.service.samples():
        with parts.card(f"sample-{sample.name}", sample.title):
            playground.sample(here, sample)

with parts.card("upload", "Bring your own"):
    uploading.card(here)

with parts.card("forward", "Fast forward"):
    forwarding.card(here)

with parts.card("trending", "Asked most in the last hour"):
    playground.trending(here)
playground.look(here)
