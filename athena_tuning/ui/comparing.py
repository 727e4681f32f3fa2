"""Versions and decisions: what was written, what it did, and the way back."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from athena_tuning.model import ConfigSet, ConfigVersion, Decision
from athena_tuning.ui import applying, figures, notices, parts, reads, text, units
from athena_tuning.ui.applying import Change
from athena_tuning.ui.shell import Here


def versions(here: Here, found: Sequence[ConfigVersion]) -> list[ConfigVersion]:
    """Draw versions as a table and return those that were chosen, older first."""
    by_number = {version.version: version for version in found}
    rows = [
        {
            "v": version.version,
            "When": units.moment(version.time, here.view.timezone),
            "Scope": text.plain(version.scope, 30),
            "Change": _changed(by_number.get(version.parent), version),
            "Why": text.plain(version.reason, 200),
            "By": text.plain(version.author, 40),
            "Mode": version.mode.value,
            "Brings back": f"v{version.restores}" if version.restores else "",
        }
        for version in found
    ]
    event = st.dataframe(
        rows,
        hide_index=True,
        key="history-versions",
        on_select="rerun",
        selection_mode="multi-row",
        height=min(420, 38 + 35 * len(rows)),
        column_config={
            "v": st.column_config.NumberColumn("Version", format="%d", width=60),
            "Change": st.column_config.TextColumn(width="large"),
        },
        alt=f"{len(rows)} config versions, newest first",
    )
    chosen = [found[row] for row in event.selection.rows if row < len(found)]
    return sorted(chosen, key=lambda version: version.version)


def roll_back_button(here: Here, chosen: Sequence[ConfigVersion]) -> None:
    """Draw the button that brings back the chosen version."""
    version = chosen[0] if len(chosen) == 1 else None
    at = here.service.configs().in_scope(version.scope) if version else None
    st.button(
        f"Roll back to version {version.version}…" if version else "Roll back…",
        icon=":material/restore:",
        disabled=version is None or version == at or not here.can_write,
        help=None if version else "Choose one version above",
        on_click=applying.ask,
        args=(
            Change(
                f"Roll back to version {version.version}",
                at.version if at else 0,
                version.config,
                version.scope,
                f"back to version {version.version}",
                restores=version.version,
            )
            if version
            else None,
        ),
    )


def compare(here: Here, chosen: Sequence[ConfigVersion]) -> None:
    """Draw one version against what is in force, or two against each other: values and measurements."""
    service, view = here.service, here.view
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
    with left, parts.card("compare-values", f"Version {older.version} against {newer.version}"):
        changes = older.config.changes_to(newer.config)
        parts.sheet(
            ["Parameter", f"v{older.version}", f"v{newer.version}"],
            [
                (name, parts.Cell(units.setting(a), "was"), parts.Cell(units.setting(b), "now"))
                for name, (a, b) in changes.items()
            ]
            or [("nothing", "the same", "the same")],
        )
        summaries = [
            service.ask(reads.summary, view.only(config_version=version.version))
            for version in (older, newer)
        ]
        parts.sheet(
            ["In this period", parts.Cell(f"v{older.version}", "n"), parts.Cell(f"v{newer.version}", "n")],
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
    with right, parts.card("compare-latency", "Latency by percentile under each"):
        now, n = service.ask(reads.percentile_curve, view.only(config_version=newer.version))
        then, n_then = service.ask(reads.percentile_curve, view.only(config_version=older.version))
        if n or n_then:
            chart = figures.percentile_plot(now, then, counts=(n, n_then), names=names, slo_ms=here.slo_ms)
            parts.analysis_chart(chart, "compare-chart")
        else:
            parts.empty("Neither ran in this period.")


def decisions(here: Here, found: Sequence[Decision]) -> None:
    """Draw decisions as a table, and the reasons of the chosen one."""
    rows = [
        {
            "When": units.moment(decision.time, here.view.timezone),
            "Scope": text.plain(decision.scope, 30),
            "Action": decision.action.value,
            "In a sentence": text.plain(decision.summary, 240),
            "Recalls": decision.samples,
            "Expected": parts.change_of(decision.predicted),
            "Observed": parts.change_of(decision.observed),
            "Led to": f"v{decision.config_version}" if decision.config_version else "",
            "Policy": text.plain(decision.policy, 30),
        }
        for decision in found
    ]
    event = st.dataframe(
        rows,
        hide_index=True,
        key="history-decisions",
        on_select="rerun",
        selection_mode="single-row",
        height=min(380, 38 + 35 * len(rows)),
        column_config={"In a sentence": st.column_config.TextColumn(width="large")},
        alt=f"{len(rows)} decisions, newest first",
    )
    for row in event.selection.rows:
        if row < len(found):
            _explain(found[row])


def note_form(here: Here) -> None:
    """Draw the field for a note at this moment."""
    form = st.form("note", border=False, clear_on_submit=True)
    with form, st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Note", key="note-text", max_chars=200, placeholder="What happened just now?")
        st.form_submit_button(
            "Keep",
            icon=":material/push_pin:",
            disabled=not here.can_write,
            on_click=lambda: notices.act(
                lambda: here.service.annotate(here.actor, st.session_state["note-text"]), "Noted"
            ),
        )


def _explain(decision: Decision) -> None:
    parts.sheet(
        ["Parameter", "Before", "After", parts.Cell("Why", "why")],
        [
            (name, parts.Cell(was, "was"), parts.Cell(then, "now" if differs else "was"), why)
            for name, was, then, why, differs in reads.proposal_rows(decision)
        ],
        limit=320,
    )
    if decision.bound:
        st.text(f"What kept it from going further: {text.plain(decision.bound, 200)}")
    if decision.candidates:
        parts.sheet(
            ["Considered", parts.Cell("Expected", "n"), parts.Cell("95 % interval", "n")],
            [
                (
                    ", ".join(
                        f"{name} {units.setting(b)}"
                        for name, (_, b) in decision.before.changes_to(candidate.config).items()
                    )
                    or "as it was",
                    parts.change_of(candidate.predicted),
                    f"{parts.change_of(candidate.low)} to {parts.change_of(candidate.high)}",
                )
                for candidate in decision.candidates[:3]
            ],
        )


def _changed(parent: ConfigVersion | None, version: ConfigVersion) -> str:
    before = parent or ConfigSet().default
    changes = [
        f"{name} {units.setting(a)} → {units.setting(b)}"
        for name, (a, b) in before.config.changes_to(version.config).items()
    ]
    if before.mode is not version.mode:
        changes.append(f"mode {before.mode.value} → {version.mode.value}")
    return ", ".join(changes) or "no value"
