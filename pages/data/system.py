"""System: does everything run and arrive?"""

import streamlit as st

from athena_tuning.service.view import View
from athena_tuning.ui.frame import components, page_context
from athena_tuning.ui.system import store_tables, system_tables

page = page_context.current()


def body(_: View) -> None:
    system_tables.health(page)
    with st.grid(2, min_column_width=420, gap="small"):
        with components.card("sys-examination", "Examination"):
            system_tables.examination(page)
        with components.card("sys-writers", "Who writes"):
            store_tables.writers(page)
        with components.card("sys-arrival", "What arrives"):
            system_tables.arrival(page)
        with components.card("sys-kept", "What is kept, and for how long"):
            store_tables.kept(page)
        with components.card("sys-sources", "Sources beside live recalls"):
            store_tables.sources(page)
        with components.card("sys-memory", "Memory of this manager"):
            system_tables.memory(page)
        with components.card("sys-versions", "Versions"):
            system_tables.versions()


page.live(body)
with components.card("sys-demo", "Demo load"):
    system_tables.demo(page)
