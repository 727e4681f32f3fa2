"""Where a person says what is promised: a p99, a success, for all recalls or for one type."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from athena_tuning.model import QUERY_TYPES, Objective
from athena_tuning.service import audit, text, units
from athena_tuning.service.view import view_of
from athena_tuning.service.window_reads import summary
from athena_tuning.ui.frame import components, form_values, notices
from athena_tuning.ui.frame.page_context import PageContext

_OPEN = "promise is open"
_SCOPE, _P99, _SUCCESS = "promise-scope", "promise-p99", "promise-success"
MOST_MS = 3_600_000.0


def show() -> None:
    """Open the dialog."""
    st.session_state[_OPEN] = True


def dialog(page: PageContext) -> None:
    """Draw the dialog, if it is open."""
    if st.session_state.get(_OPEN):
        st.dialog("What is promised?", width="medium", on_dismiss=_close)(_body)(page)


def _body(page: PageContext) -> None:
    if not st.session_state.get(_OPEN):
        st.rerun()
    told = page.service.objectives()
    st.text(
        "An objective is what people who wait for recalls may count on. Overview says whether it is kept, "
        "charts draw it. It lies in the store, for everybody."
    )
    scopes = list(dict.fromkeys(["all", *QUERY_TYPES, *page.service.window.query_types()]))
    scope = st.selectbox(
        "For", scopes, key=_SCOPE,
        format_func=lambda name: "all recalls" if name == "all" else f"{text.plain(name, 40)} recalls alone",
    )  # fmt: skip
    was = told.get(scope) or Objective(scope)
    left, right = st.columns(2)
    with left:
        st.number_input(
            "p99 at most, ms", value=was.p99_ms, min_value=0.0, step=10.0, key=f"{_P99}-{scope}",
            placeholder="none", help="Of 100 recalls 99 take at most so long. Empty: no promise.",
        )  # fmt: skip
    with right:
        st.number_input(
            "Success at least, %", value=None if was.success is None else round(was.success * 100, 4),
            min_value=0.0, max_value=100.0, step=0.1, format="%.4g", key=f"{_SUCCESS}-{scope}",
            placeholder="none",
            help="So many neither fail nor are refused; 99.9 for instance. Empty: no promise.",
        )  # fmt: skip
    seen = page.service.ask(summary, view_of("24h", page.service.now).only(
        query_type=None if scope == "all" else scope
    ))  # fmt: skip
    if seen.count:
        st.caption(
            f"In the last day p99 was {units.ms(seen.p99_latency_ms)}, "
            f"p99.9 {units.ms(seen.p999_latency_ms)}, of {units.count(seen.count)} recalls."
        )
    promised = [o for o in told.values() if not o.is_none]
    components.static_table(
        ["For", "Promised", "By"],
        [
            (o.scope, audit.objective_in_words(o).partition(": ")[2], f"{o.author}")
            for o in sorted(promised, key=lambda o: o.scope)
        ],
    )
    notices.show()
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button("Promise nothing", on_click=_keep, args=(page, Objective(scope)), key="promise-nothing")
        st.button(
            "Promise", type="primary", icon=":material/flag:", on_click=_promise, args=(page, was),
            key="promise", disabled=not page.is_operator,
        )  # fmt: skip


def _promise(page: PageContext, was: Objective) -> None:
    state = {str(key): value for key, value in st.session_state.items()}

    def wanted() -> None:
        p99, success = (state.get(f"{key}-{was.scope}") for key in (_P99, _SUCCESS))
        if p99 is None and success is None:
            raise ValueError("say what is promised: a p99, a success, or both")
        if p99 is not None:
            form_values.number(state, f"{_P99}-{was.scope}", "p99", 0.001, MOST_MS)
        made = replace(was, p99_ms=p99, success=None if success is None else float(success) / 100)
        page.service.promise(page.actor, made)
        _close()

    notices.act(wanted, "Kept for everybody who uses this store")


def _keep(page: PageContext, objective: Objective) -> None:
    def write() -> None:
        page.service.promise(page.actor, objective)
        _close()

    notices.act(write, "Kept: nothing is promised")


def _close() -> None:
    st.session_state.pop(_OPEN, None)
