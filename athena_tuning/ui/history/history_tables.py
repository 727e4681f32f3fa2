"""Versions and decisions: what was written, what it did, and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from athena_tuning.frames import TEXT, TIME, Records, frame
from athena_tuning.model import Action, ConfigSet, ConfigVersion, Decision
from athena_tuning.service import outcomes, parameter_rows, units, window_reads
from athena_tuning.service.chart_rows import Incomparable, Prediction, percent
from athena_tuning.ui.charts import latency_charts, what_if_charts
from athena_tuning.ui.config import apply_dialog, predictions
from athena_tuning.ui.config.apply_dialog import PendingChange
from athena_tuning.ui.frame import components, notices
from athena_tuning.ui.frame.components import Cell
from athena_tuning.ui.frame.page_context import PageContext


def versions(page: PageContext, written: Records[ConfigVersion]) -> list[ConfigVersion]:
    """Draw versions as a table and return those that were chosen, older first."""
    by_number = {version.version: version for version in written}
    frame_of_versions = written.to_pandas()
    event = components.table(
        frame_of_versions.assign(
            change=[_change_words(_before(version, by_number), version) for version in written],
            restores=frame_of_versions["restores"].replace(0, None),  # an ended exception restores nothing
            scope=[_scope_words(version) for version in written],
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
        alt=f"{len(written)} config versions, newest first",
    )
    chosen = [written[row] for row in event.selection.rows if row < len(written)]
    return sorted(chosen, key=lambda version: version.version)


def roll_back_button(page: PageContext, chosen: Sequence[ConfigVersion]) -> None:
    """Draw the button that brings back the chosen version."""
    version = chosen[0] if len(chosen) == 1 and not chosen[0].ends_experiment else None
    at = page.service.configs().in_scope(version.applies_to) if version else None
    change = None
    if version is not None:
        change = PendingChange(
            f"Roll back to version {version.version}",
            at.version if at else 0,
            version.config,
            version.applies_to,
            f"back to version {version.version}",
            mode=None if version.ends_exception else version.mode,
            restores=0 if version.ends_exception else version.version,
        )
    apply_dialog.button(
        page,
        f"{change.title}…" if change else "Roll back…",
        change,
        icon=":material/restore:",
        disabled=version == at,
        help=None if version else "Choose one version above",
    )


def compare(page: PageContext, chosen: Sequence[ConfigVersion]) -> None:
    """Draw one version against what is in force, or two against each other: values and measurements."""
    service, view = page.service, page.view
    if len(chosen) == 1:
        at = service.configs().in_scope(chosen[0].applies_to) or service.configs().default
        pair = (chosen[0], at)
    else:
        pair = (chosen[0], chosen[-1])
    if pair[0].version == pair[1].version:
        st.caption("This version is in force. Choose another one to compare with it.")
        return
    older, newer = pair
    names = (f"v{older.version}", f"v{newer.version}")
    left, right = st.columns([1, 1.7], gap="small")
    with left, components.card("compare-values", f"Version {older.version} against {newer.version}"):
        components.static_table(
            ["Parameter", *names],
            [
                (row.label, Cell(row.before, "was"), Cell(row.after, "now"))
                for row in parameter_rows.changes(older.config, newer.config)
            ]
            or [("nothing", "the same", "the same")],
        )
        summaries = [
            service.ask(window_reads.summary, view.only(config_version=version.version)) for version in pair
        ]
        components.static_table(
            ["In this period", *(Cell(name, "n") for name in names)],
            [
                (name, *(write(getattr(summary, field)) for summary in summaries))
                for name, field, write in (
                    ("recalls", "count", units.count),
                    ("p50", "p50_latency_ms", units.ms),
                    ("p95", "p95_latency_ms", units.ms),
                    ("p99", "p99_latency_ms", units.ms),
                    ("queue wait, mean", "mean_queue_ms", units.ms),
                    ("failed", "errors", units.count),
                    ("refused", "refused", units.count),
                )
            ],
        )
        st.caption("Different hours carry different traffic: a difference here is a hint, not a proof.")
    with right, components.card("compare-latency", "Latency by percentile under each"):
        (then, n_then), (now, n) = (
            service.ask(window_reads.percentile_curve, view.only(config_version=version.version))
            for version in pair
        )
        if n or n_then:
            labels = (names[1], names[0])
            chart = latency_charts.percentile_plot(
                now, then, counts=(n, n_then), names=labels, slo_ms=page.slo_ms
            )
            components.analysis_chart(chart, "compare-chart")
        else:
            components.empty("Neither ran in this period.")


def decisions(page: PageContext, made: Records[Decision], past: Sequence[Prediction]) -> None:
    """Draw decisions as a table, and the reasons of the chosen one.

    Args:
        page: where it stands.
        made: the decisions, newest first.
        past: what was observed of those that expected something of the same measure.
    """
    known = {prediction.name: prediction for prediction in past}
    verdicts = outcomes.verdicts_of(made)
    changes = Records(Decision, (d for d in made if d.action is not Action.KEEP))
    if changes and not st.toggle("“No change” too", key="history-all"):
        made = changes

    compared = [known.get(f"v{decision.config_version}") for decision in made]
    expected = [p.expected if p else outcomes.expectation(d) for p, d in zip(compared, made, strict=True)]
    observed = [p.observed.value if p else d.observed for p, d in zip(compared, made, strict=True)]
    event = components.table(
        made.to_pandas().assign(
            summary=[parameter_rows.summary_of(decision) for decision in made],
            expected=[percent(change.value if change else None) for change in expected],
            seen=[percent(change) for change in observed],
        ),
        {
            "time": components.moment_column("When", page.view.timezone),
            "action": "Action",
            "summary": st.column_config.TextColumn("In a sentence", width=300),
            "expected": st.column_config.TextColumn("Expected", width=75),
            "seen": st.column_config.TextColumn("Seen", width=75),
            "config_version": st.column_config.NumberColumn("Led to", format="v%d", width=60),
            "samples": "Recalls",
            "scope": "Scope",
            "policy": "Policy",
        },
        "history-decisions",
        tall=380,
        on_select="rerun",
        selection_mode="single-row",
        alt=f"{len(made)} decisions, newest first",
    )
    for row in event.selection.rows:
        if row < len(made):
            _explanation(made[row], verdicts.get(made[row].decision_id))


def past_predictions(
    page: PageContext, made: Sequence[Decision], written: Sequence[ConfigVersion]
) -> tuple[list[Prediction], list[Incomparable]]:
    """Return what changes were expected to bring, with what was observed of them, or why it cannot be."""
    return outcomes.predictions(
        made,
        written,
        lambda decision, before, after: page.service.ask(
            outcomes.observed_change, page.view, before, after, (decision.before, decision.after)
        ),
    )


def expected_and_observed(points: Sequence[Prediction], others: Sequence[Incomparable]) -> None:
    """Draw what changes were expected to bring against what they brought; say which cannot be compared."""
    if points:
        components.analysis_chart(what_if_charts.expected_and_observed(points), "history-expected")
        st.caption(
            "Typical latency of recalls that the cache did not answer, type by type at about the same load, "
            "with 95 % intervals; or what the tuner's trial measured. A point on the line came as expected."
        )
    else:
        components.empty(
            "Nothing to compare yet: it takes a change that was simulated before it was applied, and "
            f"{outcomes.LEAST} recalls of a type before and after it.",
            icon="rule",
        )
    for other in others:
        st.caption(f"{other.name} cannot be compared: {other.why}.")


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


def _explanation(decision: Decision, verdict: Decision | None) -> None:
    for sentence in outcomes.explanation(decision, verdict):
        st.text(sentence)
    components.static_table(
        ["Parameter", "Before", "After", Cell("Why", "why")],
        [
            (row.label, Cell(row.before, "was"), Cell(row.after, "now" if row.differs else "was"), row.why)
            for row in parameter_rows.decided(decision)
        ],
        limit=320,
    )
    predictions.candidates(decision)


def _before(version: ConfigVersion, known: Mapping[int, ConfigVersion]) -> ConfigVersion | None:
    """Return the version that one is a change of."""
    return known.get(version.experiment.base if version.experiment else version.parent)


def _scope_words(version: ConfigVersion) -> str:
    if version.ends_experiment:
        return "experiment"
    return f"experiment, {version.applies_to}" if version.experiment else version.scope


def _change_words(parent: ConfigVersion | None, version: ConfigVersion) -> str:
    if version.ends_experiment:
        return f"end of the experiment with v{version.parent}"
    if version.ends_exception:
        return "exception ended: as all types"
    before = parent or ConfigSet().default
    rows = parameter_rows.changes(before.config, version.config)
    changes = [f"{row.label} {row.before} → {row.after}" for row in rows]
    if before.mode is not version.mode:
        changes.append(f"mode {before.mode.value} → {version.mode.value}")
    return ", ".join(changes) or "no value"
