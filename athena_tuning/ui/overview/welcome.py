"""What a newcomer meets on Overview: three acts to watch, and the ways to data of one's own."""

from __future__ import annotations

import streamlit as st

from athena_tuning.service.acts import ACTS, Act
from athena_tuning.ui.frame import components, notices, stage
from athena_tuning.ui.frame.glossary import explained
from athena_tuning.ui.frame.navigation import page_file
from athena_tuning.ui.frame.page_context import PageContext

_WHAT_FOR = (
    "A recall asks up to five layers of memory at once. How many layer tasks may run together decides how "
    "long it takes. athena_tuning measures that, proposes a better limit, and shows whether it helped."
)

_CONNECT = """from athena_tuning import MemoryManager

with MemoryManager("memory.db") as memory:
    memory.recall("What failed after the deploy?")"""


def draw(page: PageContext) -> None:
    """Draw the acts, as long as nobody has put them away; only where the demo load runs."""
    service = page.service
    embedded = service.embedded
    if stage.is_on() or embedded is None or not embedded.demo_is_on or service.is_welcomed():
        return
    with st.container(key="welcome", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("## See a wrong config get right, in two minutes", width="stretch")
            st.button(
                "Put this away", type="tertiary", icon=":material/close:", key="welcomed",
                disabled=not page.is_operator,
                on_click=lambda: notices.act(lambda: service.put_welcome_away(page.actor)),
            )  # fmt: skip
        st.html(f"<p>{explained(_WHAT_FOR)}</p>")
        with st.grid(len(ACTS), min_column_width=260, gap="small"):
            for place, act in enumerate(ACTS.values(), 1):
                with components.card(f"act-{act.name}"):
                    _act(page, act, place)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption("Rather your own?", width="content")
            _own_data(page)
            st.space("stretch")
            st.caption(
                "Threads, manager and tuner are real; only the waiting of the layers is simulated.",
                width="content",
            )


def _own_data(page: PageContext) -> None:
    """Draw the ways to what a newcomer has: a manager, a sample that comes along, files."""
    with st.popover("Connect a manager", icon=":material/cable:", type="tertiary"):
        st.text("A manager in your own process measures every recall, and this dashboard shows it:")
        st.code(_CONNECT, language="python")
        st.text("Or one that serves a memory by itself, with some load:")
        st.code("athena-tuning manager --load 3", language=None)
        st.caption("With the same ATHENA_TUNING_STORE as the dashboard, on this machine or another.")
    with st.popover("Look at a sample", icon=":material/folder_open:", type="tertiary"):
        components.samples_menu(page, "welcome")
    st.page_link(
        page_file("workloads"), label="Import traces", icon=":material/upload_file:", width="content"
    )


def _act(page: PageContext, act: Act, place: int) -> None:
    st.markdown(f"### {place}. {act.title}")
    st.text(act.about)
    st.markdown("\n".join(f"{n}. {seen}" for n, seen in enumerate(act.sees, 1)))
    st.space("stretch")
    st.button(
        f"Start act {place}, two minutes",
        type="primary" if place == 1 else "secondary",
        icon=":material/play_arrow:",
        key=f"start-act-{act.name}",
        disabled=not page.is_operator,
        on_click=lambda: notices.act(lambda: stage.start(page.actor, act)),
    )
