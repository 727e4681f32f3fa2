"""Load runs that are kept: what came out of one, and whether one of two was better."""

from __future__ import annotations

import math

import streamlit as st

from athena_tuning.frames import Records
from athena_tuning.load.compare import Comparison, Difference, compare
from athena_tuning.load.report.writing import run_report
from athena_tuning.load.summary import LoadSummary
from athena_tuning.service import audit, text, units
from athena_tuning.ui.frame import components
from athena_tuning.ui.frame.page_context import PageContext

_SHOWN = 50


def kept(page: PageContext) -> None:
    """Draw the kept runs, and below them the one or the two that were chosen."""
    found = page.service.loads.archive.newest(_SHOWN)
    if not found:
        components.empty("No load run is kept yet. Start one, here or with `athena-tuning load run`.")
        return
    chosen = _chosen(page, found)
    if not chosen:
        st.caption("Choose a run to see what came out of it, or two to compare them.")
        return
    columns = st.columns(len(chosen), gap="small")
    for place, came in zip(columns, chosen, strict=True):
        with place, components.card(f"run-{came.id}", "What came out"):
            st.caption(f"Run {text.markdown(came.id, 64)}: {text.markdown(audit.told(came.spec), 120)}")
            outcome(came)
    if len(chosen) == 2:
        with components.card("run-compared", "Was the later one better?"):
            compared(compare(*chosen))


def outcome(came: LoadSummary) -> None:
    """Draw the figures of a run."""
    components.sheet(
        ["", components.Cell("", "n")],
        [
            ("asked, answered", f"{units.count(came.offered)}, {units.count(came.finished)}"),
            ("answered a second", units.rate(came.achieved_per_s)),
            (
                "p50, p95, p99 from when due",
                ", ".join(map(units.ms, (came.p50_ms, came.p95_ms, came.p99_ms))),
            ),
            (
                "p50, p99 of the manager alone",
                f"{units.ms(came.service_p50_ms)}, {units.ms(came.service_p99_ms)}",
            ),
            ("asked late, p99", units.ms(came.late_p99_ms)),
            (
                "from the cache",
                units.percent(came.cache_hits / came.cache_known if came.cache_known else None),
            ),
            ("partial answers, errors", f"{came.partials}, {came.errors}"),
            ("config versions", ", ".join(f"v{v}: {n}" for v, n in sorted(came.config_versions.items()))),
        ],
    )
    st.download_button(
        "Report",
        lambda: run_report(came).encode(),
        f"run-{came.id}.html",
        "text/html",
        key=f"report-{came.id}",
        icon=":material/description:",
        on_click="ignore",
        help="One HTML file that any browser shows without a connection.",
    )


def compared(found: Comparison) -> None:
    """Draw the differences between two runs with their intervals, and what makes them hard to compare."""
    components.sheet(
        ["", components.Cell("Earlier", "n"), components.Cell("Later", "n"), components.Cell("Change", "n"),
         components.Cell("95 % interval", "n"), "", components.Cell("", "wide")],
        [
            (
                d.measure,
                _value(d, d.before),
                _value(d, d.after),
                _change(d.change),
                units.UNKNOWN if math.isnan(d.low) else f"{_change(d.low)} to {_change(d.high)}",
                d.verdict.value,
                d.why,
            )
            for d in found.differences
        ],
    )  # fmt: skip
    for note in found.notes:
        st.text(text.plain(note, 300))


def _chosen(page: PageContext, found: Records[LoadSummary]) -> list[LoadSummary]:
    event = components.table(
        found.to_pandas().assign(load=[audit.told(came.spec) for came in found]),
        {
            "started": components.moment_column("Began", page.view.timezone),
            "load": "Load",
            "state": "State",
            "achieved_per_s": st.column_config.NumberColumn("Answers /s", format="%.1f"),
            "p50_ms": st.column_config.NumberColumn("p50 ms", format="%.1f"),
            "p99_ms": st.column_config.NumberColumn("p99 ms", format="%.1f"),
            "errors": "Errors",
            "id": "Run",
        },
        "kept-runs",
        on_select="rerun",
        selection_mode="multi-row",
        alt=f"{len(found)} load runs, newest first",
    )
    rows_chosen = [row for row in event.selection.rows if row < len(found)][:2]
    return sorted((found[row] for row in rows_chosen), key=lambda came: came.started or 0.0)


def _value(d: Difference, value: float) -> str:
    shown = {"ms": units.ms, "1/s": units.rate, "share": units.percent}[d.unit]
    return shown(value)


def _change(share: float) -> str:
    return units.UNKNOWN if math.isnan(share) else f"{share:+.1%}"
