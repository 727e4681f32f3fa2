"""Simulate hours or days of load in seconds, so that pages have something to show without waiting."""

from __future__ import annotations

import streamlit as st

from athena_tuning.load.spec import LoadSpec
from athena_tuning.service import units
from athena_tuning.ui.frame import notices
from athena_tuning.ui.frame.page_context import PageContext

PATTERNS = {"day": "with a day's rhythm", "bursty": "in bursts", "steady": "evenly"}


def card(page: PageContext) -> None:
    """Draw the form of a fast forward."""
    st.caption(
        "Simulated on what was measured, under the config in force, as if it had just ended. "
        "All of it is marked as simulated."
    )
    with st.form("forward", border=False):
        with st.grid(3, min_column_width=120, gap="small"):
            st.number_input(
                "Hours", 1.0, 72.0, 24.0, format="%g", key="forward-hours", disabled=not page.can_write
            )
            st.number_input(
                "Recalls /s", 0.01, 5.0, 1.0, format="%g", key="forward-rate", disabled=not page.can_write
            )
            st.selectbox(
                "Arriving",
                list(PATTERNS),
                format_func=PATTERNS.__getitem__,
                key="forward-pattern",
                disabled=not page.can_write,
            )
        st.form_submit_button(
            "Fast forward",
            icon=":material/fast_forward:",
            disabled=not page.can_write,
            on_click=lambda: notices.act(lambda: _forward(page)),
        )


def spec_from(values: dict[str, object]) -> LoadSpec:
    """Return the load that the form's values describe.

    Raises:
        ValueError: if a value does not fit; widgets check in the browser only.

    Example:
        >>> spec_from({"forward-hours": 24.0, "forward-rate": 1.0, "forward-pattern": "day"}).duration_s
        86400.0
    """
    hours, rate = (float(str(values.get(f"forward-{name}", 1))) for name in ("hours", "rate"))
    pattern = str(values.get("forward-pattern", "day"))
    if not 0 < hours <= 72 or not 0 < rate <= 5 or pattern not in PATTERNS:
        raise ValueError(f"a fast forward is of 72 h and 5 recalls/s at most, not {hours:g} h at {rate:g}/s")
    return LoadSpec(pattern, rate_per_s=rate, duration_s=hours * 3600)


def _forward(page: PageContext) -> None:
    spec = spec_from({str(key): value for key, value in st.session_state.items()})
    count = page.service.fast_forward(page.actor, spec)
    notices.act(lambda: None, f"Simulated {units.count(count)} recalls")
