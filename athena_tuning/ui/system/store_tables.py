"""What System says of who writes, of what the store keeps, and of the sources in it, with their ways out."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import streamlit as st

from athena_tuning.service import units
from athena_tuning.service.roles import Role
from athena_tuning.store.retention import DAY, DEFAULT
from athena_tuning.ui.frame import addresses, components, exploring
from athena_tuning.ui.frame.components import Cell, heads
from athena_tuning.ui.frame.page_context import PageContext

_KEPT = {
    "raw": "Recalls, their texts and feedback",
    "minutes": "Figures by minute",
    "hours": "Figures by hour",
    "days": "Figures by day",
    "decisions": "Decisions, events and alerts",
    "workers": "Managers that are gone, messages",
}
_SOURCES = 12


def writers(page: PageContext) -> None:
    """Draw who may write configs, and who does."""
    service = page.service
    blocked, told = service.blocked(), service.proposal()
    operator = page.actor.role is Role.OPERATOR
    rows = [
        ("You", f"{page.actor.name}, {'may write' if operator else 'may look'}"),
        ("The tuner that leads", told.author if told else "none has told a proposal yet"),
        ("Newest config by", next((v.author for v in service.history(1)), "nobody: the defaults")),
        ("Changes are obeyed", blocked or "yes"),
    ]
    components.static_table(["", Cell("", "n")], rows)
    if not operator:
        st.caption("The app's terminal prints the link that makes its visitor an operator.")
    elif blocked:
        st.caption("`athena-tuning manager` with the same store starts one that obeys.")


def kept(page: PageContext) -> None:
    """Draw how long what is kept, and how much room the store takes."""
    rows: list[tuple[str, str]] = [
        (_KEPT[field.name], f"{getattr(DEFAULT, field.name) / DAY:g} days") for field in fields(DEFAULT)
    ]
    if (size := _file_bytes(page.service.store.url)) is not None:
        rows.append(("The store's files", units.size(size)))
    components.static_table(["", Cell("", "n")], rows)
    st.caption("`athena-tuning store compact` gives room back; `store backup` keeps a copy.")


def sources(page: PageContext) -> None:
    """Draw what the store holds beside live recalls; each leads to itself, where it can be taken out."""
    batches = page.service.sources()
    if not batches:
        components.empty("Live recalls alone.", icon="check")
        return
    components.static_table(
        ["Source", *heads("n", "Recalls"), *heads("n wide", "Newest")],
        [
            (
                Cell(exploring.name_of(batch), link=addresses.relative("latency", source=batch.source)),
                units.count(batch.records),
                units.ago(page.service.now - batch.newest),
            )
            for batch in batches[:_SOURCES]
        ],
    )
    st.caption("A source is looked at by itself; there it can be taken out of the store.")


def _file_bytes(url: str) -> int | None:
    """Return the size of a SQLite store with its log; None for any other."""
    scheme, _, name = url.partition(":///")
    if scheme != "sqlite" or not name:
        return None
    files = [Path(f"{name}{suffix}") for suffix in ("", "-wal")]
    return sum(file.stat().st_size for file in files if file.exists())
