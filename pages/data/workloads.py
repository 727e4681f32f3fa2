"""Workloads: what is asked, and what comes back?"""

import streamlit as st

from athena_tuning.ui.frame import components, page_context
from athena_tuning.ui.workloads import ask_memory, fast_forward, upload_form

here = page_context.open_page("workloads")

with components.card(
    "playground", "Ask the memory", "Runs a real recall; it is measured and recorded like any other."
):
    if here.service.embedded is None:
        components.empty("The managers run in other processes: ask them there.", icon="link_off")
    else:
        ask_memory.ask(here)

st.subheader("Sample workloads", anchor=False)
st.caption("Recorded from the real manager. Loading one records it as if it had just ended.")
with st.grid(3, min_column_width=300, gap="small"):
    for sample in here.service.samples():
        with components.card(f"sample-{sample.name}", sample.title):
            ask_memory.sample(here, sample)

with components.card("upload", "Bring your own"):
    upload_form.card(here)

with components.card("forward", "Fast forward"):
    fast_forward.card(here)

with components.card("trending", "Asked most in the last hour"):
    ask_memory.trending(here)
ask_memory.look(here)
