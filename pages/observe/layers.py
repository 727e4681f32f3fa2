"""Layers: does each answer, and is it worth what it costs?"""

import streamlit as st

from athena_tuning.service.layer_rows import layer_rows, say_of_layers
from athena_tuning.service.view import View
from athena_tuning.ui.frame import components, page_context
from athena_tuning.ui.layers import health_table, quality_tables

page = page_context.current()
service = page.service


def health(view: View) -> None:
    rows = layer_rows(service.window, view, {} if page.explored else service.layer_health())
    components.statement(say_of_layers(rows, view.timezone))
    with components.card(
        "layer-health", "Health", "p99 is a layer's own time, the wait for a slot left out."
    ):
        health_table.draw(rows, view.timezone)


def worth(view: View) -> None:
    costs = service.layer_costs(view)
    with components.card("layer-worth", "What leaving a layer out would cost, and save", "Per recall."):
        quality_tables.worth(costs)
    left, right = st.columns([1.3, 1], gap="small")
    with left, components.card("layer-types", "What each adds, by type of recall"):
        quality_tables.by_type(costs)
    with right, components.card("layer-feedback", "How good answers were"):
        quality_tables.feedback(page, view)


page.live(health)
page.live(worth, 30.0)
if page.explored is None:
    with components.card("layer-managers", "By manager"):
        page.live(lambda _: health_table.by_manager(page), calmly=True)
    with components.card("layer-memory", "Memory", "What layers took in the period."):
        page.live(lambda view: health_table.memory(page, view), 30.0)
