"""The script of every page: style, navigation, then the page. ``app.py`` serves it."""

import streamlit as st

from athena_tuning.ui.frame import notices, page_context
from athena_tuning.ui.frame.navigation import PAGES, SECTIONS
from athena_tuning.ui.theme import ICON, MARK_AND_NAME, STYLE

st.set_page_config(page_title="athena_tuning", page_icon=ICON, layout="wide")
st.html(STYLE)
st.logo(MARK_AND_NAME, icon_image=ICON, size="large")
page = st.navigation(
    {
        section: [
            st.Page(
                entry.path,
                title=entry.title,
                icon=f":material/{entry.icon}:",
                url_path=entry.url,
                help=entry.question,
                default=entry.url == "overview",
            )
            for entry in entries
        ]
        for section, entries in SECTIONS.items()
    },
    expanded=True,
)
if page_context.admitted() and notices.guarded(page_context.open_page, PAGES[page.url_path or "overview"]):
    notices.guarded(page.run)
