"""What a happening changed: before and after it, at equal load, or why that cannot be told."""

from __future__ import annotations

import streamlit as st

from athena_tuning.service import text, timeline, units
from athena_tuning.service.before_after import before_after
from athena_tuning.service.timeline import Happening, Lane
from athena_tuning.service.view import View
from athena_tuning.ui.frame import components
from athena_tuning.ui.frame.components import Cell
from athena_tuning.ui.frame.page_context import PageContext


def draw(page: PageContext, view: View, chosen: Happening, others: list[Happening]) -> None:
    """Draw what a happening is, and the figures on both sides of it."""
    when = units.moment(chosen.start, view.timezone, date=False)
    st.markdown(f"**{when}** {text.markdown(chosen.about, 160)}")
    start, end = timeline.neighbours(chosen, others)
    if chosen.lane is not Lane.CONFIG and chosen.end is not None:
        end = min(chosen.end, end or chosen.end)
    told = page.service.ask(before_after, view, chosen.start, start, end)
    after = "During it" if chosen.end else "After"
    if told.before is not None and told.after is not None:
        components.static_table(
            ["", *components.heads("n", "Before", after)],
            [(name, *map(written, (told.before, told.after))) for name, written in _ROWS],
        )
    if told.why_not:
        st.caption(f"Cannot be compared: {text.markdown(told.why_not, 200)}.")
    else:
        st.caption(
            "Compared are stretches of equal load around it, no further away than ten minutes or the next "
            "change of the config; what the cache answered is left out. Click the mark again to let go."
        )


def _percentile(ms: float) -> Cell:
    return Cell("too few" if ms != ms else units.ms(ms))  # noqa: PLR0124 (NaN is not itself)


_ROWS = (
    ("p99", lambda side: _percentile(side.p99_ms)),
    ("p50", lambda side: _percentile(side.p50_ms)),
    ("Recalls that asked layers", lambda side: units.rate(side.per_second)),
    ("From the cache", lambda side: units.percent(side.cached)),
)
