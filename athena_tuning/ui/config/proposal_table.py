"""What the tuner proposes on the Config page, parameter by parameter, and the way to apply it."""

from __future__ import annotations

from athena_tuning.model import ConfigVersion, Decision, Proposal
from athena_tuning.service import parameter_rows, text, units
from athena_tuning.ui.config import advice, apply_dialog, predictions
from athena_tuning.ui.config.apply_dialog import PendingChange
from athena_tuning.ui.frame import components, exploring
from athena_tuning.ui.frame.components import Cell
from athena_tuning.ui.frame.page_context import PageContext


def table(decision: Decision) -> None:
    """Draw current, proposed, change and why of every parameter, and what was considered."""
    if decision.before == decision.after:
        _unchanged(decision)
        return
    before, after = decision.before.to_dict(), decision.after.to_dict()
    components.static_table(
        [
            "Parameter",
            "In force",
            "Proposed",
            Cell("Change", "wide"),
            Cell("Why", "why"),
        ],
        [
            (
                row.label,
                Cell(row.before, "was"),
                Cell(row.after, "now"),
                Cell(units.step(before[row.name], after[row.name]), "wide"),
                row.why,
            )
            if row.differs
            else (row.label, row.before, Cell("as it is", "was"), Cell("", "wide"), row.why)
            for row in parameter_rows.decided(decision)
        ],
        limit=320,
    )


def _unchanged(decision: Decision) -> None:
    why = {parameter_rows.label(reason.parameter): reason.rule for reason in decision.reasons}
    rows = [
        (name, value, Cell("as it is", "was"), why.get(name, ""))
        for name, value in parameter_rows.all_of(decision.before)
    ]
    shown = 4 if why else 3
    columns: list[str | Cell] = ["Parameter", "In force", "Proposed", Cell("Why", "why")]
    components.static_table(columns[:shown], [row[:shown] for row in rows])
    predictions.candidates(decision)


def button(page: PageContext, proposal: Proposal, base: int, scope: str) -> None:
    """Draw the button that opens the dialog for a proposal; it stands out only where it is advice."""
    decision, primary = proposal.current.decision, advice.is_primary(page, proposal)
    reason = text.plain(parameter_rows.summary_of(decision), 300)
    title, label = "Apply the tuner's proposal", "Apply the proposal" if primary else "Apply it all the same"
    if page.explored is not None:
        found_on = exploring.name_of(page.explored)
        title, label = f"Apply what was found on {found_on}", "Apply what was found"
        reason = f"found on {text.plain(page.explored.source, 80)} alone: {reason}"
    change = PendingChange(title, base, decision.after, scope, reason)
    kind = "primary" if primary else "secondary"
    apply_dialog.button(page, label, change, type=kind, icon=":material/check:")


def in_force(at: ConfigVersion) -> None:
    """Draw what is in force, for as long as nothing is proposed."""
    components.static_table(["Parameter", "In force"], parameter_rows.all_of(at.config))
