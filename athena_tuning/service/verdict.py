"""The leader's proposal as a verdict: the same words on Overview, on Config and on the command line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from athena_tuning.model import Candidate, Proposal, StrategyProposal, TuningStrategy
from athena_tuning.service import parameter_rows, text, units
from athena_tuning.service.chart_rows import change_words
from athena_tuning.tuning.settings import SEARCH
from athena_tuning.tuning.simulation.what_if import Estimate


class VerdictKind(StrEnum):
    """What there is to do."""

    UNKNOWN = "Not known yet"
    NOTHING = "Nothing to do"
    WORTH = "Worth trying"
    PERHAPS = "Perhaps"


WEIGHS = {
    TuningStrategy.LATENCY: "p99",
    TuningStrategy.THROUGHPUT: "time for a recall at full load",
    TuningStrategy.COST: "slot time of an answer",
    TuningStrategy.BALANCED: "what balanced weighs (mostly p99)",
}
"""What a strategy wants to be small, in words."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tuner says, in one sentence and with its own doubt.

    Attributes:
        kind: what there is to do.
        change: what would change, in words; "" where nothing would.
        effect: what it would bring, with its 95 % interval; "" where nothing was simulated.
        error: how far the simulation is from what was measured, in words; "" where that is not known.
        doubt: why it is no advice, or why nothing is to be done; "" if there is nothing to say.
        interval: of the change of what the strategy weighs, as log ratios; None where there is none.
        may_stand_out: whether to apply it may be the page's first choice.
        share_known: what share of the recalls that are needed has come.
    """

    kind: VerdictKind
    change: str = ""
    effect: str = ""
    error: str = ""
    doubt: str = ""
    interval: Estimate | None = None
    may_stand_out: bool = False
    share_known: float = 1.0

    @property
    def caution(self) -> str:
        """What to think of before it is applied: its doubt, and how far its simulation is off."""
        return " ".join(_capital(words) for words in (self.doubt, self.error) if words)

    @property
    def sentence(self) -> str:
        """The whole verdict, as the command line says it."""
        head = f"{self.kind}: {self.change}" if self.change else str(self.kind)
        parts = [part for part in (self.effect, self.error) if part]
        words = ", ".join([head, *parts]) if self.change else head
        return f"{words}. {_capital(self.doubt)}".strip() if self.doubt else f"{words}."


def verdict_of(proposal: Proposal, strategy: TuningStrategy | None = None) -> Verdict:
    """Return the verdict of a proposal, under the strategy in force or another one."""
    chosen = proposal.by_strategy[strategy] if strategy else proposal.current
    if proposal.missing:
        share = min(proposal.recalls / proposal.needed, 1.0) if proposal.needed else 0.0
        return Verdict(VerdictKind.UNKNOWN, doubt=proposal.missing, share_known=share)
    error = error_words(proposal)
    if not chosen.changes:
        return Verdict(VerdictKind.NOTHING, error=error, doubt=_why_nothing(chosen))
    interval = _interval(chosen)
    is_sure = chosen.is_advice and interval is not None and interval.high < 0
    doubt = text.plain(chosen.doubt, 300) or ("" if interval else "what it would bring was not simulated")
    kind = VerdictKind.WORTH if is_sure else VerdictKind.PERHAPS
    effect = _effect(proposal, chosen, interval)
    return Verdict(kind, change_of(chosen), effect, error, doubt, interval, is_sure)


def change_of(proposed: StrategyProposal) -> str:
    """Return what a proposal would change, in words ("5 → 2 tasks at once")."""
    rows = parameter_rows.changes(proposed.decision.before, proposed.decision.after)
    return ", ".join(
        f"{row.before} → {row.after} tasks at once"
        if row.name == "max_concurrent"
        else f"{row.label} {row.before} → {row.after}"
        for row in rows
        if row.name != "strategy"
    )


def error_words(proposal: Proposal) -> str:
    """Say how far the simulation of what is in force is from what was measured."""
    off = proposal.error
    if off is None or off <= 0:
        return ""
    if 2 / 3 <= off <= 1.5:
        return f"its simulation is {abs(off - 1) * 100:.0f} % off"
    far = off if off > 1 else 1 / off
    side = "above" if off > 1 else "below"
    return f"its simulation is {far:.1f} times {side} what was measured"


def _effect(proposal: Proposal, chosen: StrategyProposal, interval: Estimate | None) -> str:
    """Say what a change would bring: what the strategy weighs with its interval, and p99 in ms."""
    before, then = proposal.in_force, chosen.forecast
    weighs = WEIGHS[chosen.decision.after.strategy]
    words = [f"{weighs} {change_words(interval)}"] if interval else []
    if before is not None and then is not None and math.isfinite(before.p99_ms + then.p99_ms):
        beside = "" if weighs == "p99" else "p99 "
        words.append(f"{beside}{units.ms(before.p99_ms)} → {units.ms(then.p99_ms)}")
    return ", ".join(words)


def _why_nothing(chosen: StrategyProposal) -> str:
    best = _best_other(chosen)
    if chosen.doubt:
        return text.plain(chosen.doubt, 300)
    if best is None:
        return ""
    least = units.percent(-math.expm1(-SEARCH.gain), 0)
    rows = parameter_rows.changes(chosen.decision.before, best.config)
    what = ", ".join(f"{row.label} {row.before} → {row.after}" for row in rows if row.name != "strategy")
    by = change_words(Estimate(best.predicted, best.low, best.high))
    change = (
        f"leaves {_weighed(chosen)} as it is" if by == "unchanged" else f"changes {_weighed(chosen)} by {by}"
    )
    return f"nothing surely gains {least} or more; the best other, {what}, {change}"


def _weighed(chosen: StrategyProposal) -> str:
    return WEIGHS[chosen.decision.after.strategy]


def _best_other(chosen: StrategyProposal) -> Candidate | None:
    before = chosen.decision.before
    return next(
        (c for c in chosen.decision.candidates if set(before.changes_to(c.config)) - {"strategy"}), None
    )


def _interval(chosen: StrategyProposal) -> Estimate | None:
    decision = chosen.decision
    best = decision.candidates[0] if decision.candidates and decision.predicted is not None else None
    return Estimate(best.predicted, best.low, best.high) if best else None


def _capital(words: str) -> str:
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."
