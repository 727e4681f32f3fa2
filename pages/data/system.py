"""System: does everything run and arrive?"""

import streamlit as st

from athena_tuning.ui import parts, shell, system
from athena_tuning.ui.view import View

here = shell.open_page("system", live=True)


def body(_: View) -> None:
    system.health(here)
    with st.grid(2, min_column_width=420, gap="small"):
        with parts.card("sys-workers", "Managers"):
            system.workers(here)
        with parts.card("sys-arrival", "What arrives"):
            system.arrival(here)
        with parts.card("sys-memory", "Memory of this manager"):
            system.memory(here)
        with parts.card("sys-versions", "Versions"):
            system.versions()


here.live(body)
with parts.card("sys-demo", "Demo load"):
    system.demo(here)
