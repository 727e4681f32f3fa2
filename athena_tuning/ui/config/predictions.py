"""What a config would bring: rows and words of a simulation, and the wait for it."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from athena_tuning.load.run_handle import State
from athena_tuning.load.whatif_run import WhatIfRun
from athena_tuning.model import Candidate, Decision
from athena_tuning.service import parameter_rows, units
from athena_tuning.service.chart_rows import change_words, percent, share_words
from athena_tuning.tuning.settings import SEARCH
from athena_tuning.tuning.simulation.what_if import Estimate, Outcome, WhatIf
from athena_tuning.ui.frame import components
from athena_tuning.ui.frame.components import Cell

IMMATERIAL = 0.01
"""Log ratio below which a change is not coloured, however sure it is."""


def before_and_after(result: WhatIf, outcome: Outcome) -> tuple[list[Cell], list[tuple[Any, ...]]]:
    """Return the columns and rows of a table that compares an outcome with what is in force."""
    heads = [Cell(""), Cell("In force", "n"), Cell("Then", "n"), Cell("Change, 95 % interval", "n")]
    changes = outcome.p99_change, outcome.cost_change, outcome.calls_change
    p99, slots, calls = (coloured(change, more_is_better=False) for change in changes)
    rows = [
        (name, *(write(getattr(each, field).value) for each in (result.base, outcome)), change)
        for name, field, write, change in (
            ("p50", "p50_ms", units.ms, ""),
            ("p95", "p95_ms", units.ms, ""),
            ("p99", "p99_ms", units.ms, p99),
            ("capacity, recalls/s", "per_second", units.rate, _capacity(outcome)),
            ("slot time per answer", "slot_ms", units.ms, slots),
            ("layers a recall", "calls", lambda calls: f"{calls:.2f}", calls),
            ("answer lost", "lost", units.percent, _lost(outcome)),
            ("full answers", "full_rate", units.percent, ""),
            ("refused", "refused_rate", units.percent, ""),
            ("second calls", "second_calls", units.percent, ""),
        )
    ]
    return heads, rows


def plans(result: WhatIf) -> tuple[list[Cell], list[tuple[Any, ...]]]:
    """Return the columns and rows of a table of plans, what is in force ahead."""
    heads = [Cell("Plan"), *components.heads("n", "Layers a recall", "p50", "p99")]
    heads += [*components.heads("n wide", "Slot time"), Cell("Answer lost, 95 % interval", "n")]
    rows = [
        (
            outcome.name or "in force",
            f"{outcome.calls.value:.2f}",
            units.ms(outcome.p50_ms.value),
            units.ms(outcome.p99_ms.value),
            units.ms(outcome.slot_ms.value),
            _lost(outcome),
        )
        for outcome in (result.base, *result.outcomes)
    ]
    return heads, rows


def _lost(outcome: Outcome) -> Cell:
    return Cell(share_words(outcome.lost), "bad" if outcome.lost.low > IMMATERIAL else "was")


def coloured(change: Estimate, *, more_is_better: bool) -> Cell:
    """Return a change with its interval as a cell, coloured where it is sure."""
    if not change.sure or abs(change.value) < IMMATERIAL:
        return Cell(change_words(change), "was")
    return Cell(change_words(change), "good" if (change.value > 0) is more_is_better else "bad")


def _capacity(outcome: Outcome) -> Cell:
    cell = coloured(outcome.capacity_change, more_is_better=True)
    return Cell(cell.value, "was") if outcome.beyond else cell


def outcome_of(run: WhatIfRun, name: str) -> Outcome | None:
    """Return what a run says of a case; None before it has ended, or if it does not."""
    outcomes = run.answer.outcomes if run.answer else ()
    return next((outcome for outcome in outcomes if outcome.name == name), None)


def effect(run: WhatIfRun, name: str) -> None:
    """Draw what a case would bring, or why that is not known."""
    outcome = outcome_of(run, name)
    if run.state is State.RUNNING:
        st.progress(run.share, text="Simulating on the newest recalls…")
    elif outcome is None or run.answer is None:
        st.caption(f"No prediction: {run.failure or 'the simulation was stopped'}.")
    else:
        components.static_table(*before_and_after(run.answer, outcome))


def candidates(decision: Decision) -> None:
    """Draw what else a decision looked at, what each would have brought, and why none of it was taken."""
    if not decision.candidates:
        return
    stays = decision.before == decision.after
    components.static_table(
        [
            "Considered",
            Cell(f"Objective of {decision.after.strategy}, less is better", "n"),
            Cell("95 % interval", "n"),
            *([Cell("Why not", "wide")] if stays else []),
        ],
        [
            (
                ", ".join(
                    f"{row.label} {row.after}"
                    for row in parameter_rows.changes(decision.before, candidate.config)
                )
                or "as it is",
                percent(candidate.predicted),
                f"{percent(candidate.low)} to {percent(candidate.high)}"
                if candidate.low < candidate.high
                else units.UNKNOWN,
                *([_why_not(candidate)] if stays else []),
            )
            for candidate in decision.candidates[:3]
        ],
    )


def _why_not(candidate: Candidate) -> str:
    if candidate.predicted >= 0:
        return "no gain"
    if candidate.predicted > -SEARCH.gain:
        return f"gains less than {units.percent(-math.expm1(-SEARCH.gain), 0)}"
    return "the gain is not sure"


def grounds(result: WhatIf, *, as_recorded: bool = True) -> str:
    """Return what a simulation rests on, and how near it comes to what was measured."""
    words = (
        f"{units.count(result.recalls)} recalls of {units.seconds(result.seconds)} simulated again; what is "
        f"in force comes to p99 {units.ms(result.base.p99_ms.value)}"
    )
    words += f", measured was {units.ms(result.measured_p99_ms)}." if as_recorded else "."
    if result.given_up:
        words += (
            f" {units.count(result.given_up)} tasks had been given up at a timeout: how they would have gone "
            "on is an estimate."
        )
    return words
