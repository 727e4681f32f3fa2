"""Load runs that are kept: what came out of one, and whether one of two was better."""

from __future__ import annotations

import math
from collections.abc import Callable

import streamlit as st

from athena_tuning.frames import Records
from athena_tuning.load.compare import Comparison, Difference, compare
from athena_tuning.load.report.writing import comparison_report, run_report
from athena_tuning.load.summary import LoadSummary
from athena_tuning.service import audit, text, units
from athena_tuning.ui.frame import components
from athena_tuning.ui.frame.components import Cell, heads
from athena_tuning.ui.frame.page_context import PageContext

_SHOWN = 50


def kept_runs(page: PageContext) -> None:
    """Draw the kept runs, and below them the one or the two that were chosen."""
    runs = page.service.loads.archive.newest(_SHOWN)
    if not runs:
        components.empty("No load run is kept yet. Start one, here or with `athena-tuning load run`.")
        return
    chosen = _choose(page, runs)
    if not chosen:
        st.caption("Choose a run to see what came out of it, or two to compare them.")
        return
    columns = st.columns(len(chosen), gap="small")
    for place, run in zip(columns, chosen, strict=True):
        with place, components.card(f"run-{run.id}", "What came out"):
            st.caption(
                f"Run {text.markdown(run.id, 64)}: {text.markdown(audit.load_in_words(run.spec), 120)}"
            )
            figures(run)
    if len(chosen) == 2:
        with components.card("run-compared", "Was the later one better?"):
            comparison(compare(*chosen))
            before, after = chosen
            _download(lambda: comparison_report(before, after), f"runs-{before.id}-{after.id}")


def figures(run: LoadSummary) -> None:
    """Draw the figures of a run."""
    since_due, alone = (run.p50_ms, run.p95_ms, run.p99_ms), (run.service_p50_ms, run.service_p99_ms)
    components.static_table(
        ["", Cell("", "n")],
        [
            ("asked, answered", f"{units.count(run.offered)}, {units.count(run.finished)}"),
            ("answered a second", units.rate(run.achieved_per_s)),
            ("p50, p95, p99 from when due", ", ".join(map(units.ms, since_due))),
            ("p50, p99 of the manager alone", ", ".join(map(units.ms, alone))),
            ("asked late, p99", units.ms(run.late_p99_ms)),
            ("from the cache", units.percent(run.cache_hits / run.cache_known if run.cache_known else None)),
            ("partial answers, errors", f"{run.partials}, {run.errors}"),
            ("config versions", ", ".join(f"v{v}: {n}" for v, n in sorted(run.config_versions.items()))),
        ],
    )
    _download(lambda: run_report(run), f"run-{run.id}")


def _download(report: Callable[[], str], name: str) -> None:
    st.download_button(
        "Report",
        lambda: report().encode(),
        f"{name}.html",
        "text/html",
        key=f"report-{name}",
        icon=":material/description:",
        on_click="ignore",
        help="One HTML file that any browser shows without a connection.",
    )


def comparison(result: Comparison) -> None:
    """Draw the differences between two runs with their intervals, and what makes them hard to compare."""
    components.static_table(
        ["", *heads("n", "Earlier", "Later", "Change", "95 % interval"), "", Cell("", "wide")],
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
            for d in result.differences
        ],
    )
    for note in result.notes:
        st.text(text.plain(note, 300))


def _choose(page: PageContext, runs: Records[LoadSummary]) -> list[LoadSummary]:
    event = components.table(
        runs.to_pandas().assign(load=[audit.load_in_words(run.spec) for run in runs]),
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
        alt=f"{len(runs)} load runs, newest first",
    )
    rows_chosen = [row for row in event.selection.rows if row < len(runs)][:2]
    return sorted((runs[row] for row in rows_chosen), key=lambda run: run.started or 0.0)


def _value(d: Difference, value: float) -> str:
    shown = {"ms": units.ms, "1/s": units.rate, "share": units.percent}[d.unit]
    return shown(value)


def _change(share: float) -> str:
    return units.UNKNOWN if math.isnan(share) else f"{share:+.1%}"
