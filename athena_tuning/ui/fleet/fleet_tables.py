"""Which managers there are, what each carries, and what was lost on the way from it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from athena_tuning.service import fleet_rows, text, units
from athena_tuning.service.fleet_rows import ManagerRow
from athena_tuning.service.store_reads import WORKER_IS_ALIVE_SECONDS
from athena_tuning.ui.frame import addresses, components
from athena_tuning.ui.frame.components import Cell, heads
from athena_tuning.ui.frame.page_context import PageContext

_MOST = 24


def rows_of(page: PageContext) -> list[ManagerRow]:
    """Return the managers that share the store."""
    service, configs = page.service, page.service.configs()
    return fleet_rows.fleet_rows(
        service.workers(),
        service.by_manager(),
        service.layer_health(),
        head=configs.head,
        limit=service.fleet_limit(),
        now=service.now,
        alive_seconds=WORKER_IS_ALIVE_SECONDS,
    )


def draw(page: PageContext, rows: Sequence[ManagerRow]) -> None:
    """Draw a row for each manager; its name leads to its recalls."""
    if not rows:
        components.empty("A manager shows itself here some seconds after its start.")
        return
    limit = page.service.fleet_limit()
    st.text(text.plain(limit.sentence, 200))
    if limit.advice:
        st.text(text.plain(limit.advice, 400))
    components.static_table(
        [
            "Manager",
            Cell("State", "name"),
            *heads("n", "Recalls"),
            Cell("Slots busy", "bar wide"),
            *heads("n", "p99"),
            *heads("n wide", "Wants", "Waiting"),
            Cell("Config", "n"),
            *heads("n wide", "Up", "Lost", "Refused", "Seen"),
        ],
        [_cells(page, row) for row in rows[:_MOST]],
        limit=40,
    )
    alive = [row for row in rows if row.is_alive]
    words = f"{len(alive)} alive, {len(rows) - len(alive)} gone"
    carried = sum(row.per_second for row in alive if row.per_second == row.per_second)
    words += f" · together {units.rate(carried)}"
    if len(rows) > _MOST:
        words += f" · the first {_MOST} of {len(rows)} are listed"
    st.caption(
        f"{words}. Lost: records that did not reach the store. Refused: records that cannot be true. Recalls "
        "and p99 are of the last ten minutes."
    )


def _cells(page: PageContext, row: ManagerRow) -> tuple[object, ...]:
    of = row.status
    return (
        Cell(of.worker_id, "name", link=addresses.relative("recalls", manager=of.worker_id)),
        Cell("alive", "good name") if row.is_alive else Cell("gone", "was name"),
        units.rate(row.per_second if row.is_alive else None),
        Cell(f"{row.busy} of {row.limit}", share=row.full) if row.is_alive else Cell(units.UNKNOWN),
        units.ms(row.p99_ms if row.is_alive else None),
        units.UNKNOWN if row.wanted is None or not row.is_alive else f"{row.wanted:.1f}",
        units.count(row.waiting) if row.is_alive else units.UNKNOWN,
        Cell(f"v{of.config_version}", "" if row.is_current else "was"),
        units.age(of.last_seen - of.started),
        Cell(units.count(of.dropped_metrics), "bad" if of.dropped_metrics else ""),
        Cell(units.count(of.rejected_metrics), "bad" if of.rejected_metrics else ""),
        units.ago(page.service.now - of.last_seen),
    )
