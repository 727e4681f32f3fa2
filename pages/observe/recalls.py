"""Recalls: which were they, and where did one's time go?"""

import streamlit as st

from athena_tuning.profiling.questions.recall_search import FoundRecalls
from athena_tuning.service import units, window_reads
from athena_tuning.ui.frame import components, page_context
from athena_tuning.ui.recalls import one_recall, search_form

LISTED = 100

page = page_context.current()
view = page.view
linked = one_recall.shown(page)
if not page.ask(window_reads.summary).count and not linked:
    components.empty_view(page)
    st.stop()

left, right = st.columns([1, 3.1], gap="small")
with left, components.card("recalls-choices", stacked=True):
    picture = st.container()
    search_form.choices(sorted({worker.worker_id for worker in page.service.workers()}), view)
    figures = st.container()
with right, components.card("recalls-found", stacked=True):
    search_form.text_and_order()
    order = st.session_state.get("order", "slowest")
    found: FoundRecalls = page.service.ask(
        window_reads.search, search_form.narrowed(view), search_form.wanted(), order, LISTED
    )
    recalls = list(found.records)
    one_recall.listed(recalls)
    more = f", the {order} {LISTED} are listed" if found.count > LISTED else ""
    st.caption(
        f"{units.count(found.count)} of {units.count(found.searched)} recalls{more}. "
        "Tick one to see where its time went, two to compare them."
    )
    if recalls:
        components.records(
            recalls,
            view.timezone,
            key=one_recall.TABLE,
            height=330,
            on_select=one_recall.take_chosen,
            selection_mode="multi-row",
        )
    else:
        components.empty(
            "No recall fits. Remove a word or a choice, or take a longer period.", icon="search_off"
        )
if shown := linked or recalls[:1]:
    with right, components.card("recall", "Where the time went", stacked=True):
        if not linked:
            st.caption(f"The {order} of them; tick another.")
        one_recall.draw(page, shown)
with picture:
    search_form.bands(found)
with figures:
    search_form.counts(found)
