"""What leaves a page: a link to what it shows, its recalls as a file, the figures of its charts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from athena_tuning.service import downloads, units, window_reads
from athena_tuning.service.read_service import ReadService
from athena_tuning.service.view import View
from athena_tuning.ui.frame import controls


def menu(service: ReadService, view: View) -> None:
    """Draw the menu. Files are made when they are asked for, in a thread beside the page."""
    with st.popover("Share", icon=":material/ios_share:", key="share", on_change="rerun") as menu:
        if not menu.open:
            return
        moving, fixed = controls.links(view)
        st.markdown("**Link to this view**")
        st.caption("Moves on with time")
        st.code(moving, language=None, wrap_lines=True)
        st.caption("Exactly this period, in this timezone")
        st.code(fixed, language=None, wrap_lines=True)
        st.markdown("**Take away**")
        _downloads(service, view)


def _downloads(service: ReadService, view: View) -> None:
    name = f"recalls-{units.moment(view.end, view.timezone)[:16].replace(' ', '-').replace(':', '')}"
    n = service.ask(window_reads.summary, view).count
    most = downloads.MOST_RECORDS
    st.caption(
        f"{units.count(n)} recalls in this view"
        + (f"; a file has the first {units.count(most)}, `athena-tuning` writes all" if n > most else "")
    )
    recalls = partial(downloads.records_file, service.store, view)
    with st.container(horizontal=True):
        for label, (suffix, media) in downloads.FORMATS.items():
            _download(label, partial(recalls, suffix), f"{name}{suffix}", media, "download")
    figures = partial(downloads.figures_file, service.window, view)
    _download("Figures of the charts", figures, f"{name}-figures.csv", "text/csv", "table_chart")


def _download(label: str, make: Callable[[], bytes], name: str, media: str, icon: str) -> None:
    st.download_button(
        label, make, name, media, key=f"export-{label}", icon=f":material/{icon}:", on_click="ignore"
    )
