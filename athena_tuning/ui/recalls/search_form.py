"""What is looked for on the Recalls page: text, answers, latencies, a version; all in the address."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from athena_tuning.profiling.questions.recall_search import BANDS_MS, Answer, FoundRecalls, RecallQuery
from athena_tuning.service import units
from athena_tuning.ui.charts import recall_charts
from athena_tuning.ui.frame import components

_BAND = "recalls-band"


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
    return RecallQuery(str(state.get("q") or ""), answers, least, most)


def version() -> int | None:
    """Return the config version that is looked for; None for any."""
    chosen = st.session_state.get("version")
    return int(chosen) if chosen is not None else None


def choices() -> None:
    """Draw what may be looked for beside words; they are drawn before the search, which reads them."""
    left, right = st.columns(2, gap="small")
    for column, label, key in ((left, "From, ms", "least"), (right, "To, ms", "most")):
        with column:
            st.number_input(
                label, min_value=0.0, value=None, step=10.0, key=key, bind="query-params", placeholder="any"
            )
    st.pills("Answer", list(map(str, Answer)), selection_mode="multi", key="answer", bind="query-params")
    st.number_input(
        "Config version",
        min_value=0,
        value=None,
        step=1,
        key="version",
        bind="query-params",
        placeholder="any",
    )


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
    for name, kinds in (
        ("Answer", {str(answer): n for answer, n in found.by_answer.items() if n}),
        ("Type", found.by_type),
        ("Config", {f"v{version}": n for version, n in found.by_version.items()}),
    ):
        rows = [(kind, units.count(n)) for kind, n in list(kinds.items())[:8]]
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
    st.session_state.update(q="", answer=[], least=None, most=None, version=None)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) and value > 0 else None
