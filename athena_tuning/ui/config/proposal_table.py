"""The config in force beside what the tuner proposes, on the Config page, and the way to apply it."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from athena_tuning.model import ConfigVersion, Proposal, TuningConfig
from athena_tuning.service import parameter_rows, text
from athena_tuning.service.verdict import Verdict
from athena_tuning.ui.config import apply_dialog
from athena_tuning.ui.config.apply_dialog import PendingChange
from athena_tuning.ui.frame import components, exploring
from athena_tuning.ui.frame.components import Cell
from athena_tuning.ui.frame.page_context import PageContext

_ALWAYS = {"max_concurrent", "timeout_seconds", "strategy", "enable_cache", "enable_parallel"}


def side_by_side(at: ConfigVersion, proposal: Proposal | None) -> None:
    """Draw what is in force and what is proposed beside it; what is as it always is folds away.

    What too few recalls speak for is not proposed yet.
    """
    decision = proposal.current.decision if proposal and not proposal.missing else None
    changed = (
        {row.name: row for row in parameter_rows.changes(decision.before, decision.after)} if decision else {}
    )
    config, usual = (decision.before if decision else at.config).to_dict(), TuningConfig().to_dict()
    heads = ["Parameter", "In force", "Proposed"] if decision else ["Parameter", "In force"]
    shown: list[list[object]] = []
    folded: list[list[object]] = []
    for name, value in config.items():
        row: list[object] = [parameter_rows.label(name), parameter_rows.written(name, value)]
        if decision:
            row.append(Cell(changed[name].after, "now") if name in changed else Cell("as it is", "was"))
        of_note = name in changed or name in _ALWAYS or value != usual[name]
        (shown if of_note else folded).append(row)
    components.static_table(heads, shown)
    if folded:
        with st.expander(f"{len(folded)} more, as they are by default", key="in-force-rest"):
            components.static_table(heads, folded)


def button(page: PageContext, proposal: Proposal, verdict: Verdict, base: int, scope: str) -> None:
    """Draw the button that opens the dialog for a proposal; it stands out where the verdict allows it."""
    reason = text.plain(parameter_rows.summary_of(proposal.current.decision), 300)
    title, label = (
        "Apply the tuner's proposal",
        "Apply the proposal" if verdict.may_stand_out else "Apply it all the same",
    )
    stands_out = verdict.may_stand_out
    if page.explored is not None:
        found_on = exploring.name_of(page.explored)
        title, label, stands_out = f"Apply what was found on {found_on}", "Apply what was found", False
        reason = f"found on {text.plain(page.explored.source, 80)} alone: {reason}"
    change = PendingChange(
        title,
        base,
        proposal.current.decision.after,
        scope,
        reason,
        caution=verdict.caution,
        is_doubted=bool(verdict.doubt),
    )
    kind = "primary" if stands_out else "secondary"
    with st.container(horizontal=True):
        apply_dialog.button(page, label, change, type=kind, icon=":material/check:")
        tried = replace(change, title="Try what the tuner proposes", is_to_be_tried=True)
        apply_dialog.button(page, f"{apply_dialog.TRY}…", tried, icon=":material/experiment:")
