"""A tour of three steps for newcomers: the sentence, the verdict, the way from a figure to its cause."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from athena_tuning.ui.frame import notices, page_context
from athena_tuning.ui.frame.glossary import explained
from athena_tuning.ui.frame.navigation import page_file
from athena_tuning.ui.frame.page_context import PageContext

_STEP = "tour step"
_ENDED = "tour has ended"


class Step(NamedTuple):
    """One step: what to look at, and the page that has more of it."""

    title: str
    about: str
    url: str = ""
    label: str = ""


STEPS = (
    Step(
        "Start an act, then read only the sentence at the top.",
        "It says whether all is well, why not, and what to do. Every dotted word, such as slot or canary, "
        "explains itself under the pointer.",
    ),
    Step(
        "Then read the verdict: what the tuner says.",
        "It tells the change, what it would bring with its interval, and how far its simulation is off. "
        "Apply stands out only where the interval leaves no doubt. Why is one click away.",
        "config",
        "The verdict on Config",
    ),
    Step(
        "From any figure there is a way to its cause.",
        "Drag on a chart to look closer, on every page. Click a bar, a mark or a name for what is behind it, "
        "and a recall to see where its time went.",
        "recalls",
        "All recalls",
    ),
)


def draw(page: PageContext) -> None:
    """Draw the step that is due, where the demo load or an act runs, until the tour has ended once."""
    state, service = st.session_state, page.service
    embedded = service.embedded
    if embedded is None or not embedded.demo_is_on or state.get(_ENDED) or page_context.service().is_toured():
        return
    number = state.get(_STEP, 0)
    step, last = STEPS[number], number == len(STEPS) - 1
    with st.container(key="tour", horizontal=True, vertical_alignment="center", gap="small"):
        dots = "".join("●" if n == number else "○" for n in range(len(STEPS)))
        st.html(
            f'<div class="say"><p>The tour, step {number + 1} of {len(STEPS)} '
            f'<span aria-hidden="true">{dots}</span></p>'
            f"<h3>{step.title}</h3><p>{explained(step.about)}</p></div>",
            width="stretch",
        )
        if step.url:
            st.page_link(
                page_file(step.url), label=step.label, icon=":material/arrow_forward:", width="content"
            )
        if not last:
            st.button("Skip the tour", type="tertiary", key="tour-skip", on_click=_end, args=(page,))
        st.button(
            "Done" if last else "Next", key="tour-next", icon=":material/check:" if last else None,
            on_click=_end if last else _next, args=(page,) if last else (),
        )  # fmt: skip


def _next() -> None:
    st.session_state[_STEP] = min(st.session_state.get(_STEP, 0) + 1, len(STEPS) - 1)


def _end(page: PageContext) -> None:
    """End it: for everybody on this store if an operator does so, else for this visit."""
    st.session_state[_ENDED] = True
    if page.is_operator:
        notices.act(lambda: page_context.service().end_tour(page.actor))
