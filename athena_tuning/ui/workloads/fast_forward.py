"""Simulate hours or days of load in seconds, so that pages have something to show without waiting."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from athena_tuning.load.spec import LoadSpec
from athena_tuning.service import units
from athena_tuning.ui.frame import form_values, notices
from athena_tuning.ui.frame.page_context import PageContext

PATTERNS = {"day": "with a day's rhythm", "bursty": "in bursts", "steady": "evenly"}


def card(page: PageContext) -> None:
    """Draw the form of a fast forward."""
    st.caption(
        "Simulated on what was measured, under the config in force, as if it had just ended. "
        "All of it is marked as simulated."
    )
    locked = not page.is_operator  # needs no manager: the store takes what is simulated
    with st.form("forward", border=False):
        with st.grid(3, min_column_width=120, gap="small"):
            st.number_input("Hours", value=24.0, format="%g", key="forward-hours", disabled=locked)
            st.number_input("Recalls /s", value=1.0, format="%g", key="forward-rate", disabled=locked)
            st.selectbox(
                "Arriving",
                list(PATTERNS),
                format_func=PATTERNS.__getitem__,
                key="forward-pattern",
                disabled=locked,
            )
        st.form_submit_button(
            "Fast forward",
            icon=":material/fast_forward:",
            disabled=locked,
            on_click=lambda: notices.act(lambda: _forward(page)),
        )


def spec_from(values: Mapping[str, object]) -> LoadSpec:
    """Return the load that the form's values describe.

    Raises:
        ValueError: if a value does not fit.

    Example:
        >>> spec_from({"forward-hours": 24.0, "forward-rate": 1.0, "forward-pattern": "day"}).duration_s
        86400.0
    """
    hours = form_values.number(values, "forward-hours", "hours", 1, 72)
    rate = form_values.number(values, "forward-rate", "recalls a second", 0.01, 5)
    return LoadSpec(str(values.get("forward-pattern")), rate_per_s=rate, duration_s=hours * 3600)


def _forward(page: PageContext) -> None:
    spec = spec_from({str(key): value for key, value in st.session_state.items()})
    count = page.service.fast_forward(page.actor, spec)
    notices.act(lambda: None, f"Simulated {units.count(count)} recalls")
