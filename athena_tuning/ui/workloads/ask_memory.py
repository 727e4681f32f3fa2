"""Sample workloads to look at and load, and a memory to ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from athena_tuning.model import QueryMetrics
from athena_tuning.samples.sample_workloads import SampleWorkload
from athena_tuning.service import text, units, window_reads
from athena_tuning.ui.frame import components, form_values, notices
from athena_tuning.ui.frame.chips import Chip, chips
from athena_tuning.ui.frame.exploring import look_at
from athena_tuning.ui.frame.page_context import PageContext

_ANSWER = "what was answered last"
_DRAWER = "sample in the drawer"


def query_form(page: PageContext) -> None:
    """Draw the field for a query, and the answer to the last one."""
    with st.form("ask", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(
            "Query", key="ask-text", placeholder="When did the billing deploy fail?", max_chars=10_000
        )
        st.number_input("Results", value=5, step=1, key="ask-k", width=110)
        st.toggle("Cache", True, key="ask-cache", help="Off asks the layers even if the answer is known.")
        st.form_submit_button(
            "Ask",
            type="primary",
            icon=":material/search:",
            disabled=not page.can_write,
            on_click=lambda: notices.act(lambda: _recall(page)),
        )
    kept = st.session_state.get(_ANSWER)
    if kept is not None:
        _answer(page, *kept)


def sample(page: PageContext, workload: SampleWorkload) -> None:
    """Draw what a sample workload teaches, how it looks, and the button that loads it."""
    st.text(text.plain(workload.teaches, 400))
    st.caption(_size(workload))
    st.space("stretch")
    with st.container(horizontal=True):
        st.button(
            "Load",
            key=f"load-{workload.name}",
            icon=":material/download:",
            disabled=not page.can_write or page.service.embedded is None,
            on_click=lambda: notices.act(
                lambda: look_at(page.service.take_sample(page.actor, workload.name).source),
                f"Loaded “{workload.title}”: {units.count(workload.recalls)} recalls, shown by themselves",
            ),
        )
        st.button(
            "Look at it",
            key=f"look-{workload.name}",
            icon=":material/visibility:",
            on_click=lambda: st.session_state.update({_DRAWER: workload.name}),
        )


def sample_drawer(page: PageContext) -> None:
    """Open the drawer of the workload that somebody wants to look at."""
    name = st.session_state.get(_DRAWER)
    sample = next((sample for sample in page.service.samples() if sample.name == name), None)
    if sample is not None:
        drawer = st.dialog(sample.title, position="right", width="large", on_dismiss=_close_drawer)
        drawer(_draw_sample)(page, sample)


def trending(page: PageContext) -> None:
    """Draw what is asked most."""
    queries = page.service.window.trending(1, 10, sources=page.view.sources)
    if not queries:
        components.empty("Nothing was asked in the last hour.")
        return
    most = max(query.count for query in queries)
    st.dataframe(
        [{"Asked": query.count, "Query": text.plain(query.text, 200) or units.UNKNOWN} for query in queries],
        hide_index=True,
        key="trending",
        column_config={
            "Asked": st.column_config.ProgressColumn(width=120, min_value=0, max_value=most, format="%d"),
            "Query": st.column_config.TextColumn(width="large"),
        },
        alt=f"The query asked most was asked {most} times",
    )


def _recall(page: PageContext) -> None:
    state = st.session_state
    limit = int(form_values.number({"k": state["ask-k"]}, "k", "results", 1, 50))
    answer = page.service.recall(page.actor, state["ask-text"], k=limit, use_cache=bool(state["ask-cache"]))
    manager = page.service.embedded.manager if page.service.embedded else None
    newest = manager.profiler.metrics[-50:] if manager else []
    record = next((m for m in reversed(newest) if m.query_id == answer["_query_id"]), None)
    state[_ANSWER] = ({**answer, "_fused": answer["_fused"][:limit]}, record)


def _answer(page: PageContext, answer: Mapping[str, Any], record: QueryMetrics | None) -> None:
    chips(
        [
            Chip(answer["_query_type"], "type"),
            Chip(", ".join(answer["_layers"]) or "none", "layers"),
            Chip(units.ms(answer["_latency_ms"]), "took", "accent"),
            Chip("the cache" if answer["_cache_hit"] else "the layers", "answered by"),
            Chip(f"v{answer['_config_version']}", "config"),
            *(
                [Chip(f"try again in {units.seconds(answer['_retry_after_s'])}", "refused", "bad")]
                if answer.get("_refused")
                else []
            ),
            *(Chip(f"{layer}: {why}", "no answer from", "bad") for layer, why in answer["_errors"].items()),
        ]
    )
    left, right = st.columns([1.5, 1], gap="small")
    with left:
        _feedback(page, answer["_query_id"])
        if answer["_fused"]:
            components.static_table(
                [components.Cell("", "n"), components.Cell("Layer", "name"), "Item"],
                [(n, item["layer"], item["text"]) for n, item in enumerate(answer["_fused"], start=1)],
                limit=400,
            )
        else:
            components.empty("Nothing was found.", icon="search_off")
    with right:
        if record is not None:
            components.waterfall(record, page.view.timezone)


def _feedback(page: PageContext, query_id: str) -> None:
    key = f"feedback-{query_id}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("Was that the answer?", width="content")
        st.feedback(
            "thumbs",
            key=key,
            disabled=not page.can_write,
            on_change=lambda: notices.act(lambda: _send_feedback(page, query_id, st.session_state[key])),
        )


def _send_feedback(page: PageContext, query_id: str, thumb: int | None) -> None:
    if thumb is not None and not page.service.give_feedback(page.actor, query_id, float(thumb)):
        raise ValueError("That answer is not known any more, so nobody can judge it.")


def _draw_sample(page: PageContext, workload: SampleWorkload) -> None:
    records = records_of_sample(workload.name)
    st.text(text.plain(workload.teaches, 400))
    st.caption(_size(workload))
    slow = sorted(records, key=lambda record: -(record.latency_ms or 0.0))
    counted: dict[str, list[float]] = {}
    for record in records:
        counted.setdefault(record.query_type, []).append(record.latency_ms or 0.0)
    components.static_table(
        ["Type", *components.heads("n", "Recalls", "p50", "p99")],
        [
            (kind, units.count(len(ms)), units.ms(_quantile(ms, 0.5)), units.ms(_quantile(ms, 0.99)))
            for kind, ms in sorted(counted.items())
        ],
    )
    st.markdown("### Its slowest recalls")
    components.records(slow[:15], page.view.timezone, key="look-slow")
    st.markdown("### How it was made")
    st.json(dict(workload.made), expanded=False)


@st.cache_data(max_entries=4, show_spinner=False)
def records_of_sample(name: str) -> list[QueryMetrics]:
    """Return a sample workload's records as they were recorded."""
    return window_reads.recorded(name)


def _close_drawer() -> None:
    st.session_state.pop(_DRAWER, None)


def _size(workload: SampleWorkload) -> str:
    size = f"{units.count(workload.recalls)} recalls in {units.seconds(workload.seconds)}"
    return size + (f" · a day, time-compressed {workload.stretch:.0f}-fold" if workload.stretch > 1 else "")


def _quantile(values: list[float], quantile: float) -> float:
    return sorted(values)[int(quantile * len(values))]
