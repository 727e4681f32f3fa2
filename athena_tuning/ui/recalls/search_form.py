"""What is looked for on the Recalls page: text, answers, latencies, a version; all in the address."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import streamlit as st

from athena_tuning.model import Source
from athena_tuning.model.source import MEASURED
from athena_tuning.profiling.questions.recall_search import BANDS_MS, Answer, FoundRecalls, RecallQuery
from athena_tuning.service import text, units
from athena_tuning.service.view import View
from athena_tuning.ui.charts import recall_charts
from athena_tuning.ui.frame import components

ANYBODY = "any"
_BAND = "recalls-band"
LIVE_AND_LOAD = (Source.LIVE.value, Source.LOAD.value)


def text_and_order() -> None:
    """Draw the search box and the order."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Search", key="q", bind="query-params", placeholder="Words of the query, in any order",
            label_visibility="collapsed", icon=":material/search:", max_chars=200,
        )  # fmt: skip
        st.segmented_control(
            "Order", ["slowest", "newest"], default="slowest", required=True, key="order",
            bind="query-params", label_visibility="collapsed",
        )  # fmt: skip


def wanted() -> RecallQuery:
    """Return what is looked for."""
    state = st.session_state
    least, most = (_number(state.get(key)) for key in ("least", "most"))
    answers = frozenset(Answer(name) for name in state.get("answer") or () if name in set(Answer))
    manager = str(state.get("manager") or ANYBODY)
    return RecallQuery(
        str(state.get("q") or ""), answers, least, most, None if manager == ANYBODY else manager
    )


def narrowed(view: View) -> View:
    """Return a view with the version and the sources alone that are looked for."""
    chosen = st.session_state.get("version")
    kinds = frozenset(st.session_state.get("kind") or ())
    narrow = view.only(config_version=int(chosen) if chosen is not None else None)
    return narrow.only(sources=kinds) if kinds and view.sources == MEASURED else narrow


def choices(managers: Sequence[str], view: View) -> None:
    """Draw what may be looked for beside words; they are drawn before the search, which reads them."""
    left, right = st.columns(2, gap="small")
    for column, label, key in ((left, "From, ms", "least"), (right, "To, ms", "most")):
        with column:
            st.number_input(
                label, min_value=0.0, value=None, step=10.0, key=key, bind="query-params", placeholder="any"
            )
    st.pills("Answer", list(map(str, Answer)), selection_mode="multi", key="answer", bind="query-params")
    if view.sources == MEASURED:
        st.pills("Source", LIVE_AND_LOAD, selection_mode="multi", key="kind", bind="query-params")
    st.selectbox(
        "Manager", [ANYBODY, *managers], key="manager", bind="query-params",
        format_func=lambda name: "any" if name == ANYBODY else text.plain(name, 40),
    )  # fmt: skip
    st.number_input(
        "Config version", min_value=0, value=None, step=1, key="version", bind="query-params",
        placeholder="any",
    )  # fmt: skip


def bands(found: FoundRecalls) -> None:
    """Draw how many recalls took how long; a band can be chosen."""
    st.markdown("## Latency")
    components.analysis_chart(
        recall_charts.bands(found.bands, wanted()),
        _BAND,
        on_select=take_band,
        selection_mode=("points", "box"),
    )


def counts(found: FoundRecalls) -> None:
    """Draw how many recalls there are of each kind, and the way back to all."""
    for name, of in (
        ("Answer", {str(answer): n for answer, n in found.by_answer.items() if n}),
        ("Type", found.by_type),
        ("Source", found.by_source),
        ("Config", {f"v{version}": n for version, n in found.by_version.items()}),
    ):
        rows = [(kind, units.count(n)) for kind, n in list(of.items())[:8]]
        components.static_table([name, components.Cell("Recalls", "n")], rows, limit=30)
    st.button(
        "Remove all", type="tertiary", icon=":material/filter_alt_off:", on_click=remove_all, key="remove-all"
    )


def take_band() -> None:
    """Look at the bands that were chosen in the picture alone; meant for a callback."""
    event: Any = st.session_state.get(_BAND)
    if not event or not event.selection.points:
        return
    places = [point["point_index"] for point in event.selection.points]
    st.session_state["least"], st.session_state["most"] = BANDS_MS[min(places)], BANDS_MS[max(places) + 1]


def remove_all() -> None:
    """Look at all recalls of the view again; meant for a callback."""
    st.session_state.update(q="", answer=[], least=None, most=None, version=None, kind=[], manager=ANYBODY)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) and value > 0 else None
