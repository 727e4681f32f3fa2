"""What the tuner proposes on the Config page: parameter by parameter, with what a simulation says of each."""

from __future__ import annotations

from collections.abc import Mapping

from athena_tuning.load.whatif_run import WhatIfRun
from athena_tuning.model import ConfigVersion, Decision, TuningConfig, TuningStrategy
from athena_tuning.service import parameter_rows, text, units
from athena_tuning.ui.config import apply_dialog, predictions
from athena_tuning.ui.config.apply_dialog import PendingChange
from athena_tuning.ui.frame import components
from athena_tuning.ui.frame.components import Cell
from athena_tuning.ui.frame.page_context import PageContext

PROPOSAL = "proposal"


def cases(decision: Decision) -> dict[str, TuningConfig]:
    """Return what to simulate of a proposal: all of it, and each changed parameter by itself.

    Example:
        >>> from athena_tuning.model import Action
        >>> before, after = TuningConfig(), TuningConfig(max_concurrent=8, timeout_seconds=6.0)
        >>> decision = Decision("d", 0.0, "rules", "all", Action.CHANGE, before, after, "", 100)
        >>> list(cases(decision))
        ['proposal', 'max_concurrent', 'timeout_seconds']
    """
    changed = decision.before.changes_to(decision.after)
    alone = {
        name: TuningConfig.from_dict({**decision.before.to_dict(), name: then})
        for name, (_, then) in changed.items()
    }
    return {PROPOSAL: decision.after, **(alone if len(alone) > 1 else {})}


def forecasts(
    page: PageContext, decision: Decision, strategies: Mapping[TuningStrategy, TuningConfig], scope: str
) -> tuple[WhatIfRun | None, WhatIfRun | None]:
    """Return the runs that simulate the proposal and the strategies; one run for both where it can be."""
    by_strategy = {strategy.value: config for strategy, config in strategies.items()}
    proposed = cases(decision)
    try:
        if scope == "all":
            run = page.service.forecast({**proposed, **by_strategy})
            return run, run
        return page.service.forecast(proposed, scope), page.service.forecast(by_strategy)
    except ValueError:  # too many wait: the page says that nothing is predicted
        return None, None


def table(decision: Decision, run: WhatIfRun | None) -> None:
    """Draw current, proposed, change, why and confidence of every parameter, and what was considered."""
    if decision.before == decision.after:
        _unchanged(decision)
        return
    before, after = decision.before.to_dict(), decision.after.to_dict()
    several = len(decision.before.changes_to(decision.after)) > 1
    components.static_table(
        [
            "Parameter",
            "In force",
            "Proposed",
            Cell("Change", "wide"),
            Cell("Why", "why"),
            Cell("Confidence", "why"),
        ],
        [
            (
                row.label,
                Cell(row.before, "was"),
                Cell(row.after, "now"),
                Cell(units.step(before[row.name], after[row.name]), "wide"),
                row.why,
                predictions.confidence(run, row.name if several else PROPOSAL),
            )
            if row.differs
            else (row.label, row.before, Cell("as it is", "was"), Cell("", "wide"), row.why, "")
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


def button(page: PageContext, decision: Decision, base: int, scope: str) -> None:
    """Draw the button that opens the dialog for a proposal."""
    reason = text.plain(parameter_rows.summary_of(decision), 300)
    change = PendingChange("Apply the tuner's proposal", base, decision.after, scope, reason)
    apply_dialog.button(page, "Apply the proposal", change, type="primary", icon=":material/check:")


def strategies_of(page: PageContext) -> dict[TuningStrategy, TuningConfig]:
    """Return what each strategy would set for all types on today's evidence."""
    at = page.service.configs().default
    return {strategy: page.service.under_strategy(strategy, at) for strategy in TuningStrategy}


def in_force(at: ConfigVersion) -> None:
    """Draw what is in force, for as long as nothing is proposed."""
    components.static_table(["Parameter", "In force"], parameter_rows.all_of(at.config))
