"""How each layer is: its state, since when, what it takes of the slots, how fast it answers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import streamlit as st

from athena_tuning.model import BreakerState, MemoryHour
from athena_tuning.service import text, units
from athena_tuning.service.layer_rows import LayerRow
from athena_tuning.service.view import View
from athena_tuning.ui.frame import addresses, components
from athena_tuning.ui.frame.components import Cell, heads
from athena_tuning.ui.frame.page_context import PageContext

_STATES = {
    BreakerState.CLOSED: ("answers", "good name"),
    BreakerState.OPEN: ("left out", "bad name"),
    BreakerState.HALF_OPEN: ("being tried", "warn name"),
}


def draw(rows: Sequence[LayerRow], timezone: str) -> None:
    """Draw a row for each layer; its name leads to its recalls."""
    if not rows:
        components.empty("No recall of this period asked a layer.")
        return
    components.static_table(
        [
            "Layer",
            "State",
            *heads("n wide", "Since"),
            Cell("Share of slot time", "bar"),
            *heads("n", "p99"),
            *heads("n wide", "p50", "Waiting", "Calls"),
        ],
        [
            (
                Cell(row.layer, "name", link=addresses.relative("recalls", layer=row.layer)),
                _state(row),
                units.moment(row.since, timezone)[:16] if math.isfinite(row.since) else units.UNKNOWN,
                Cell(
                    units.percent(row.slot_share),
                    share=row.slot_share if math.isfinite(row.slot_share) else 0.0,
                ),
                units.ms(row.p99_ms),
                units.ms(row.p50_ms),
                units.count(row.waiting),
                units.count(row.calls),
            )
            for row in rows
        ],
        limit=40,
    )


def by_manager(page: PageContext) -> None:
    """Draw how the layers of each manager are, those that are not well ahead, and why."""
    known = [(worker, of) for worker, layers in page.service.layer_health().items() for of in layers]
    if not known:
        components.empty("No manager that is alive has reported its layers.")
        return
    known.sort(key=lambda each: (each[1].state is BreakerState.CLOSED, each[1].layer, each[0]))
    for worker, of in known[:24]:
        if of.state is not BreakerState.CLOSED:
            st.text(text.plain(f"{of.layer} on {worker} is left out: {of.reason}", 300))
        if of.blocks_loop:
            st.text(
                text.plain(f"{of.layer} on {worker} kept its event loop from turning {of.blocks_loop}", 300)
            )
    components.static_table(
        [
            "Layer",
            "State",
            *heads("n", "Calls", "Failed", "Late", "Left out"),
            *heads("n wide", "Time lost", "Usual", "Index", "Returned", "Peak"),
            *heads("wide", "Manager"),
        ],
        [
            (
                Cell(of.layer, "name"),
                Cell(*_STATES[of.state]),
                units.count(of.calls),
                units.count(of.failures),
                units.count(of.timeouts),
                units.count(of.left_out),
                units.ms(of.lost_seconds * 1000),
                units.ms(of.typical_ms),
                units.size(of.index_bytes),
                units.size(of.returned_bytes),
                units.size(of.peak_bytes),
                worker,
            )
            for worker, of in known[:24]
        ],
        limit=40,
    )
    st.caption("Counted since each manager started.")


def memory(page: PageContext, view: View) -> None:
    """Draw what each layer took of memory within a period, as far as managers told."""
    by_layer: dict[str, list[MemoryHour]] = defaultdict(list)
    for hours in page.service.layer_memory(view.start, view.end).values():
        for hour in hours:
            if view.layer in (None, hour.layer):
                by_layer[hour.layer].append(hour)
    if not by_layer:
        components.empty("No manager has told what its layers took of memory in this period.")
        return
    rows = []
    for layer, known in sorted(by_layer.items()):
        whole = MemoryHour.joined(known)
        first = MemoryHour.joined([hour for hour in known if hour.start == whole.start])
        rows.append(
            (
                Cell(layer, "name"),
                units.size(first.index_bytes),
                units.size(whole.index_bytes),
                units.size(whole.mean_returned_bytes),
                units.size(whole.peak_bytes),
                units.count(whole.returned),
            )
        )
    components.static_table(
        ["Layer", *heads("n", "Index at first", "At last", "Returned", "Peak", "Samples")], rows, limit=40
    )
    st.caption("By whole hours, of all managers; kept for a week.")


def _state(row: LayerRow) -> Cell:
    if not row.told:
        return Cell("not reported", "was")
    worst = [of.state for of in row.left_out.values()] or [BreakerState.CLOSED]
    return Cell(*_STATES[BreakerState.OPEN if BreakerState.OPEN in worst else worst[0]])
