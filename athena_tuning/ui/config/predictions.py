"""What a config would bring, as pages tell it: rows, words and the wait for a simulation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import streamlit as st

from athena_tuning.load.run_handle import State
from athena_tuning.load.whatif_run import WhatIfRun
from athena_tuning.model import Candidate, Decision
from athena_tuning.service import units
from athena_tuning.service.chart_rows import change_words
from athena_tuning.tuning.settings import SEARCH
from athena_tuning.tuning.simulation.what_if import Estimate, Outcome, WhatIf
from athena_tuning.ui.frame import components
from athena_tuning.ui.frame.components import Cell
from athena_tuning.ui.frame.page_context import PageContext

IMMATERIAL = 0.01
"""Log ratio below which a change is not coloured, however sure it is."""


def before_and_after(found: WhatIf, outcome: Outcome) -> tuple[list[Cell], list[tuple[Any, ...]]]:
    """Return the columns and rows of a table that compares an outcome with what is in force."""
    base = found.base
    heads = [Cell(""), Cell("In force", "n"), Cell("Then", "n"), Cell("Change, 95 % interval", "n")]
    rows: list[tuple[Any, ...]] = [
        ("p50", units.ms(base.p50_ms.value), units.ms(outcome.p50_ms.value), ""),
        ("p95", units.ms(base.p95_ms.value), units.ms(outcome.p95_ms.value), ""),
        (
            "p99",
            units.ms(base.p99_ms.value),
            units.ms(outcome.p99_ms.value),
            toned(outcome.p99_change, more_is_better=False),
        ),
        (
            "capacity, recalls/s",
            units.rate(base.per_second.value),
            units.rate(outcome.per_second.value),
            _capacity(outcome),
        ),
        (
            "slot time per answer",
            units.ms(base.slot_ms.value),
            units.ms(outcome.slot_ms.value),
            toned(outcome.cost_change, more_is_better=False),
        ),
        ("full answers", units.percent(base.full_rate.value), units.percent(outcome.full_rate.value), ""),
    ]
    return heads, rows


def toned(change: Estimate, *, more_is_better: bool) -> Cell:
    """Return a change with its interval as a cell, coloured where it is sure."""
    if not change.sure or abs(change.value) < IMMATERIAL:
        return Cell(change_words(change), "was")
    return Cell(change_words(change), "good" if (change.value > 0) is more_is_better else "bad")


def _capacity(outcome: Outcome) -> Cell:
    cell = toned(outcome.capacity_change, more_is_better=True)
    return Cell(cell.value, "was") if outcome.beyond else cell


def confidence(run: WhatIfRun, name: str) -> Cell:
    """Return how sure it is that a case helps, with what it does to p99."""
    if run.state is State.RUNNING:
        return Cell("simulating…", "was")
    outcome = outcome_of(run, name)
    if outcome is None:
        return Cell("not simulated", "was")
    gain, told = outcome.gain, f"p99 {change_words(outcome.p99_change)}"
    if outcome.beyond:
        return Cell(f"a guess: beyond what was seen; {told}", "was")
    if gain.high < 0:
        return Cell(f"surely better; {told}", "good")
    if gain.low > 0:
        return Cell(f"surely worse; {told}", "bad")
    return Cell("no difference" if gain == (0.0, 0.0, 0.0) else f"not sure; {told}", "was")


def in_short(run: WhatIfRun, name: str) -> list[tuple[Any, ...]]:
    """Return rows (measure, change) of what a case would bring; one that says so while it is not known."""
    outcome = outcome_of(run, name)
    if outcome is None:
        return [("predicted", Cell("simulating…" if run.state is State.RUNNING else "not simulated", "was"))]
    return [
        ("p99", toned(outcome.p99_change, more_is_better=False)),
        ("capacity, a guess" if outcome.beyond else "capacity", _capacity(outcome)),
        ("slot time per answer", toned(outcome.cost_change, more_is_better=False)),
    ]


def outcome_of(run: WhatIfRun, name: str) -> Outcome | None:
    """Return what a run says of a case; None before it has ended, or if it does not."""
    outcomes = run.found.outcomes if run.found else ()
    return next((outcome for outcome in outcomes if outcome.name == name), None)


def effect(run: WhatIfRun, name: str) -> None:
    """Draw what a case would bring, or why that is not known."""
    outcome = outcome_of(run, name)
    if run.state is State.RUNNING:
        st.progress(run.share, text="Simulating on the newest recalls…")
    elif outcome is None or run.found is None:
        st.caption(f"No prediction: {run.failure or 'the simulation was stopped'}.")
    else:
        components.sheet(*before_and_after(run.found, outcome))


def considered(decision: Decision) -> None:
    """Draw what else a decision looked at, what each would have brought, and why none of it was taken."""
    if not decision.candidates:
        return
    kept = decision.before == decision.after
    why = [Cell("Why not", "wide")] if kept else []
    components.sheet(
        [
            "Considered",
            Cell(f"Objective of {decision.after.strategy}, less is better", "n"),
            Cell("95 % interval", "n"),
            *why,
        ],
        [
            (
                ", ".join(
                    f"{name} {units.setting(then)}"
                    for name, (_, then) in decision.before.changes_to(candidate.config).items()
                )
                or "as it is",
                components.change_of(candidate.predicted),
                f"{components.change_of(candidate.low)} to {components.change_of(candidate.high)}"
                if candidate.low < candidate.high
                else units.UNKNOWN,
                *([_why_not(candidate)] if kept else []),
            )
            for candidate in decision.candidates[:3]
        ],
    )


def _why_not(candidate: Candidate) -> str:
    if candidate.predicted >= 0:
        return "no gain"
    return (
        f"gains less than {units.percent(-math.expm1(-SEARCH.gain), 0)}"
        if candidate.predicted > -SEARCH.gain
        else "the gain is not sure"
    )


def grounds(found: WhatIf, *, as_recorded: bool = True) -> str:
    """Return what a simulation rests on, and how near it comes to what was measured."""
    told = (
        f"{units.count(found.recalls)} recalls of {units.seconds(found.seconds)} met again; what is in force "
        f"comes to p99 {units.ms(found.base.p99_ms.value)}"
    )
    told += f", measured was {units.ms(found.measured_p99_ms)}." if as_recorded else "."
    if found.given_up:
        told += (
            f" {units.count(found.given_up)} tasks had been given up at a timeout: how they would have gone "
            "on is an estimate."
        )
    return told


def wait(page: PageContext, run: WhatIfRun, *, unless: Callable[[], bool]) -> None:
    """Draw the page anew when a run has ended; nothing if it has.

    Args:
        page: where it stands.
        run: what is waited for.
        unless: whether a dialog is open, in which what is typed would be lost.
    """
    if run.state is not State.RUNNING:
        return

    def look(_: object) -> None:
        if run.state is not State.RUNNING and not unless():
            st.rerun()

    page.live(look, every=0.7)
