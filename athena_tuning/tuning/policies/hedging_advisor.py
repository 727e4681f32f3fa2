"""Whether slow calls are worth making a second time, and of which layers."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from athena_tuning.model import Decision, Reason, TaskOutcome, TuningConfig
from athena_tuning.model.metrics import SECOND_CALL
from athena_tuning.tuning.estimation.contention import capacity
from athena_tuning.tuning.estimation.measured_recall import MeasuredRecall
from athena_tuning.tuning.estimation.telemetry import trace_of
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.advisors import Advice, Advisor
from athena_tuning.tuning.settings import HEDGING
from athena_tuning.tuning.simulation.hedged import simulation_of
from athena_tuning.tuning.simulation.objective import Score, objective, score
from athena_tuning.tuning.simulation.search import Laws, slowdowns
from athena_tuning.tuning.simulation.simulated_run import joined
from athena_tuning.tuning.trace import Trace, mean_work


@dataclass(frozen=True, slots=True)
class HedgingFinding:
    """Layers whose slow calls should be made a second time, and what that brings.

    Attributes:
        layers: their names; None: as it is.
        p99_ms: of what is in force, simulated.
        then_ms: with second calls.
        second_calls: for each first call.
        slots: change of slot time a recall, as a log ratio.
        recalls: that were simulated.
        lost: of layers that should be called twice no longer, how many second calls answered first, and how
            many were expected to.
    """

    layers: tuple[str, ...] | None = None
    p99_ms: float = 0.0
    then_ms: float = 0.0
    second_calls: float = 0.0
    slots: float = 0.0
    recalls: int = 0
    lost: tuple[tuple[str, int, float], ...] = ()


class HedgingAdvisor(Advisor):
    """Has slow calls of idempotent layers made a second time where that pays, and no longer where not.

    The newest recalls are simulated with and without second calls of all layers that say that they are
    idempotent, and of each of them alone. They are proposed where the strategy's objective gains 0.2 in log
    ratio and more, under the fitted law and under a refit. A second call is simulated with another call's
    work: whether slowness is the call's own or the question's only trying tells. So a layer is called twice
    no longer where fewer than half as many second calls answered first as would if they were like its calls.
    """

    name = "hedging"
    parameters = frozenset({"hedged_layers"})
    finding = HedgingFinding

    def review(self, evidence: Evidence, finding: HedgingFinding) -> Generator[object, None, HedgingFinding]:
        """Judge second calls by how many answered first; where there are none, simulate them."""
        incumbent = evidence.incumbent("all")
        if incumbent.hedged_layers:
            lost = _lost(evidence.telemetry.newest(HEDGING.newest), incumbent.hedged_layers)
            left = incumbent.hedged_layers - {layer for layer, *_ in lost}
            return HedgingFinding(tuple(sorted(left)), lost=lost) if lost else HedgingFinding()
        pieces = evidence.telemetry.spread(HEDGING.looked_at)
        asked = {task.layer for recalls in pieces for recall in recalls for task in recall.tasks}
        layers = sorted(evidence.idempotent & asked)
        if not layers:
            return HedgingFinding()
        rng = np.random.default_rng(evidence.telemetry.position)
        choices = [tuple(layers), *((layer,) for layer in layers if len(layers) > 1)]
        best, least = HedgingFinding(), -HEDGING.gain
        laws, refit = evidence.telemetry.laws, evidence.telemetry.contention.drawn(rng)
        traces = {key: [trace_of(r, law) for r in pieces] for key, law in (("", laws), ("refit", refit))}
        base, _ = _run(traces[""], incumbent, laws)
        other, _ = _run(traces["refit"], incumbent, refit)
        yield sum(map(len, pieces))
        for chosen in choices:
            config = replace(incumbent, hedged_layers=frozenset(chosen))
            then, share = _run(traces[""], config, laws)
            again, _ = _run(traces["refit"], config, refit)
            yield sum(map(len, pieces))
            gains = objective(evidence.strategy, then, base), objective(evidence.strategy, again, other)
            if max(gains) < least:
                least = max(gains)
                slots = math.log(then.slot_seconds / base.slot_seconds)
                recalls = sum(map(len, pieces))
                best = HedgingFinding(chosen, base.p99_ms, then.p99_ms, share, slots, recalls)
        return best

    def advise(self, evidence: Evidence, finding: HedgingFinding, scope: str) -> Advice | None:
        """Return the layers for all types."""
        if scope != "all" or finding.layers is None:
            return None
        quantile = evidence.incumbent("all").hedging_quantile
        if finding.lost:
            told = ", ".join(
                f"{won} of {layer}, {expected:.0f} expected" for layer, won, expected in finding.lost
            )
            rule = f"second calls that answered first: {told}; what is slow is the question"
            summary = (
                f"Slow calls of {_names(layer for layer, *_ in finding.lost)} are no longer made again: "
            )
            inputs = {f"won_{layer}": won / expected for layer, won, expected in finding.lost}
            samples = sum(won for _, won, _ in finding.lost)
            predicted = None
        else:
            rule = (
                f"p99 {finding.p99_ms:.0f} → {finding.then_ms:.0f} ms with "
                f"{finding.second_calls:.1%} more calls, by simulation"
            )
            summary = (
                f"Calls of {_names(finding.layers)} that take longer than {quantile:.0%} of them are made "
            )
            summary += "a second time: "
            inputs = {
                "p99_ms": finding.p99_ms,
                "then_ms": finding.then_ms,
                "second_calls": finding.second_calls,
            }
            samples, predicted = finding.recalls, finding.slots
        return Advice(
            (Reason("hedged_layers", sorted(finding.layers), rule, inputs, samples),),
            evidence.incumbent("all").hedged_layers != frozenset(finding.layers),
            f"{summary}{rule}.",
            samples,
            predicted=predicted,
            back=bool(finding.lost),
        )

    def harm(self, evidence: Evidence, made: Decision) -> str | None:
        """Return of which layers too few second calls answered first."""
        lost = _lost(evidence.telemetry.since(made.time), made.after.hedged_layers)
        reasons = (
            f"{won} second calls of {name} answered first, {of:.0f} expected" for name, won, of in lost
        )
        return "; ".join(reasons) or None


def _names(layers: Iterable[str]) -> str:
    return " and ".join(layers)


def _lost(recalls: Sequence[MeasuredRecall], layers: frozenset[str]) -> tuple[tuple[str, int, float], ...]:
    """Return the layers whose second calls are slower than their calls are.

    Of each how many second calls answered first, and how many were expected to if they took as long as the
    layer's calls do: the one-sample log-rank test. A second call that ran for t before the first answered, or
    answered itself after t, was expected to answer ``−ln(1 − F(t))`` times, with F of the layer's calls.

    Source: N. E. Breslow, Analysis of survival data under the proportional hazards model, 1975.
    """
    lost = []
    for layer in sorted(layers):
        calls = [task for recall in recalls for task in recall.second if task.layer == layer + SECOND_CALL]
        took = np.sort([t.service_ms for recall in recalls for t in recall.tasks if t.layer == layer])
        if not (calls and len(took)):
            continue
        ran = [task.service_ms for task in calls]
        below = (
            np.searchsorted(took, ran, "left") + np.searchsorted(took, ran, "right")
        ) / 2  # of equal ones
        expected = float(-np.log1p(-below / (len(took) + 1)).sum())
        won = sum(task.outcome is TaskOutcome.OK for task in calls)
        if expected >= HEDGING.expected and won < HEDGING.won * expected:
            lost.append((layer, won, expected))
    return tuple(lost)


def _run(traces: Sequence[Trace], config: TuningConfig, laws: Laws) -> tuple[Score, float]:
    """Return what the recalls meet, and the second calls for each first one."""
    slow = slowdowns(laws, config.max_concurrent)
    run = joined([simulation_of(trace, config, slow, admission=True).run().result() for trace in traces])
    calls = sum(len(trace.columns.work) for trace in traces) / sum(map(len, traces)) * len(run.again)
    per_second = capacity(config.max_concurrent, mean_work(traces), laws)
    return score(run, per_second), float(run.again.sum()) / max(calls, 1)
