"""The small tables of Overview: layers, managers, and what a verdict rests on."""

from __future__ import annotations

import math
from collections.abc import Sequence

from athena_tuning.model import BreakerState, LayerHealth, Proposal
from athena_tuning.service import text, units, window_reads
from athena_tuning.service.view import View
from athena_tuning.ui.frame import components
from athena_tuning.ui.frame.components import Cell, heads
from athena_tuning.ui.frame.page_context import PageContext


def rests_on(page: PageContext, proposal: Proposal) -> str:
    """Return what a proposal rests on, and who told it when, as a caption."""
    words = f"Rests on {units.count(proposal.recalls)} recalls"
    if page.explored is not None:
        return f"{words}."
    told = units.ago(page.service.now - proposal.time)
    return f"{words}; told {told} by {text.markdown(proposal.author, 40)}."


def layers(page: PageContext, view: View) -> None:
    """Draw how each layer is, those that are left out first: state, time, share of all slot time, waits."""
    rows = page.service.ask(window_reads.rows_by_layer, view)
    most = max((row.p99 for row in rows if math.isfinite(row.p99)), default=1.0)
    shares = page.service.ask(window_reads.slot_shares, view)
    told: dict[str, list[LayerHealth]] = {}
    for of in page.service.layer_health().values():
        for layer in of:
            told.setdefault(layer.layer, []).append(layer)
    components.static_table(
        [
            "Layer",
            "State",
            Cell("p99", "bar"),
            *heads("n wide", "p50", "Slot time", "Waiting"),
            Cell("Calls", "n"),
        ],
        [
            (
                Cell(row.name, "name"),
                _state(told.get(row.name, []), view.timezone),
                Cell(units.ms(row.p99), share=row.p99 / most if math.isfinite(row.p99) else 0.0),
                units.ms(row.p50),
                units.percent(shares.get(row.name)),
                units.count(sum(layer.slots_waiting for layer in told.get(row.name, []))),
                units.count(row.n),
            )
            for row in sorted(rows, key=lambda row: (not _ill(told.get(row.name, [])), -row.p99))
        ],
    )


def _ill(layers: Sequence[LayerHealth]) -> list[LayerHealth]:
    return [layer for layer in layers if layer.state is not BreakerState.CLOSED]


def _state(layers: Sequence[LayerHealth], timezone: str) -> Cell:
    if ill := _ill(layers):
        since = units.moment(min(layer.since for layer in ill), timezone, date=False)[:5]
        return Cell(f"left out since {since}", "bad name")
    return Cell("answers", "good name") if layers else Cell("not reported", "was")


def fleet(page: PageContext) -> None:
    """Draw each manager that is known, those that are alive first: load, p99, config, time up."""
    service = page.service
    managers, head, measured = service.workers(), service.configs().head, service.by_manager()
    if not managers:
        components.empty("No manager has reported itself yet.")
        return
    rows = []
    for worker in sorted(managers, key=lambda worker: (not service.is_alive(worker), worker.worker_id))[:8]:
        figures = measured.get(worker.worker_id)
        rows.append(
            (
                worker.worker_id,
                Cell("alive", "good") if service.is_alive(worker) else Cell("gone", "was"),
                units.rate(figures.per_second if figures else None),
                units.ms(figures.p99_ms if figures else None),
                Cell(f"v{worker.config_version}", "" if worker.config_version == head else "was"),
                units.age(worker.last_seen - worker.started),
            )
        )
    columns: list[str | Cell] = [
        "Manager",
        "",
        *heads("n", "Recalls", "p99", "Config"),
        *heads("n wide", "Up"),
    ]
    components.static_table(columns, rows, limit=40)
