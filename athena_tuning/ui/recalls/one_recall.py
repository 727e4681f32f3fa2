"""One recall, or two beside each other: where their time went, with a link of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from athena_tuning.model import QueryMetrics
from athena_tuning.service import text
from athena_tuning.ui.frame import components
from athena_tuning.ui.frame.page_context import PageContext

TABLE = "recalls-table"
_LINK = "recall"
_LISTED = "listed recalls"
MOST = 2


def listed(recalls: Sequence[QueryMetrics]) -> None:
    """Keep which recalls the table lists, for the callback that takes the chosen ones."""
    st.session_state[_LISTED] = [record.query_id for record in recalls]


def take_chosen() -> None:
    """Put the chosen recalls into the address; meant for a callback."""
    event: Any = st.session_state.get(TABLE)
    known = st.session_state.get(_LISTED, [])
    chosen = [known[row] for row in event.selection.rows if row < len(known)][:MOST] if event else []
    if chosen:
        st.query_params[_LINK] = chosen
    elif _LINK in st.query_params:
        del st.query_params[_LINK]


def shown(page: PageContext) -> list[QueryMetrics | None]:
    """Return the recalls that the address names; None for one that the window does not hold."""
    return [page.service.window.find(name[:200]) for name in st.query_params.get_all(_LINK)[:MOST]]


def draw(page: PageContext, recalls: Sequence[QueryMetrics | None]) -> None:
    """Draw recalls side by side, or say how to choose one."""
    for column, record in zip(st.columns(len(recalls), gap="medium"), recalls, strict=True):
        with column:
            if record is None:
                st.text("This recall is not in the window any more: it holds the newest of seven days.")
                st.caption("`athena-tuning metrics export` takes older ones out of the store.")
            else:
                components.waterfall(record, page.view.timezone)
    if len(recalls) == MOST:
        _difference(recalls)


def _difference(recalls: Sequence[QueryMetrics | None]) -> None:
    """Draw what differs between two recalls, layer by layer."""
    first, second = recalls
    if first is None or second is None:
        return
    layers = dict.fromkeys(task.layer for record in (first, second) for task in record.tasks)
    rows = []
    for layer in layers:
        sides = [[t for t in record.tasks if t.layer == layer] for record in (first, second)]
        waits, served = ([sum(getattr(t, name) for t in side) if side else None for side in sides]
                         for name in ("queue_ms", "service_ms"))  # fmt: skip
        rows.append(
            (components.Cell(text.plain(layer, 30), "name"), *map(components.ms_cell, (*waits, *served)))
        )
    heads = components.heads("n", "Waited, first", "second", "Served, first", "second")
    components.static_table(["Layer", *heads], rows)
