"""Looking at one source by itself: a sample, a file, a simulation or a load run, and nothing else."""

from __future__ import annotations

import streamlit as st

from athena_tuning.model import Source, SourceBatch
from athena_tuning.service import text, units
from athena_tuning.service.read_service import ReadService
from athena_tuning.service.roles import Actor
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.ui.frame import notices
from athena_tuning.ui.frame.navigation import page_file

MEASURED_HERE = "measured"
KINDS = {
    Source.LOAD.value: "load run",
    Source.SAMPLE.value: "sample",
    Source.IMPORTED.value: "file",
    Source.SIMULATED.value: "simulation",
}
_KEY = "source"
_FIXED = {MEASURED_HERE: "Live and load", Source.LIVE.value: "Live alone"}


def choice(service: ReadService) -> None:
    """Draw the choice of what is looked at."""
    there = {batch.source: batch for batch in service.sources()}
    options = [*_FIXED, *there]
    if st.session_state.get(_KEY, MEASURED_HERE) not in options:  # it was taken out meanwhile
        st.session_state[_KEY] = MEASURED_HERE
    st.selectbox(
        "Looked at",
        options,
        key=_KEY,
        bind="query-params",
        label_visibility="collapsed",
        width=190,
        format_func=lambda source: _FIXED.get(source) or name_of(there[source]),
        help="What was measured here, or one sample, file, simulation or load run by itself, on every page.",
    )


def explored(service: ReadService) -> SourceBatch | None:
    """Return the batch that is looked at by itself; None while it is what was measured here."""
    chosen = _chosen()
    return next((batch for batch in service.sources() if batch.source == chosen), None)


def live_alone() -> bool:
    """Whether load is left out."""
    return _chosen() == Source.LIVE.value


def look_at(source: str) -> None:
    """Look at a batch by itself from now on; meant for callbacks."""
    st.session_state[_KEY] = source


def banner(service: TuningService, actor: Actor, *, can_write: bool) -> None:
    """Say what is looked at by itself, and offer the ways on; nothing while nothing is."""
    batch = explored(service)
    if batch is None:
        return
    with st.container(key="exploring", horizontal=True, vertical_alignment="center", gap="small"):
        name = text.markdown(name_of(batch), 90)
        st.markdown(
            f":material/frame_inspect: **{name}** by itself: {units.count(batch.records)} recalls of "
            f"{units.seconds(batch.newest - batch.oldest)}. {_meaning(batch)}",
            width="stretch",
        )
        st.page_link(page_file("latency"), label="Latency")
        st.page_link(page_file("patterns"), label="Heatmap")
        st.page_link(page_file("cache"), label="Cache")
        st.page_link(page_file("config"), label="Config for it")
        st.button(
            "Back", icon=":material/undo:", on_click=look_at, args=(MEASURED_HERE,), key="exploring-back",
            help="Back to what was measured here",
        )  # fmt: skip
        st.button(
            "Take out",
            icon=":material/delete:",
            key="exploring-remove",
            disabled=not can_write,
            help="Remove it from the store, with its roll-ups",
            on_click=lambda: notices.act(
                lambda: _take_out(service, actor, batch.source), f"{name_of(batch)} is out of the store"
            ),
        )


def name_of(batch: SourceBatch) -> str:
    """Return what a batch is called."""
    kind = KINDS.get(batch.kind, text.plain(batch.kind, 24))
    return f"{kind} {text.plain(batch.id, 60)}" if batch.id else f"{kind}s of earlier"


def _meaning(batch: SourceBatch) -> str:
    if batch.kind == Source.LOAD:
        return "It was really asked here."
    return "No manager is tuned by it."


def _take_out(service: TuningService, actor: Actor, source: str) -> None:
    service.remove_source(actor, source)
    look_at(MEASURED_HERE)


def _chosen() -> str:
    return str(st.session_state.get(_KEY, st.query_params.get(_KEY, MEASURED_HERE)))
