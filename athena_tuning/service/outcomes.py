"""Did it help? What changes were expected to bring against what was observed: pure functions, no drawing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from athena_tuning.model import Action, Annotation, ConfigVersion, Decision, QueryMetrics, TuningConfig
from athena_tuning.model.source import MEASURED
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.service import text, units
from athena_tuning.service.chart_rows import Incomparable, Prediction, change_words
from athena_tuning.service.view import View
from athena_tuning.tuning.simulation.what_if import Estimate

LEAST = 30
"""Recalls of a type that both versions need before they are compared."""

NEWEST = 2000
"""Recalls of a version that are compared: the newest."""

LOAD = 1.25
"""Times by which the load of two versions may differ for their latencies to be compared."""

_DEADLINES = {"timeout_seconds", "layer_timeouts", "deadline_seconds"}


def observed_change(
    profiler: PerformanceProfiler,
    view: View,
    before: int,
    after: int,
    configs: tuple[TuningConfig, TuningConfig] | None = None,
) -> tuple[Estimate, int] | str:
    """Return the change of typical latency from one config version to another, and its recalls.

    The mean log latency of each query type under both, of recalls that the cache did not answer, weighted by
    the type's recalls under the later one: a mix or a cache that changed meanwhile does not count as a
    change. The interval takes recalls for independent, which a shared queue makes a little too sure.

    Args:
        profiler: the window; of each version the newest recalls are used.
        view: only its query type counts, if it names one.
        before: the earlier version.
        after: the later one.
        configs: what was changed to what, where it is known.

    Returns:
        Why nothing can be said, if no type has ``LEAST`` recalls under both that asked layers, if layers
        were asked more than ``LOAD`` times as often under one of them, or if the change cannot have had an
        effect.
    """
    sides = [_newest_uncached(profiler, view, version) for version in (before, after)]
    kinds = {m.query_type for m in sides[0]} & {m.query_type for m in sides[1]}
    logs = [{kind: _logs(side, kind) for kind in kinds} for side in sides]
    comparable = sorted(kind for kind in kinds if min(len(side[kind]) for side in logs) >= LEAST)
    if not comparable:
        return f"no type has {LEAST} recalls under v{before} and under v{after} that the cache did not answer"
    rates = [len(side) / max(side[-1].timestamp - side[0].timestamp, 1e-3) for side in sides]
    if max(rates) > LOAD * min(rates):
        return f"layers were asked at {units.rate(rates[0])} under v{before}, at {units.rate(rates[1])} after"
    longest = max(m.latency_ms or 0.0 for side in sides for m in side)
    if configs and (why := _without_effect(*configs, longest)):
        return why
    weights = np.array([len(logs[1][kind]) for kind in comparable])
    shifts = np.array([logs[1][kind].mean() - logs[0][kind].mean() for kind in comparable])
    doubts = np.array([sum(side[kind].var() / len(side[kind]) for side in logs) for kind in comparable])
    share = weights / weights.sum()
    shift, error = float(share @ shifts), 1.96 * math.sqrt(float(share**2 @ doubts))
    return Estimate(shift, shift - error, shift + error), int(weights.sum())


def _without_effect(before: TuningConfig, after: TuningConfig, longest_ms: float) -> str:
    """Return why a change of how long is waited cannot have changed any recall, else ""."""
    changed = set(before.changes_to(after)) - {"strategy"}
    least = min(
        seconds
        for config in (before, after)
        for seconds in (config.timeout_seconds, config.deadline_seconds, *config.layer_timeouts.values())
        if seconds is not None
    )
    if not changed <= _DEADLINES or longest_ms >= 1000 * least:
        return ""
    return f"no recall took longer than {units.ms(longest_ms)}, and none was waited for less than {least:g} s"


def predictions(
    decisions: Sequence[Decision],
    versions: Sequence[ConfigVersion],
    observe: Callable[[Decision, int, int], tuple[Estimate, int] | str],
    *,
    most: int = 12,
) -> tuple[list[Prediction], list[Incomparable]]:
    """Return the newest changes that had an expectation, with what was observed of the same measure.

    The tuner's own verdict counts where there is one; else what ``observe(decision, before, after)`` returns
    for two versions, which is typical latency. Where one or the other is missing, it says why.
    """
    parents = {version.version: version.parent for version in versions}
    verdicts = verdicts_of(decisions)
    made: list[Prediction] = []
    others: list[Incomparable] = []
    for decision in decisions:
        version = decision.config_version
        if decision.predicted is None or version is None or len(made) + len(others) >= most:
            continue
        name, verdict = f"v{version}", verdicts.get(decision.decision_id)
        seen: tuple[Estimate, int] | str
        if verdict is not None and verdict.observed is not None and verdict.measure:
            measure, seen = verdict.measure, (Estimate(*[verdict.observed] * 3), verdict.samples)
        else:
            measure, seen = "latency", observe(decision, parents.get(version, 0), version)
        expected = expectation(decision, measure)
        if isinstance(seen, str):
            others.append(Incomparable(name, seen))
        elif expected is None:
            why = f"{measure} was measured, the {decision.after.strategy} objective was expected"
            others.append(Incomparable(name, why))
        else:
            made.append(Prediction(name, expected, *seen, measure))
    return made, others


def expectation(decision: Decision, measure: str = "latency") -> Estimate | None:
    """Return the change of a measure that a decision expected, as a log ratio; None if it expected none."""
    if measure == "slot time":
        slots = decision.action is Action.CHANGE and decision.policy != "person"
        return Estimate(*[decision.predicted] * 3) if slots and decision.predicted is not None else None
    names = (f"{measure}_change", *(("low", "high") if measure == "latency" else [f"{measure}_change"] * 2))
    for reason in decision.reasons:
        if names[0] in reason.inputs:
            return Estimate(*(float(reason.inputs[key]) for key in names))
    return None


def verdicts_of(decisions: Sequence[Decision]) -> Mapping[str, Decision]:
    """Return the verdicts by the decision that they judge."""
    return {d.verdict_on: d for d in reversed(decisions) if d.verdict_on}


def explanation(decision: Decision, verdict: Decision | None = None) -> list[str]:
    """Return a decision in sentences: what, on which grounds, what else was considered, how it turned out."""
    if decision.action is Action.EXPERIMENT:
        return [text.plain(decision.summary, 600)]
    who = "A person" if decision.policy == "person" else f"The policy “{text.plain(decision.policy, 30)}”"
    did = {
        Action.KEEP: "left everything as it was",
        Action.CHANGE: "called for a change",
        Action.CANARY: "put a change on trial",
        Action.CONFIRM: "confirmed a change on trial",
        Action.ROLLBACK: "took a change back",
        Action.ISOLATE: "left out a layer that was down",
    }[decision.action]
    whom = "all query types" if decision.scope == "all" else f"type {text.plain(decision.scope, 30)}"
    sentences = [f"{who} {did} for {whom}, on {units.count(decision.samples)} recalls."]
    if (expected := expectation(decision)) is not None:
        sentences.append(f"Expected of typical latency: {change_words(expected)} (95 % interval).")
    if decision.bound:
        sentences.append(f"What kept it from going further: {text.plain(decision.bound, 200)}.")
    if decision.config_version:
        sentences.append(f"In force as version {decision.config_version}.")
    elif decision.action in (Action.CHANGE, Action.CANARY):
        sentences.append("Not applied: the mode left that to a person.")
    if decision.observed is not None:
        seen = change_words(Estimate(*[decision.observed] * 3))
        sentences.append(f"Seen of {decision.measure or 'typical latency'}: {seen}.")
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
            _written(v),
            v.reason,
        )
        for v in versions
    ]
    return sorted([*written, *((n.time, n.author, n.text, "") for n in notes)], reverse=True)


def _written(v: ConfigVersion) -> str:
    """Return what writing a version was."""
    if v.ends_experiment:
        return f"experiment with version {v.parent} ended"
    if v.ends_exception:
        return f"exception for {v.scope} ended, version {v.version}"
    whom = "" if v.applies_to == "all" else f" for {v.applies_to}"
    if v.experiment:
        return f"version {v.version} tried{whom}, in turns with version {v.experiment.base}"
    return f"config version {v.version}{whom}" + (f", back to version {v.restores}" if v.restores else "")


def _newest_uncached(profiler: PerformanceProfiler, view: View, version: int) -> list[QueryMetrics]:
    """Return the newest recalls under a version that asked layers, oldest first."""
    newest = profiler.newest(NEWEST, query_type=view.query_type, config_version=version, sources=MEASURED)
    misses = (m for m in newest if not m.cache_hit and m.latency_ms is not None)
    return sorted(misses, key=lambda m: m.timestamp)


def _logs(recalls: Sequence[QueryMetrics], kind: str) -> npt.NDArray[np.float64]:
    return np.log(np.maximum([m.latency_ms or 0.0 for m in recalls if m.query_type == kind], 1e-3))
