"""How long recalls may wait for a slot in an overload, and from when on it is one."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from athena_tuning.model import Reason, TuningConfig
from athena_tuning.tuning.estimation.telemetry import trace_of
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.advisors import Advice, Advisor
from athena_tuning.tuning.settings import ADMISSION, OBJECTIVE
from athena_tuning.tuning.simulation.search import Laws, slowdowns
from athena_tuning.tuning.simulation.simulated_run import SimulatedRun
from athena_tuning.tuning.simulation.simulator import Simulation
from athena_tuning.tuning.trace import Trace


@dataclass(frozen=True, slots=True)
class AdmissionFinding:
    """Settings that would lose surely fewer recalls, with the shares that are late or refused.

    Attributes:
        after: seconds, or None: nothing is better than what is in force.
        wait: seconds.
        lost: share that is late or refused under what is in force.
        left: the same under these.
        recalls: that were simulated.
    """

    after: float | None = None
    wait: float = 0.0
    lost: float = 0.0
    left: float = 0.0
    recalls: int = 0


class AdmissionAdvisor(Advisor):
    """Sets the two admission settings by what they lose: recalls that are refused, or later than they may be.

    It looks where 1 % of the newest 1,000 recalls were refused, and simulates other intervals and waits on
    them, those that were refused included. Late is a recall over the p99 of those that the settings in force
    answer, times what the strategy allows p99 to grow by (by a tenth where it allows nothing). Settings are
    taken that lose fewer by 2 % of all recalls, under the fitted law and under a refit. Where an operator
    has switched refusing off, it stays off.
    """

    name = "admission"
    parameters = frozenset({"overload_after_seconds", "overload_wait_seconds"})
    finding = AdmissionFinding

    def review(
        self, evidence: Evidence, finding: AdmissionFinding
    ) -> Generator[object, None, AdmissionFinding]:
        """Simulate every pair of settings, one a slice."""
        telemetry, incumbent = evidence.telemetry, evidence.incumbent("all")
        recalls = telemetry.newest(ADMISSION.looked_at)
        refused = sum(recall.refused for recall in recalls)
        if incumbent.overload_after_seconds is None or refused < ADMISSION.refused * max(len(recalls), 1):
            return AdmissionFinding()
        grows = max(OBJECTIVE.p99_may_grow.get(evidence.strategy, 1.0), ADMISSION.least_growth)
        rng = np.random.default_rng(telemetry.position)
        gains: list[dict[TuningConfig, float]] = []
        for laws in (telemetry.laws, telemetry.contention.drawn(rng)):
            trace = trace_of(recalls, laws)
            base = _run(trace, incumbent, laws)
            yield len(trace)
            late = grows * float(np.percentile(base.latency_ms[~base.refused], 99))
            lost = {incumbent: _lost(base, late)}
            for config in _grid(incumbent):
                lost[config] = _lost(_run(trace, config, laws), late)
                yield len(trace)
            gains.append(lost)
        sure, other = gains
        best = min(sure, key=lambda config: sure[config])
        if any(lost[best] > lost[incumbent] - ADMISSION.gain for lost in (sure, other)):
            return AdmissionFinding()
        return AdmissionFinding(
            best.overload_after_seconds,
            best.overload_wait_seconds,
            sure[incumbent],
            sure[best],
            len(recalls),
        )

    def advise(self, evidence: Evidence, finding: AdmissionFinding, scope: str) -> Advice | None:
        """Return the settings for all types: the queue is one."""
        incumbent = evidence.incumbent("all")
        if scope != "all" or finding.after is None or incumbent.overload_after_seconds is None:
            return None
        rule = f"late or refused: {finding.lost:.1%} of recalls, {finding.left:.1%} with these, by simulation"
        inputs = {"lost": finding.lost, "left": finding.left}
        values = {"overload_after_seconds": finding.after, "overload_wait_seconds": finding.wait}
        return Advice(
            tuple(Reason(name, value, rule, inputs, finding.recalls) for name, value in values.items()),
            any(getattr(incumbent, name) != value for name, value in values.items()),
            f"Recalls may wait {finding.wait:g} s once a queue has stood for {finding.after:g} s; {rule}.",
            finding.recalls,
        )


def _grid(incumbent: TuningConfig) -> list[TuningConfig]:
    pairs = product(ADMISSION.afters, ADMISSION.waits)
    grid = [replace(incumbent, overload_after_seconds=a, overload_wait_seconds=w) for a, w in pairs]
    return [config for config in grid if config != incumbent]


def _run(trace: Trace, config: TuningConfig, laws: Laws) -> SimulatedRun:
    return Simulation(trace, config, slowdowns(laws, config.max_concurrent), admission=True).run().result()


def _lost(run: SimulatedRun, late_ms: float) -> float:
    return float((run.refused | (run.latency_ms > late_ms)).mean())
