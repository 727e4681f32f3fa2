"""How a limit is changed: by rule, by saturation and on trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from athena_tuning.model import TuningStrategy

LATENCY, BALANCED = TuningStrategy.LATENCY, TuningStrategy.BALANCED
COST, THROUGHPUT = TuningStrategy.COST, TuningStrategy.THROUGHPUT


@dataclass(frozen=True, slots=True)
class CanarySettings:
    """How a change on trial is judged, and what follows."""

    block: int = 25
    """Recalls of one block mean: neighbours share their queue. Prototype."""

    looks: tuple[int, ...] = (10, 16, 24, 40)
    """Blocks after which a trial is looked at. Prototype: fewer than 10 blocks have no honest interval."""

    surely_better_s: float = 2.0
    """Seconds before which nothing is confirmed, however many recalls came. Judgement: with some hundred
    recalls a second the first look comes no sooner."""

    not_bad_s: float = 10.0
    """Seconds before which nothing is confirmed for having done no harm. Judgement: a backend's mood lasts
    for seconds."""

    t_look: float = 2.9
    """Student's t for one look of four at 5 % in all, 10 blocks or more (Bonferroni: 1.25 % two-sided)."""

    tolerated: float = 0.03
    """Mean log ratio that is no reason to go back: what the simulator misses an incumbent by. Prototype."""

    law_error: float = 0.08
    """The same where a trial is judged by capacity: the law's own error. Judgement."""

    compared: int = 1000
    """Recalls before a change that are simulated too, at most: its backlog is met again, and what the
    simulator misses them by is no merit or fault of the change. Arithmetic: as many as a trial has."""

    calibrated: int = 4
    """Blocks before a change from which it is known what the simulator misses them by. Judgement."""

    simulator_error: float = 0.05
    """What the simulator may miss an incumbent by where that is not known. Judgement."""

    first_ban: int = 1250
    """Recalls for which a config that failed is left alone, doubled each time. Arithmetic: a quarter longer
    than the longest trial, so that what it is tried in place of cannot come back by failing."""

    advisor_first_ban: int = 4000
    """The same for what an advisor proposed. Judgement: its evidence changes more slowly."""

    longest_ban: int = 64_000
    """The longest of these. Judgement: hours of a busy system."""

    watching: int = 2000
    """Recalls for which nothing is tried after failures under a change. Judgement: two longest trials."""

    rates_least: int = 20
    """Recalls on either side below which failures are not compared. Judgement."""

    rates_allowed: float = 0.01
    """Share of recalls that may become failed or partial. As in the objective."""

    rates_errors: float = 3.0
    """Standard errors on top of that. Arithmetic: one false alarm in 700 independent looks."""


@dataclass(frozen=True, slots=True)
class SaturationSettings:
    """What happens to a limit that recalls wait for."""

    check: int = 15
    """Recalls between two looks, and tasks begun under the present limit that a look needs. Judgement:
    a backlog grows for as long as it takes to see it."""

    waiting: Mapping[TuningStrategy, float] = field(
        default_factory=lambda: {LATENCY: 0.6, BALANCED: 0.6, THROUGHPUT: 0.6, COST: 2.0}
    )
    """Mean queue wait over mean service time from which the limit is what recalls wait for. Judgement; COST
    lets them wait for twice their service, because it gives latency for slot time."""

    lost_by_fewer: float = 0.8
    """Share of what slots got done before a step down, under which it is taken back. Judgement: as above,
    and the law had expected more."""

    more: float = 1.1
    """Times the limit before a step that run at once, from which less done is the step's fault. Judgement."""

    lost: float = 0.9
    """Share of what slots got done before a step, under which it has lost. Judgement: a mean of 15 tasks is
    known to about a tenth."""

    far_behind: float = 2.0
    """The same, from which it is badly so. Judgement."""

    step: float = 1.6
    """How far up at once. Judgement, between the 1.3 of the prototype and doubling."""

    long_step: float = 2.5
    """How far up at once where the limit is far behind. Judgement: two steps in one."""

    growth: float = 1.05
    """Capacity to gain beyond what was seen. Judgement: about the error of its measurement."""

    sure_growth: float = 1.15
    """Capacity to gain within what was seen, where the law says more than a try would. Judgement."""

    same: float = 0.98
    """Capacity from which fewer slots are as good as more. Judgement."""

    near: float = 0.15
    """How far apart, in log ratio, two limits are at most to know one by the other. Judgement."""


@dataclass(frozen=True, slots=True)
class ReviewSettings:
    """When the model policy searches, and how often it repeats itself."""

    first: int = 150
    """Recalls with telemetry before the first search. Judgement; the prototype had 250."""

    growth: float = 0.5
    """Times the recalls so far that pass until the next search: then a third of all is new. Judgement."""

    gap: int = 4000
    """Recalls between two searches at most. Arithmetic: nothing older is kept."""

    changes: int = 4
    """Changes in any so many recalls at most, the one that takes a change back included. Judgement: three
    are what finding a limit takes."""

    within: int = 1000
    """So many recalls."""

    repeated: int = 1000
    """Recalls until a change that nobody carried out is proposed again; another one comes after half.
    Judgement."""

    shift_recalls: int = 200
    """Newest recalls whose load is compared with the load before, if they span ``shift_s``. Judgement."""

    shift_s: float = 2.0
    """Seconds that the load is taken over at least. Judgement: what is shorter is a burst."""

    shift_every: int = 50
    """Recalls between two such comparisons. Judgement."""

    shift: float = 0.4
    """Log ratio of the offered work from which load has moved: by half. Judgement."""


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """The classic rules, as they were first written: a yardstick, and the fallback without telemetry."""

    recent: int = 300
    """Newest recalls that speed-up is drawn from, so that its cost does not grow with the window."""

    fast_ms: float = 100
    """p99 below which a workload is fast."""

    slow_ms: float = 500
    """p99 from which it is slow."""

    limits: tuple[int, int, int] = (15, 8, 4)
    """Limit of a fast workload, of one in between, of a slow one."""

    parallel_from: float = 1.2
    """Speed-up above which layers run at the same time."""

    timeout_factor: Mapping[TuningStrategy, float] = field(
        default_factory=lambda: {LATENCY: 1.2, BALANCED: 1.5, COST: 1.5, THROUGHPUT: 2.0}
    )
    """Times p99 that a layer may take."""

    limit_factor: Mapping[TuningStrategy, float] = field(
        default_factory=lambda: {LATENCY: 0.6, COST: 0.85, BALANCED: 1.0, THROUGHPUT: 1.6}
    )
    """Times the limit of the band."""


CANARY = CanarySettings()
SATURATION = SaturationSettings()
REVIEW = ReviewSettings()
RULES = RuleSettings()
