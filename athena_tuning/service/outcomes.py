"""Did it help? What changes were expected to bring against what was observed: pure functions, no drawing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from athena_tuning.model import Action, Annotation, ConfigVersion, Decision
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.columns.selection import Filter
from athena_tuning.service import text, units
from athena_tuning.service.chart_rows import Prediction, change_words
from athena_tuning.service.view import View
from athena_tuning.tuning.simulation.what_if import Estimate

LEAST = 30
"""Recalls of a type that both versions need before they are compared."""

_SPREAD = tuple((np.arange(20) + 0.5) / 20)


def observed_change(
    profiler: PerformanceProfiler, view: View, before: int, after: int
) -> tuple[Estimate, int] | None:
    """Return the change of latency from one config version to another, and the recalls it rests on.

    The mean log latency of each query type under both, weighted by the type's recalls under the later one: a
    mix that changed meanwhile does not count as a change. Means and spreads come from twenty quantiles. The
    interval takes recalls for independent, which a shared queue makes a little too sure.

    Args:
        profiler: the window; all of it is used.
        view: only its query type counts, if it names one.
        before: the earlier version.
        after: the later one.

    Returns:
        None if no type has ``LEAST`` recalls under both, or not all of them were measured live.
    """
    kinds = [view.query_type] if view.query_type else profiler.query_types()
    shifts, weights, doubts = [], [], []
    for kind in kinds:
        sides = [_logs(profiler, kind, version) for version in (before, after)]
        if any(side is None for side in sides):
            continue
        (mean, spread, n), (then, spread_then, n_then) = (side for side in sides if side is not None)
        shifts.append(then - mean)
        weights.append(n_then)
        doubts.append(spread**2 / n + spread_then**2 / n_then)
    if not weights:
        return None
    share = np.array(weights) / sum(weights)
    shift = float(share @ np.array(shifts))
    error = 1.96 * math.sqrt(float(share**2 @ np.array(doubts)))
    return Estimate(shift, shift - error, shift + error), sum(weights)


def predictions(
    decisions: Sequence[Decision],
    versions: Sequence[ConfigVersion],
    observe: Callable[[int, int], tuple[Estimate, int] | None],
    *,
    most: int = 12,
) -> list[Prediction]:
    """Return the newest changes that had an expectation, with what was observed of them.

    The tuner's own verdict counts where there is one; else what ``observe(before, after)`` returns for two
    versions.
    """
    parents = {version.version: version.parent for version in versions}
    verdicts = verdicts_of(decisions)
    made: list[Prediction] = []
    for decision in decisions:
        expected = expectation(decision)
        if expected is None or decision.config_version is None or len(made) >= most:
            continue
        verdict, version = verdicts.get(decision.decision_id), decision.config_version
        name = f"v{version}"
        if verdict is not None and verdict.observed is not None:
            seen = verdict.observed
            made.append(Prediction(name, expected, Estimate(seen, seen, seen), verdict.samples))
        elif (change := observe(parents.get(version, 0), version)) is not None:
            made.append(Prediction(name, expected, *change))
    return made


def expectation(decision: Decision) -> Estimate | None:
    """Return the change of latency that a decision expected, as a log ratio; None if it expected none.

    A person's change says so in its reasons, the tuner's by the objective it predicted.
    """
    for reason in decision.reasons:
        if "latency_change" in reason.inputs:
            return Estimate(*(float(reason.inputs[key]) for key in ("latency_change", "low", "high")))
    if decision.predicted is None or not math.isfinite(decision.predicted) or not decision.candidates:
        return None
    best = decision.candidates[0]
    return Estimate(decision.predicted, best.low, best.high)


def verdicts_of(decisions: Sequence[Decision]) -> Mapping[str, Decision]:
    """Return the verdicts by the decision that they judge."""
    return {d.verdict_on: d for d in reversed(decisions) if d.verdict_on}


def explanation(decision: Decision, verdict: Decision | None = None) -> list[str]:
    """Return a decision in sentences: what, on which grounds, what else was considered, how it turned out."""
    who = "A person" if decision.policy == "person" else f"The policy “{text.plain(decision.policy, 30)}”"
    did = {
        Action.KEEP: "left everything as it was",
        Action.CHANGE: "called for a change",
        Action.CANARY: "put a change on trial",
        Action.CONFIRM: "confirmed a change on trial",
        Action.ROLLBACK: "took a change back",
    }[decision.action]
    whom = "all query types" if decision.scope == "all" else f"type {text.plain(decision.scope, 30)}"
    sentences = [f"{who} {did} for {whom}, on {units.count(decision.samples)} recalls."]
    if (expected := expectation(decision)) is not None:
        sentences.append(f"Expected: {change_words(expected)} (95 % interval).")
    if decision.bound:
        sentences.append(f"What kept it from going further: {text.plain(decision.bound, 200)}.")
    if decision.config_version:
        sentences.append(f"In force as version {decision.config_version}.")
    elif decision.action in (Action.CHANGE, Action.CANARY):
        sentences.append("Not applied: the mode left that to a person.")
    if decision.observed is not None:
        sentences.append(f"Observed: {change_words(Estimate(*[decision.observed] * 3))}.")
    if verdict is not None:
        sentences.append(f"Verdict: {text.plain(verdict.summary, 240)}")
    return sentences


def trail(
    versions: Sequence[ConfigVersion], notes: Sequence[Annotation]
) -> list[tuple[float, str, str, str]]:
    """Return (Unix seconds, who, what, why) of every write, newest first."""
    written = [
        (
            v.time,
            v.author,
            f"exception for {v.scope} ended, version {v.version}"
            if v.ends_exception
            else f"config version {v.version}"
            + ("" if v.scope == "all" else f" for {v.scope}")
            + (f", back to version {v.restores}" if v.restores else ""),
            v.reason,
        )
        for v in versions
    ]
    return sorted([*written, *((n.time, n.author, n.text, "") for n in notes)], reverse=True)


def _logs(profiler: PerformanceProfiler, kind: str, version: int) -> tuple[float, float, int] | None:
    where = Filter(query_type=kind, config_version=version)
    n = profiler.summary(**where).count
    if n < LEAST or set(profiler.sources(**where)) - {"live"}:
        return None
    logs = np.log(np.maximum(np.asarray(profiler.percentiles(_SPREAD, **where)), 1e-3))
    return float(logs.mean()), float(logs.std()), n
