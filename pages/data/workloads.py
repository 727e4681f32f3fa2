"""Workloads: what is asked, and what comes back?"""

import streamlit as st

from athena_tuning.ui.frame import components, page_context
from athena_tuning.ui.workloads import ask_memory, fast_forward, upload_form

page = page_context.current()

with components.card(
    "playground", "Ask the memory", "Runs a real recall; it is measured and recorded like any other."
):
    if page.service.embedded is None:
        components.empty("The managers run in other processes: ask them there.", icon="link_off")
    else:
        ask_memory.query_form(page)

st.header("Sample workloads", anchor=False)
st.caption("Recorded from the real manager. Loading one records it as if it had just ended.")
with st.grid(3, min_column_width=300, gap="small"):
    for sample in page.service.samples():
        with components.card(f"sample-{sample.name}", sample.title):
            ask_memory.sample(page, sample)

with components.card("upload", "Bring your own"):
    upload_form.card(page)

with components.card("forward", "Fast forward"):
    fast_forward.card(page)

with components.card("trending", "Asked most in the last hour"):
    ask_memory.trending(page)
ask_memory.sample_drawer(page)
