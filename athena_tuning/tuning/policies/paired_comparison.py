"""What recalls took under a change, each against what it would have taken without it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from athena_tuning.model import TuningConfig, TuningStrategy
from athena_tuning.tuning.estimation.telemetry import MeasuredRecall, Telemetry, trace_of
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.canary import Canary, Judge, Judgement, Rates, Trial, Verdict
from athena_tuning.tuning.settings import CANARY, OBJECTIVE, SATURATION, TELEMETRY
from athena_tuning.tuning.simulation.search import slowdowns
from athena_tuning.tuning.simulation.simulated_run import SimulatedRun
from athena_tuning.tuning.simulation.simulator import Simulation


class PairedComparison(Judge):
    """Judges a limit by block means of ``ln(with the change / without it)``, at four looks.

    More failures or partial answers than before end a trial at once, and so do more refused recalls than
    what was before would have refused of the same ones: a rush that it had not met is no fault of the change.
    Nothing is confirmed within the first two seconds, nor for having done no harm within ten; what has passed
    out of the newest recalls by then is judged by the stretches of it that were kept.
    """

    name = "paired comparison"

    def judge(self, evidence: Evidence, trial: Trial) -> tuple[Judgement, Trial]:
        """Look for failures at every step, at log ratios when the next look is due."""
        begun = evidence.telemetry.since(trial.began)
        rates = Rates.of(begun)
        if trial.before.fell(rates):
            before = trial.before
            if rates.refused:
                before = before.had_it_refused(_refused_without(evidence, trial, begun))
            if before.fell(rates):
                return Judgement(Verdict.BAD, _why_worse(trial.before, rates), alarm=True), trial
        lasted = evidence.now - trial.began
        is_last = trial.looks == len(CANARY.looks) - 1
        if not look_due(len(begun), trial.looks) or (is_last and lasted < CANARY.not_bad_s):
            return Judgement(Verdict.OPEN), trial
        wanted, *kept = compared(evidence, trial)
        judged = wanted.judged(trial.looks)
        for promise in kept:
            broken = promise.judged(trial.looks)
            if broken.verdict is Verdict.BAD and judged.verdict is not Verdict.BAD:
                judged = broken
        if lasted < CANARY.surely_better_s and judged.verdict is Verdict.GOOD:
            judged = Judgement(Verdict.OPEN)
        return judged, replace(trial, looks=trial.looks + 1)

    def key(self, config: TuningConfig, scope: str) -> str:
        """Return the limit, and whether layers run side by side."""
        return f"{config.max_concurrent} {'side by side' if config.enable_parallel else 'in turn'}"

    def leads_past_a_ban(self, canary: Canary, after: TuningConfig, limit: int, position: int) -> bool:
        """Whether a step's limit, or one on the way to it, is banned: what lies beyond is no better.

        Args:
            canary: knows what is banned.
            after: the config that the step leads to.
            limit: from which it leads.
            position: recalls by now.
        """
        way = range(after.max_concurrent, limit) or range(limit + 1, after.max_concurrent + 1)
        keys = (self.key(replace(after, max_concurrent=n), "all") for n in way)
        return any(canary.holds_back(key, position) for key in keys)


def look_due(recalls: int, looks: int) -> bool:
    """Whether so many recalls under a change are enough for the next look."""
    return looks < len(CANARY.looks) and recalls >= CANARY.looks[looks] * CANARY.block


def judge(
    ratios: Sequence[float],
    looks: int,
    tolerated: float = CANARY.tolerated,
    before: Sequence[float] = (),
) -> Judgement:
    """Judge a change by what its recalls took against what they would have taken without it.

    Block means over time, because neighbours are alike and single recalls are not independent; Student's
    interval over the blocks; a threshold that allows for looking four times. What the simulator missed the
    recalls before the change by is taken off, with its own doubt; where too few are known, it may have
    missed them by 0.05. BAD needs an interval above 0 and a mean above ``tolerated``; GOOD an interval below
    0, or a last look that found nothing bad.

    Args:
        ratios: ``ln(observed / simulated under the incumbent)`` for each recall that began after the change,
            in order. The simulation meets the same arrivals and the same backlog, so a change is not
            blamed for a queue that it inherited.
        looks: looks that were taken before.
        tolerated: mean log ratio that is no reason to go back.
        before: the same of recalls that began under the incumbent, before the change.

    Returns:
        OPEN while the next look is not due.
    """
    if not look_due(len(ratios), looks):
        return Judgement(Verdict.OPEN)
    mean, error, blocks = _block_means(ratios)
    missed, doubt, known = _block_means(before)
    if known >= CANARY.calibrated:
        half = CANARY.t_look * math.hypot(error, doubt)
    else:
        missed, half = 0.0, CANARY.t_look * error + CANARY.simulator_error
    mean -= missed
    low, high = mean - half, mean + half
    verdict = Verdict.OPEN
    if low > 0 and mean > tolerated:
        verdict = Verdict.BAD
    elif high < 0 or looks == len(CANARY.looks) - 1:
        verdict = Verdict.GOOD
    why = f"log ratio {mean:+.3f} ({low:+.3f} to {high:+.3f}), {blocks} blocks, against what it was before"
    return Judgement(verdict, why, len(ratios), mean, low, high)


def _block_means(ratios: Sequence[float]) -> tuple[float, float, int]:
    """Return the mean over whole blocks of neighbours, its standard error, and how many blocks they are."""
    blocks = len(ratios) // CANARY.block
    if blocks < 2:
        return 0.0, math.inf, blocks
    means = np.asarray(ratios[: blocks * CANARY.block], float).reshape(blocks, CANARY.block).mean(axis=1)
    return float(means.mean()), float(means.std(ddof=1)) / math.sqrt(blocks), blocks


class Compared(NamedTuple):
    """Log ratios of recalls, observed to simulated under what was before: less is better.

    Attributes:
        measure: "latency", "slot time" or "capacity" (slot time over slots).
        before: of recalls that began before the change.
        since: of those that began under it.
        tolerated: mean that is no reason to go back.
    """

    measure: str
    before: list[float]
    since: list[float]
    tolerated: float

    def judged(self, looks: int) -> Judgement:
        """Return the judgement; of capacity what was observed has the sign of capacity."""
        judgement = judge(self.since, looks, self.tolerated, self.before)
        observed = judgement.observed
        if self.measure == "capacity" and observed is not None:
            observed = -observed
        return replace(
            judgement, why=f"{self.measure}, {judgement.why}", observed=observed, measure=self.measure
        )


def compared(evidence: Evidence, trial: Trial) -> list[Compared]:
    """Return what a change is judged by under the strategy, and after it what must not break meanwhile.

    LATENCY and BALANCED: latency against the simulated incumbent on the same arrivals and backlog. COST: slot
    time likewise, while latency may grow by a quarter. THROUGHPUT where every slot is waited for: slot time
    over slots against the same by the law at the incumbent's limit. Callers that wait for their answers ask
    less often under a slower limit, and on those arrivals the incumbent would look as if it had time to
    spare; the law's own error is tolerated there.
    """
    pieces = _pieces(evidence.telemetry, trial)
    by_capacity = evidence.strategy is TuningStrategy.THROUGHPUT and _saturated(
        [recall for recall in pieces[-1] if recall.began >= trial.began]
    )
    if by_capacity:
        slots = math.log(trial.made.before.max_concurrent / trial.made.after.max_concurrent)
        before, since = _sides(trial, pieces, (_by_capacity(evidence, trial, piece) for piece in pieces))
        ratios = [slots + ratio for ratio in _finite(since)]
        return [Compared("capacity", _finite(before), ratios, CANARY.law_error)]
    latency, slot_time = zip(*(_by_simulation(evidence, trial, piece) for piece in pieces), strict=True)
    before, since = _sides(trial, pieces, latency)
    by_latency = Compared("latency", _late(before), _late(since), CANARY.tolerated)
    if evidence.strategy is not TuningStrategy.COST:
        return [by_latency]
    may_grow = math.log(OBJECTIVE.p99_may_grow[TuningStrategy.COST])
    before, since = _sides(trial, pieces, slot_time)
    by_slots = Compared("slot time", _finite(before), _finite(since), CANARY.tolerated)
    return [by_slots, by_latency._replace(tolerated=may_grow)]


def _pieces(telemetry: Telemetry, trial: Trial) -> list[Sequence[MeasuredRecall]]:
    """Return what there is of a trial and of up to 1,000 recalls before it, refused ones as well.

    The newest in one piece; before it, where that has passed out of the newest, stretches that were kept.
    """
    order = sorted(telemetry.recalls, key=lambda recall: recall.began)
    newest = [recall for recall in order if recall.began >= trial.since]
    began = bisect_left(newest, trial.began, key=lambda recall: recall.began)
    stretches: list[Sequence[MeasuredRecall]] = []
    if began < CANARY.compared and order:
        stretches += (s for s in telemetry.stretches.before(order[0].began) if s[0].began >= trial.since)
    return [*stretches, newest[max(0, began - CANARY.compared) :]]


def _sides(
    trial: Trial, pieces: Sequence[Sequence[MeasuredRecall]], ratios: Iterable[Sequence[float]]
) -> tuple[list[float], list[float]]:
    """Return the ratios of recalls before and since the change; of stretches without what led them in."""
    sides: tuple[list[float], list[float]] = [], []
    for piece, each in zip(pieces, ratios, strict=True):
        lead_in = 0 if piece is pieces[-1] else int(TELEMETRY.lead_in * len(piece))
        for recall, ratio in zip(piece[lead_in:], each[lead_in:], strict=True):
            sides[recall.began >= trial.began].append(ratio)
    return sides


def _finite(ratios: Sequence[float]) -> list[float]:
    """Return the ratios of recalls that were answered, here and in the simulation."""
    return [ratio for ratio in ratios if math.isfinite(ratio)]


def _late(ratios: Sequence[float]) -> list[float]:
    """Return the ratios of recalls that were answered, here and in the simulation, and what the others weigh.

    Where surely more or fewer were refused than in the simulation, each ratio has that on top, as the
    objective has it.
    """
    n = max(len(ratios), 1)
    seen = sum(math.isnan(ratio) or ratio == math.inf for ratio in ratios) / n
    simulated = sum(math.isnan(ratio) or ratio == -math.inf for ratio in ratios) / n
    both = (seen + simulated) / 2
    if abs(seen - simulated) <= CANARY.rates_errors * math.sqrt(2 * both * (1 - both) / n):
        return _finite(ratios)
    weighs = OBJECTIVE.refused_weighs
    more = math.log((1 + weighs * seen) / (1 + weighs * simulated))
    return [ratio + more for ratio in _finite(ratios)]


def _refused_without(evidence: Evidence, trial: Trial, recalls: Sequence[MeasuredRecall]) -> float:
    """Return the share of recalls that would have been refused under what was before."""
    run = _under_what_was_before(evidence, trial, sorted(recalls, key=lambda recall: recall.began))
    return float(run.refused.mean())


def _why_worse(before: Rates, since: Rates) -> str:
    said = f"{since.bad} of {since.recalls} recalls failed, were partial or refused"
    if since.refused:
        said += f" ({since.refused} refused)"
    return f"{said}, {before.bad} of {before.recalls} before"


def _by_capacity(evidence: Evidence, trial: Trial, recalls: Sequence[MeasuredRecall]) -> list[float]:
    laws, before = evidence.telemetry.laws, trial.made.before.max_concurrent
    slow = {layer: law.factor(before) for layer, law in laws.items()}
    return [
        math.inf
        if recall.refused
        else math.log(
            max(sum(task.service_ms for task in recall.tasks) / 1000, 1e-6)
            / max(sum(work * slow.get(layer, 1.0) for layer, work in arrival.tasks), 1e-6)
        )
        for recall, arrival in zip(recalls, trace_of(recalls, laws).arrivals, strict=True)
    ]


def _by_simulation(
    evidence: Evidence, trial: Trial, recalls: Sequence[MeasuredRecall]
) -> tuple[list[float], list[float]]:
    """Return the log ratios of latency and of slot time.

    Of latency infinite where a recall was refused, minus infinity where it would have been, NaN for both.
    """
    run = _under_what_was_before(evidence, trial, recalls)
    took = np.array([recall.latency_ms for recall in recalls])
    held = np.array([sum(task.service_ms for task in recall.tasks) for recall in recalls])
    with np.errstate(invalid="ignore"):
        latency, slots = (
            np.log(np.maximum(seen, 1e-3)) - np.log(np.maximum(simulated, 1e-3))
            for seen, simulated in ((took, run.latency_ms), (held, run.held_ms))
        )
    slots[~(np.isfinite(latency))] = np.inf
    return latency.tolist(), slots.tolist()


def _under_what_was_before(
    evidence: Evidence, trial: Trial, recalls: Sequence[MeasuredRecall]
) -> SimulatedRun:
    laws, before = evidence.telemetry.laws, trial.made.before
    slow = slowdowns(laws, before.max_concurrent)
    return Simulation(trace_of(recalls, laws), before, slow, admission=True).run().result()


def _saturated(recalls: Sequence[MeasuredRecall]) -> bool:
    """Whether every slot is waited for."""
    tasks = [task for recall in recalls for task in recall.tasks]
    waits = SATURATION.waiting[TuningStrategy.THROUGHPUT]
    return sum(t.queue_ms for t in tasks) >= waits * sum(t.service_ms for t in tasks)
