"""What the tuner that leads proposes, as Overview and Config show it: with its forecast and its own doubt."""

from __future__ import annotations

import math

import streamlit as st

from athena_tuning.model import Proposal, StrategyProposal
from athena_tuning.service import parameter_rows, text, units
from athena_tuning.service.chart_rows import percent
from athena_tuning.ui.frame import components, exploring
from athena_tuning.ui.frame.components import Cell
from athena_tuning.ui.frame.page_context import PageContext

NOBODY = "No tuner has told a proposal yet. One does as soon as a manager leads on this store."


def summary(page: PageContext, proposal: Proposal) -> None:
    """Draw what is proposed in a sentence, and why it may be no advice."""
    if page.explored is not None:
        name = text.markdown(exploring.name_of(page.explored), 90)
        st.caption(
            f":material/frame_inspect: Worked out on {name} alone, as if the tuner had met nothing else. "
            "The managers are not tuned by it."
        )
    current = proposal.current
    if proposal.missing:
        st.markdown(f"**Warming up: {text.markdown(proposal.missing)}.** Until then this is a first guess.")
        st.progress(min(proposal.recalls / proposal.needed, 1.0))
    elif current.changes and current.doubt:
        st.markdown(f":material/help: **No advice:** {text.markdown(current.doubt, 300)}")
    st.text(text.plain(parameter_rows.summary_of(current.decision), 300))


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
    decision = proposed.decision
    best = decision.candidates[0] if decision.candidates and decision.predicted is not None else None
    if best is not None:
        st.caption(
            f"Objective of {decision.after.strategy}: {percent(best.predicted)}, 95 % interval "
            f"{percent(best.low)} to {percent(best.high)}."
        )


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


def is_primary(page: PageContext, proposal: Proposal) -> bool:
    """Whether to apply it is what the page suggests."""
    return page.explored is None and proposal.current.is_advice


def _change(before: float, then: float) -> str:
    if not (math.isfinite(before) and math.isfinite(then)) or before <= 0:
        return units.UNKNOWN
    return "as it is" if before == then else percent(math.log(then / before)) if then > 0 else units.UNKNOWN
