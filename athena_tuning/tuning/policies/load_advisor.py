"""Which limit the load of the coming slot of the day calls for: a known peak is met on time."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from athena_tuning.model import Reason
from athena_tuning.tuning.estimation.telemetry import MeasuredRecall, Telemetry, trace_of
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.advisors import Advice, Advisor
from athena_tuning.tuning.settings import LOAD, SEARCH
from athena_tuning.tuning.simulation.search import SearchResult, Simulations, candidates, search
from athena_tuning.tuning.trace import Trace


@dataclass(frozen=True, slots=True)
class LoadFinding:
    """What was looked into.

    Attributes:
        slot: of the day that was looked at, numbered from 1970.
        position: recalls by then.
        wanted: whether it is still to be looked into.
        result: the search at the load of that slot.
        why: the loads, for a person.
    """

    slot: int = -1
    position: int = -LOAD.apart
    wanted: bool = False
    result: SearchResult | None = None
    why: str = ""


def at_rate(trace: Trace, factor: float) -> Trace:
    """Return the same recalls coming ``factor`` times as fast: bursts stay bursts.

    Examples:
        >>> from athena_tuning.tuning.trace import Arrival
        >>> at_rate(Trace((Arrival(0.0, "meta", ()), Arrival(1.0, "meta", ()))), 4.0).seconds
        0.25
    """
    return Trace(tuple(arrival._replace(time=arrival.time / factor) for arrival in trace.arrivals))


class LoadAdvisor(Advisor):
    """Sets the limit for the load that the coming slot of the day brings, shortly before it begins.

    The table is of two parts: slot of the day → recalls a second, as the last days had it (``DailyLoad``);
    and that load → limit, by search (see ``search``) over the newest recalls, run again as much faster or
    slower as the load will be. It is asked when the two loads differ by half, once a slot and once in 1,000
    recalls; the change is a canary of the policy like any other that it finds by search.

    Forecasting by more than the time of day gives nothing here: a limit is changed at once, so whatever
    cannot be known from yesterday is met within some recalls by the step up of a limit that is waited for.
    Weekdays are told apart once two weeks are known; until then a day that was different is a seventh.

    Args:
        lead: seconds before a slot at which it is looked at.
    """

    name = "load"
    parameters = frozenset({"max_concurrent"})
    finding = LoadFinding

    def __init__(self, *, lead: float = LOAD.lead_s) -> None:
        self._lead = lead

    def wakes(self, evidence: Evidence, finding: LoadFinding) -> LoadFinding | None:
        """Return a finding that asks for the coming slot to be looked into, if that is worth it now."""
        slot, position = self._slot(evidence), evidence.telemetry.position
        if slot == finding.slot or position - finding.position < LOAD.apart:
            return None
        expected, days = evidence.load.expected(evidence.now + self._lead)
        if not days or not expected:
            return None
        if abs(math.log(expected / _present(evidence.telemetry))) < math.log(LOAD.differs):
            return None
        return LoadFinding(slot, position, wanted=True)

    def review(self, evidence: Evidence, finding: LoadFinding) -> Generator[object, None, LoadFinding]:
        """Search the limit for the slot that was asked for, in slices."""
        if not finding.wanted:
            return finding
        telemetry, slot = evidence.telemetry, self._slot(evidence)
        expected, days = evidence.load.expected(evidence.now + self._lead)
        present = _present(telemetry)
        pieces = telemetry.spread(SEARCH.longest)
        if len(telemetry.lately(LOAD.recalls, LOAD.present_s)) <= LOAD.recalls:
            pieces = [telemetry.newest(LOAD.recalls)]
        traces = [
            at_rate(trace_of(piece, telemetry.laws), expected / _rate(piece)) for piece in pieces if piece
        ]
        if not traces:
            return replace(finding, wanted=False)
        incumbent = replace(evidence.incumbent("all"), strategy=evidence.strategy)
        grid = candidates(incumbent, evidence.bounds, telemetry.contention.trusted)
        grid = grid[::2] if len(grid) > 8 else grid  # the load is not known more closely
        result = yield from search(Simulations(traces, telemetry.laws), incumbent, grid, evidence.strategy)
        at = datetime.fromtimestamp(slot * evidence.load.slot, UTC)
        like = f"{at:%A}s" if evidence.load.knows_weekday(evidence.now + self._lead) else "days"
        why = (
            f"From {at:%H:%M} UTC about {expected:.3g} recalls a second are expected, as on the last "
            f"{days} {like}; {present:.3g} come now"
        )
        return LoadFinding(slot, finding.position, result=result, why=why)

    def advise(self, evidence: Evidence, finding: LoadFinding, scope: str) -> Advice | None:
        """Return the limit for the slot that was looked at, while that lasts."""
        if scope != "all" or finding.result is None or finding.slot != self._slot(evidence):
            return None
        best, recalls = finding.result.best, finding.result.recalls
        incumbent = evidence.incumbent("all")
        if best is None or best.config.enable_parallel is not incumbent.enable_parallel:
            return None
        limit, before = best.config.max_concurrent, incumbent.max_concurrent
        return Advice(
            (Reason("max_concurrent", limit, finding.why, {"predicted": best.predicted}, recalls),),
            limit != before,
            f"{finding.why}: limit {before} → {limit}, {math.expm1(best.predicted):+.0%} of the "
            f"{evidence.strategy} objective predicted.",
            recalls,
            predicted=best.predicted,
            canary=True,
        )

    def _slot(self, evidence: Evidence) -> int:
        return evidence.load.number(evidence.now + self._lead)


def _present(telemetry: Telemetry) -> float:
    """Return recalls a second now."""
    return _rate(telemetry.lately(LOAD.recalls, LOAD.present_s))


def _rate(recalls: Sequence[MeasuredRecall]) -> float:
    """Return how many of them came in a second."""
    passed = recalls[-1].began - recalls[0].began if recalls else 0.0
    return max(len(recalls) - 1, 1) / max(passed, 1e-3)
