"""Versions and decisions: what was written, what it did, and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from athena_tuning.frames import TEXT, TIME, Records, frame
from athena_tuning.model import Action, ConfigSet, ConfigVersion, Decision
from athena_tuning.service import outcomes, units, window_reads
from athena_tuning.service.chart_rows import Prediction
from athena_tuning.ui.charts import latency_charts, what_if_charts
from athena_tuning.ui.config import apply_dialog, predictions
from athena_tuning.ui.config.apply_dialog import Change
from athena_tuning.ui.frame import components, notices
from athena_tuning.ui.frame.page_context import PageContext


def versions(page: PageContext, found: Records[ConfigVersion]) -> list[ConfigVersion]:
    """Draw versions as a table and return those that were chosen, older first."""
    by_number = {version.version: version for version in found}
    table = found.to_pandas()
    event = components.table(
        table.assign(
            change=[_changed(by_number.get(version.parent), version) for version in found],
            restores=table["restores"].replace(0, None),  # an exception that ended brings nothing back
        ),
        {
            "version": st.column_config.NumberColumn("Version", format="%d", width=60),
            "time": components.moment_column("When", page.view.timezone),
            "scope": "Scope",
            "change": st.column_config.TextColumn("Change", width="large"),
            "reason": "Why",
            "author": "By",
            "mode": "Mode",
            "restores": st.column_config.NumberColumn("Brings back", format="v%d"),
        },
        "history-versions",
        on_select="rerun",
        selection_mode="multi-row",
        alt=f"{len(found)} config versions, newest first",
    )
    chosen = [found[row] for row in event.selection.rows if row < len(found)]
    return sorted(chosen, key=lambda version: version.version)


def roll_back_button(page: PageContext, chosen: Sequence[ConfigVersion]) -> None:
    """Draw the button that brings back the chosen version."""
    version = chosen[0] if len(chosen) == 1 else None
    at = page.service.configs().in_scope(version.scope) if version else None
    st.button(
        f"Roll back to version {version.version}…" if version else "Roll back…",
        icon=":material/restore:",
        disabled=version is None or version == at or not page.can_write,
        help=None if version else "Choose one version above",
        on_click=apply_dialog.ask,
        args=(
            Change(
                f"Roll back to version {version.version}",
                at.version if at else 0,
                version.config,
                version.scope,
                f"back to version {version.version}",
                mode=None if version.ends_exception else version.mode,
                restores=0 if version.ends_exception else version.version,
            )
            if version
            else None,
        ),
    )


def compare(page: PageContext, chosen: Sequence[ConfigVersion]) -> None:
    """Draw one version against what is in force, or two against each other: values and measurements."""
    service, view = page.service, page.view
    if len(chosen) == 1:
        at = service.configs().in_scope(chosen[0].scope) or service.configs().default
        pair = (chosen[0], at)
    else:
        pair = (chosen[0], chosen[-1])
    if pair[0].version == pair[1].version:
        st.caption("This version is in force. Choose another one to compare with it.")
        return
    older, newer = pair
    names = (f"v{newer.version}", f"v{older.version}")
    left, right = st.columns([1, 1.7], gap="small")
    with left, components.card("compare-values", f"Version {older.version} against {newer.version}"):
        changes = older.config.changes_to(newer.config)
        components.sheet(
            ["Parameter", f"v{older.version}", f"v{newer.version}"],
            [
                (name, components.Cell(units.setting(a), "was"), components.Cell(units.setting(b), "now"))
                for name, (a, b) in changes.items()
            ]
            or [("nothing", "the same", "the same")],
        )
        summaries = [
            service.ask(window_reads.summary, view.only(config_version=version.version))
            for version in (older, newer)
        ]
        components.sheet(
            [
                "In this period",
                components.Cell(f"v{older.version}", "n"),
                components.Cell(f"v{newer.version}", "n"),
            ],
            [
                ("recalls", *(units.count(s.count) for s in summaries)),
                ("p50", *(units.ms(s.p50_latency_ms) for s in summaries)),
                ("p95", *(units.ms(s.p95_latency_ms) for s in summaries)),
                ("p99", *(units.ms(s.p99_latency_ms) for s in summaries)),
                ("queue wait, mean", *(units.ms(s.mean_queue_ms) for s in summaries)),
                ("failed", *(units.count(s.errors) for s in summaries)),
            ],
        )
        st.caption("Different hours carry different traffic: a difference here is a hint, not a proof.")
    with right, components.card("compare-latency", "Latency by percentile under each"):
        now, n = service.ask(window_reads.percentile_curve, view.only(config_version=newer.version))
        then, n_then = service.ask(window_reads.percentile_curve, view.only(config_version=older.version))
        if n or n_then:
            chart = latency_charts.percentile_plot(
                now, then, counts=(n, n_then), names=names, slo_ms=page.slo_ms
            )
            components.analysis_chart(chart, "compare-chart")
        else:
            components.empty("Neither ran in this period.")


def decisions(page: PageContext, found: Records[Decision], points: Sequence[Prediction]) -> None:
    """Draw decisions as a table, and the reasons of the chosen one.

    Args:
        page: where it stands.
        found: the decisions, newest first.
        points: what came of those that expected something.
    """
    seen = {point.name: point.observed.value for point in points}
    verdicts_on = outcomes.verdicts_of(found)
    changes = Records(Decision, (d for d in found if d.action is not Action.KEEP))
    if changes and not st.toggle("“No change” too", key="history-all"):
        found = changes
    event = components.table(
        found.to_pandas().assign(
            expected=[_expected(decision) for decision in found],
            came=[components.change_of(_observed(decision, verdicts_on, seen)) for decision in found],
        ),
        {
            "time": components.moment_column("When", page.view.timezone),
            "action": "Action",
            "summary": st.column_config.TextColumn("In a sentence", width=300),
            "expected": st.column_config.TextColumn("Expected", width=75),
            "came": st.column_config.TextColumn("Observed", width=75),
            "config_version": st.column_config.NumberColumn("Led to", format="v%d", width=60),
            "samples": "Recalls",
            "scope": "Scope",
            "policy": "Policy",
        },
        "history-decisions",
        tall=380,
        on_select="rerun",
        selection_mode="single-row",
        alt=f"{len(found)} decisions, newest first",
    )
    for row in event.selection.rows:
        if row < len(found):
            _explain(found[row], verdicts_on.get(found[row].decision_id))


def _expected(decision: Decision) -> str:
    expected = outcomes.expectation(decision)
    return components.change_of(expected.value if expected else None)


def _observed(
    decision: Decision, verdicts_on: Mapping[str, Decision], seen: Mapping[str, float]
) -> float | None:
    verdict = verdicts_on.get(decision.decision_id, decision)
    return seen.get(f"v{decision.config_version}") if verdict.observed is None else verdict.observed


def past_predictions(
    page: PageContext, found: Sequence[Decision], written: Sequence[ConfigVersion]
) -> list[Prediction]:
    """Return what changes were expected to bring, with what was observed of them."""
    return outcomes.predictions(
        found,
        written,
        lambda before, after: page.service.ask(outcomes.observed_change, page.view, before, after),
    )


def expected_and_observed(points: Sequence[Prediction]) -> None:
    """Draw what changes were expected to bring against what they brought."""
    if points:
        components.analysis_chart(what_if_charts.expected_and_observed(points), "history-expected")
        st.caption(
            "Latency, type by type, under the version against the one before it, with 95 % intervals. A "
            "point on the line came as expected; another load moves it too."
        )
    else:
        components.empty(
            "Nothing to compare yet: it takes a change that was simulated before it was applied, and "
            f"{outcomes.LEAST} recalls of a type before and after it.",
            icon="rule",
        )


def trail(page: PageContext, written: Sequence[ConfigVersion]) -> None:
    """Draw who did what and why, newest first."""
    entries = outcomes.trail(written, page.service.notes())[:500]
    if not entries:
        components.empty("Nobody has done anything yet.", icon="history_edu")
        return
    at, who, what, why = zip(*entries, strict=True)
    components.table(
        frame({"time": (TIME, at), "who": (TEXT, who), "what": (TEXT, what), "why": (TEXT, why)}),
        {
            "time": components.moment_column("When", page.view.timezone),
            "who": "Who",
            "what": st.column_config.TextColumn("What", width="medium"),
            "why": "Why",
        },
        "history-trail",
        tall=300,
        alt=f"{len(entries)} entries of the audit trail, newest first",
    )


def note_form(page: PageContext) -> None:
    """Draw the field for a note at this moment."""
    form = st.form("note", border=False, clear_on_submit=True)
    with form, st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Note", key="note-text", max_chars=200, placeholder="What happened just now?")
        st.form_submit_button(
            "Keep",
            icon=":material/push_pin:",
            disabled=not page.can_write,
            on_click=lambda: notices.act(
                lambda: page.service.annotate(page.actor, st.session_state["note-text"]), "Noted"
            ),
        )


def _explain(decision: Decision, verdict: Decision | None) -> None:
    for sentence in outcomes.explanation(decision, verdict):
        st.text(sentence)
    components.sheet(
        ["Parameter", "Before", "After", components.Cell("Why", "why")],
        [
            (name, components.Cell(was, "was"), components.Cell(then, "now" if differs else "was"), why)
            for name, was, then, why, differs in window_reads.proposal_rows(decision)
        ],
        limit=320,
    )
    predictions.considered(decision)


def _changed(parent: ConfigVersion | None, version: ConfigVersion) -> str:
    if version.ends_exception:
        return "exception ended: as all types"
    before = parent or ConfigSet().default
    changes = [
        f"{name} {units.setting(a)} → {units.setting(b)}"
        for name, (a, b) in before.config.changes_to(version.config).items()
    ]
    if before.mode is not version.mode:
        changes.append(f"mode {before.mode.value} → {version.mode.value}")
    return ", ".join(changes) or "no value"
