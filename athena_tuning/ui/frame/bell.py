"""The bell in every page's bar: how many alerts hold, and the last that began or ended."""

from __future__ import annotations

import streamlit as st

from athena_tuning.service import text, units
from athena_tuning.service.read_service import ReadService
from athena_tuning.ui.frame import controls
from athena_tuning.ui.frame.navigation import page_file

_NEWEST = 6


def bell(service: ReadService) -> None:
    """Draw it. What it lists is drawn when it is opened."""
    alerts = service.alerts()
    hold = sum(alert.ended is None for alert in alerts)
    label = f"{hold} alert{'s' if hold != 1 else ''}" if hold else "Alerts"
    icon = ":material/notifications_active:" if hold else ":material/notifications:"
    with st.popover(label, icon=icon, key="bell", on_change="rerun") as opened:
        if not opened.open:
            return
        if not alerts:
            st.text("No alert in the last thirty days.")
        for alert in alerts[:_NEWEST]:
            since = units.moment(alert.began, controls.zone())[:16]
            over = (
                "holds" if alert.ended is None else f"over after {units.seconds(alert.ended - alert.began)}"
            )
            st.text(text.plain(alert.sentence, 160))
            st.caption(f"{since} · {over}")
        st.page_link(page_file("incidents"), label="All incidents", icon=":material/arrow_forward:")
