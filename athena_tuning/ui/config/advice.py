"""What the tuner that leads proposes, as Overview and Config show it: with its forecast and its own doubt."""

from __future__ import annotations

import math

import streamlit as st

from athena_tuning.model import Proposal, StrategyProposal
from athena_tuning.service import parameter_rows, text, units
from athena_tuning.service.chart_rows import percent
from athena_tuning.ui.config import predictions
from athena_tuning.ui.frame import components
from athena_tuning.ui.frame.components import Cell
from athena_tuning.ui.frame.page_context import PageContext


def grounds(page: PageContext, proposal: Proposal) -> None:
    """Draw why a proposal is what it is: what it would bring, reasons, candidates, what it rests on."""
    decision = proposal.current.decision
    if proposal.current.changes:
        forecast(proposal, proposal.current)
    components.static_table(
        ["Parameter", Cell("Why", "why")],
        [(row.label, row.why) for row in parameter_rows.decided(decision) if row.why],
        limit=320,
    )
    predictions.candidates(decision)
    st.text(text.plain(parameter_rows.summary_of(decision), 300))
    origin(page, proposal)


def origin(page: PageContext, proposal: Proposal) -> None:
    """Draw what a proposal rests on, who told it and when, and how near the simulation comes."""
    words = [f"Rests on {units.count(proposal.recalls)} recalls"]
    if proposal.in_force is not None and proposal.measured_p99_ms is not None:
        words.append(
            f"what is in force simulates to p99 {units.ms(proposal.in_force.p99_ms)}, measured was "
            f"{units.ms(proposal.measured_p99_ms)}"
        )
    words.append(f"policy {text.markdown(proposal.current.decision.policy, 30)}")
    if page.explored is None:
        told = f"told {units.ago(page.service.now - proposal.time)} by {text.markdown(proposal.author, 40)}"
        words.append(told)
    st.caption(" · ".join(words))


def forecast(proposal: Proposal, proposed: StrategyProposal) -> None:
    """Draw what a proposal would bring, against what is in force."""
    before, then = proposal.in_force, proposed.forecast
    if before is None or then is None:
        components.empty("Not simulated: too few recalls say what their layers did.")
        return
    rows = [
        ("p99", units.ms(before.p99_ms), units.ms(then.p99_ms), _change(before.p99_ms, then.p99_ms)),
        (
            "capacity, recalls/s",
            units.rate(before.per_second),
            units.rate(then.per_second),
            _change(before.per_second, then.per_second),
        ),
        (
            "slot time per answer",
            units.ms(before.slot_ms),
            units.ms(then.slot_ms),
            _change(before.slot_ms, then.slot_ms),
        ),
        ("full answers", units.percent(before.full_rate), units.percent(then.full_rate), ""),
    ]
    components.static_table([Cell(""), Cell("In force", "n"), Cell("Then", "n"), Cell("Change", "n")], rows)


def in_short(proposal: Proposal, proposed: StrategyProposal) -> list[tuple[str, str]]:
    """Return rows (measure, change) of what a strategy would bring."""
    before, then = proposal.in_force, proposed.forecast
    if before is None or then is None:
        return [("predicted", "not simulated")]
    return [
        ("p99", _change(before.p99_ms, then.p99_ms)),
        ("capacity", _change(before.per_second, then.per_second)),
        ("slot time per answer", _change(before.slot_ms, then.slot_ms)),
    ]


def _change(before: float, then: float) -> str:
    if not (math.isfinite(before) and math.isfinite(then)) or before <= 0:
        return units.UNKNOWN
    return "as it is" if before == then else percent(math.log(then / before)) if then > 0 else units.UNKNOWN
