"""The figures that stand large, as one piece of HTML: it is renewed often, so it is to cost little."""

from __future__ import annotations

import html
from collections.abc import Sequence

import streamlit as st

from athena_tuning.service import text
from athena_tuning.service.headline_figures import HeadlineFigure, Slots
from athena_tuning.ui.frame.page_context import PageContext


def draw(figures: Sequence[HeadlineFigure]) -> None:
    """Draw figures side by side: name, value, and beneath it what it is compared with."""
    st.html(f'<dl class="figures">{"".join(map(_figure, figures))}</dl>')


def slots(page: PageContext) -> Slots:
    """Return the slots of all managers that are alive: of the one here as of now, of others as last told."""
    service = page.service
    limit = service.configs().default.config.max_concurrent
    if service.embedded is not None:
        manager = service.embedded.manager
        return Slots(manager.in_flight, manager.waiting, limit)
    layers = service.layer_health()
    of = [layer for known in layers.values() for layer in known]
    return Slots(sum(x.slots_held for x in of), sum(x.slots_waiting for x in of), limit * max(len(layers), 1))


def _figure(figure: HeadlineFigure) -> str:
    label, value, beneath = (html.escape(text.plain(part, 80)) for part in figure[:3])
    number, _, unit = value.partition(" ")
    small = f" <small>{unit}</small>" if number[:1].isdigit() else f" {unit}"
    value = f"{number}{small if unit else ''}"
    beneath = f'<dd class="beneath">{beneath}</dd>'
    return f'<div><dt>{label}</dt><dd class="{figure.level}">{value}</dd>{beneath}</div>'
