"""What each strategy makes of each limit, where it would go, and what past versions really gave."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from athena_tuning.model import ConfigVersion, Proposal, TuningStrategy
from athena_tuning.service import units
from athena_tuning.tuning.simulation.objective import Score, objective
from athena_tuning.tuning.simulation.what_if import Estimate, Outcome, WhatIf

SLOWS_DOWN = 0.05
"""Log ratio of slot time from which on more at once is said to slow tasks down."""

PAST = 4
"""Past versions that are shown: the newest of limits other than the one in force."""


@dataclass(frozen=True, slots=True)
class LimitPoint:
    """One limit, simulated on the newest recalls.

    Attributes:
        limit: layer tasks at once.
        objectives: by strategy, as log ratios to what is in force; below 0 is better.
        p99_ms: of whole recalls.
        per_second: recalls a second that it could take.
        slot_ms: slot time for an answer.
        beyond: whether it is beyond what was seen.
    """

    limit: int
    objectives: Mapping[TuningStrategy, float]
    p99_ms: float
    per_second: float
    slot_ms: float
    beyond: bool


@dataclass(frozen=True, slots=True)
class PastVersion:
    """What a past version really gave: its typical latency against the version in force, or why not."""

    version: int
    limit: int
    change: Estimate | None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class StrategyMap:
    """All of it.

    Attributes:
        in_force: the limit in force.
        points: by limit, ascending.
        goals: where each strategy would go, as the tuner has told.
        past: past versions, newest first.
    """

    in_force: int
    points: Sequence[LimitPoint]
    goals: Mapping[TuningStrategy, int]
    past: Sequence[PastVersion] = ()

    @property
    def sentence(self) -> str:
        """Why the strategies go where they go, in a sentence.

        "All four choose 2: …" where they agree, with what their agreement rests on.
        """
        if not self.goals:
            return "The tuner has not simulated yet where each strategy would go."
        wanted = sorted(set(self.goals.values()))
        if len(wanted) > 1:
            by_limit = [
                f"{_names([s for s, n in self.goals.items() if n == limit])} {limit}" for limit in wanted
            ]
            return f"They differ: {'; '.join(by_limit)}."
        (goal,) = wanted
        stay = " as it is" if goal == self.in_force else ""
        return f"All four choose {goal}{stay}: {self._why(goal)}."

    def _why(self, goal: int) -> str:
        at = next((point for point in self.points if point.limit == goal), None)
        above = [point for point in self.points if point.limit > goal and not point.beyond]
        below = [point for point in self.points if point.limit < goal]
        if at is None or not above:
            return f"nobody has seen yet what more than {goal} at once would do"
        more = above[min(1, len(above) - 1)]
        if _log(more.slot_ms, at.slot_ms) > SLOWS_DOWN:
            slower = units.percent(more.slot_ms / at.slot_ms - 1, 0)
            return f"more than {goal} at once slows every task down on your data, {more.limit} by {slower}"
        if below and below[-1].per_second < at.per_second * (1 - SLOWS_DOWN):
            return f"fewer carry less, and more than {goal} at once carries nothing more"
        return f"no limit is surely better for any of them than {goal}"


def strategy_map(
    result: WhatIf,
    proposal: Proposal | None,
    history: Sequence[ConfigVersion],
    observe: Callable[[int, int], tuple[Estimate, int] | str],
) -> StrategyMap:
    """Return the map.

    Args:
        result: a sweep over limits.
        proposal: of the tuner that leads, for all types.
        history: config versions, newest first.
        observe: returns the observed change from a version to a later one, or why it is not known.
    """
    base = result.base
    in_force = base.configs.default.config.max_concurrent
    reference = _score(base)
    named = [(in_force, base), *((int(outcome.name), outcome) for outcome in result.outcomes)]
    points = [
        LimitPoint(
            limit,
            {s: objective(s, _score(outcome), reference) for s in TuningStrategy},
            outcome.p99_ms.value,
            outcome.per_second.value,
            outcome.slot_ms.value,
            outcome.beyond,
        )
        for limit, outcome in sorted(named, key=lambda pair: pair[0])
    ]
    simulated = proposal is not None and proposal.in_force is not None
    goals = (
        {s: told.decision.after.max_concurrent for s, told in proposal.by_strategy.items()}
        if proposal is not None and simulated
        else {}
    )
    return StrategyMap(in_force, points, goals, list(_past(history, in_force, observe)))


def _past(
    history: Sequence[ConfigVersion],
    in_force: int,
    observe: Callable[[int, int], tuple[Estimate, int] | str],
) -> Sequence[PastVersion]:
    versions = [version for version in history if version.scope == "all"]
    seen: dict[int, PastVersion] = {}
    for version in versions[1:]:
        limit = version.config.max_concurrent
        if limit == in_force or limit in seen or len(seen) == PAST:
            continue
        told = observe(version.version, versions[0].version)
        if isinstance(told, str):
            seen[limit] = PastVersion(version.version, limit, None, told)
        else:
            change, _ = told
            turned = Estimate(-change.value, -change.high, -change.low)
            seen[limit] = PastVersion(version.version, limit, turned)
    return list(seen.values())


def _score(outcome: Outcome) -> Score:
    """Return what an outcome achieved; its changes are to the base on the same recalls, refused ones told."""
    return Score(
        math.exp(min(outcome.p99_change.value, 50.0))
        if math.isfinite(outcome.p99_change.value)
        else math.nan,
        outcome.per_second.value,
        outcome.slot_ms.value / 1000,
        full_rate=outcome.full_rate.value,
    )


def _names(strategies: Sequence[TuningStrategy]) -> str:
    return " and ".join([", ".join(s.value for s in strategies[:-1]), strategies[-1].value]).removeprefix(
        " and "
    )


def _log(a: float, b: float) -> float:
    return math.log(a / b) if a > 0 and b > 0 else 0.0
