"""Every constant that a decision depends on, with its unit and what it was chosen by.

One frozen record a subject, one instance of each; nothing else in this room holds a number that decides.
"Arithmetic": the value follows from others. "Prototype": the design was tried with it over simulated worlds
before this code was written. "Judgement": no measurement stands behind it alone; ``benchmarks/regret.py``
passes with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from athena_tuning.model import TuningStrategy

LATENCY, BALANCED = TuningStrategy.LATENCY, TuningStrategy.BALANCED
COST, THROUGHPUT = TuningStrategy.COST, TuningStrategy.THROUGHPUT


# -- what is remembered and estimated ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """How much of the past a decision looks at."""

    recalls: int = 4000
    """Newest recalls kept. Arithmetic: four times the longest trial."""

    tasks: int = 10_000
    """Layer tasks kept at most, stretches included. Arithmetic: a decision's evidence then packs into less
    than 300 kB."""

    remembered: int = 20_000
    """Recalls after which what a number in flight cost is forgotten, if ``remembered_s`` are over too.
    Judgement."""

    remembered_s: float = 300.0
    """Seconds for which it is remembered at least. Judgement: at 4,000 recalls a second, 20,000 are five."""

    stretch: int = 200
    """Recalls of a stretch. Judgement: ten times what is in flight under the usual bounds."""

    stretch_tasks: int = 400
    """Layer tasks of a stretch, if that is fewer recalls. Arithmetic: two a recall."""

    stretches: int = 10
    """Stretches kept. Arithmetic: with all their tasks 4,000 of ``tasks``, and ages twice apart."""

    stretches_s: float = 21_600.0
    """Seconds after which a stretch is forgotten. Judgement: what was six hours ago is another load."""

    settles_s: float = 5.0
    """Seconds until recalls of other workers have come through the store. Arithmetic: several deliveries."""

    enough_s: float = 300.0
    """Seconds of consecutive recalls that need no older stretch beside them. Judgement: minutes."""

    lead_in: float = 0.2
    """Share of a stretch that is simulated and not counted: until the queue is what it was. Judgement."""

    together_ms: float = 0.3
    """Tasks of a recall that start within so long of each other started together. Judgement: what a pool
    needs to start a handful of threads."""

    settling: int = 32
    """Newest recalls whose overlap is not known yet: those beside them have not ended. Arithmetic: more than
    are in flight at once under the usual bounds."""


@dataclass(frozen=True, slots=True)
class ContentionSettings:
    """How the slowdown by tasks in flight is fitted."""

    most: int = 128
    """Numbers in flight above this count as this: half of the largest limit that bounds allow, so that the
    law may be asked for three quarters of it."""

    kept: int = 1000
    """Tasks a group remembers at least: each newer one takes 1/1000 off what the older ones weigh.
    Judgement."""

    kept_s: float = 30.0
    """Seconds for which it remembers at least as many as come in that time. Judgement."""

    group: float = 4
    """Tasks that a group needs to say something. Judgement: a mean of fewer is one task's noise."""

    level: float = 12
    """Tasks that a number in flight needs to count as known. Judgement: a mean to about a sixth."""

    rounds: int = 7
    """Gauss–Newton steps. Judgement: steps are bounded, so that there is no end to wait for."""

    neighbours: float = 2.0
    """How far ``ln f(n)`` may be apart for n and m before anything is known, times ``ln m/n``: one standard
    deviation. Arithmetic: ``f(n) = n`` has 1, a collapse has more."""

    alike: float = 1.0
    """The same for layers among each other."""

    seldom: float = 1e-4
    """Share of all time below which a number in flight was a matter of rounding. Judgement."""

    like_all: float = 2.5
    """Standard errors from which a layer feels another share of the slowdown than all. Arithmetic: 1.2 % by
    chance."""

    knees: tuple[int, ...] = (2, 3, 4, 6, 8, 10, 12, 16, 20, 24)
    """Numbers in flight at which a backend may run out of slots. Judgement: usual sizes of pools."""

    trust: float = 1.5
    """Times the largest number seen that a law may be asked for. Prototype: data from one limit alone picked
    configs up to 73 times worse, data from several limits ones within 2 % of the best."""

    tilt: float = 0.05
    """How much steeper or flatter, as an exponent of n, real curves are than what is fitted. Chosen by
    ``benchmarks/coverage.py``, on trials other than those that it runs."""

    prior: float = 0.1
    """How far, in log ratio, real curves leave the sum of the terms. Judgement, from the embedded store's."""


@dataclass(frozen=True, slots=True)
class ServiceTimeSettings:
    """How the tail of a layer's times is fitted."""

    fewest: int = 30
    """Tasks that must have ended; from fewer a tail is a guess. Judgement."""

    bin: float = 0.001
    """Log ratio to which times that tasks were given up at are told apart. Arithmetic: below any error."""

    bins: int = 24
    """Most different times given up at: each is a term of every Newton step. Judgement."""

    disproved: float = 3.0
    """Standard errors by which more tasks than a law allows must be late for it to be disproved. Arithmetic:
    one false alarm in 700."""

    tail: float = 0.05
    """Share of the times that a law of the tail alone rests on. Convention."""

    refits: int = 60
    """Resamples of an upper bound. Arithmetic: three of them lie beyond it."""

    sure: float = 0.95
    """Share of the resamples that an upper bound lies above."""


@dataclass(frozen=True, slots=True)
class ContributionSettings:
    """How it is told what a layer adds to answers."""

    kept: int = 1000
    """Newest observations of a layer under a type, and newest scores of a type. Arithmetic: five times what
    is needed to leave a layer out."""

    explored: int = 15
    """Newest recalls that asked a layer only to see what it would add. Arithmetic: so many are expected of
    500 recalls at the usual share of exploration, and a layer that becomes useful is seen by then."""

    types: int = 64
    """Types that are told apart; names of a caller's own beyond that are not counted. Judgement."""

    chance: float = 0.05
    """Chance of error of either bound of a share. Convention."""

    early: int = 350
    """Recalls below which a look at what a layer adds is early. Arithmetic: 250 without any suffice."""

    early_chance: float = 0.025
    """Chance of error of an early look. Arithmetic: half of 5 %, for all looks together."""

    later_chance: float = 0.0025
    """Chance of error of each later look, every 50 recalls. Measured: with the early ones, 3.7 % of layers at
    the border are left out within 5,000 recalls; without a correction it would be 55 %."""

    score_loss: float = 0.02
    """Difference of scores (0 to 1) that does not matter. Judgement."""

    score_errors: float = 2.58
    """Standard errors beyond which a difference of scores is no chance. Arithmetic: 0.5 %, for ten looks at
    5 % in all."""

    scores: int = 20
    """Scores needed with a layer, and without it, to compare. Judgement: the normal law holds from there."""


# -- simulation ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ObjectiveSettings:
    """What a strategy may pay for its gain."""

    p99_may_grow: Mapping[TuningStrategy, float] = field(
        default_factory=lambda: {THROUGHPUT: 1.5, COST: 1.25}
    )
    """Times the reference's p99 beyond which the excess counts against the gain. Judgement, documented."""

    rates_may_fall: float = 0.01
    """Share of recalls that may become failed or partial before no gain buys that. Judgement."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How the best config is looked for by simulation."""

    limits: tuple[int, ...] = (
        1,
        2,
        3,
        4,
        5,
        6,
        8,
        10,
        13,
        16,
        20,
        25,
        32,
        40,
        50,
        64,
        80,
        100,
        128,
        160,
        200,
        256,
    )
    """Tried: about 1.25 apart; between neighbours the objective differs less than it can be measured."""

    gain: float = 0.08
    """Least gain (log ratio) for a change. Prototype: above what the simulator misses an incumbent by."""

    tie: float = 0.03
    """Of candidates within so much of the best the nearest to the incumbent is taken. Prototype."""

    refits: int = 4
    """Laws as they could have come out by chance, under which a gain has to hold. Judgement: each costs as
    much as a candidate."""

    finalists: int = 3
    """Candidates that run on the whole trace. Judgement."""

    rough: int = 250
    """Recalls that the whole grid runs on at least. Arithmetic: p99 is the third slowest of them."""

    slice: int = 250
    """Recalls simulated between two pauses. Arithmetic: about 2 ms."""

    negligible: float = 1.02
    """Slowdown below which a law costs time and changes nothing. Judgement."""

    per_step: int = 1500
    """Recalls simulated in one step of the tuner. Arithmetic: about 10 ms."""

    at_once: int = 300
    """Recalls simulated for somebody who waits for the answer. Arithmetic: about 100 ms in all."""

    longest: int = 1000
    """Recalls simulated by a search in steps. Arithmetic: ten of them lie beyond p99."""


@dataclass(frozen=True, slots=True)
class WhatIfSettings:
    """How a forecast of recorded recalls is made."""

    least: int = 50
    """Recalls with task telemetry below which nothing is simulated. Judgement."""

    replicates: int = 12
    """Times that recalls are drawn anew and simulated under another possible law. Arithmetic: a spread is
    then known to a fifth; each costs as much as all candidates once."""

    recalls: int = 1500
    """Recalls of a replicate at most. Arithmetic: 15 of them lie beyond p99."""

    blocks: int = 20
    """Stretches of neighbours that a replicate is drawn from: long ones, so that bursts stay bursts."""

    tail: float = 0.02
    """Share of a layer's works that counts as its tail. Convention."""

    tail_least: int = 10
    """Works that a tail's shape needs. Judgement: it is then known to a third."""

    t: float = 2.4
    """Spreads to either side of a 95 % interval. Student's t for so many replicates is 2.2; the rest is for
    what no replicate shows. Chosen by ``benchmarks/coverage.py``, on trials other than those that it runs."""

    least_error: float = 0.02
    """Least doubt of a change, as a log ratio. Chosen likewise."""


# -- policies ------------------------------------------------------------------------------------------


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

    first_ban: int = 1000
    """Recalls for which a config that failed is left alone, doubled each time. Arithmetic: the longest
    trial."""

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
class AdviceSettings:
    """When a proposal is advice, and when it is told anew."""

    error: float = 1.5
    """Times by which the simulated p99 of what is in force may miss the measured one. Judgement."""

    gap: int = 4000
    """Recalls after which a proposal is told anew at the latest. As a review's."""


@dataclass(frozen=True, slots=True)
class AdvisorSettings:
    """When advisors are asked."""

    first: int = 500
    """Recalls before anybody is asked. Judgement: the limit comes first."""

    pace: int = 1000
    """Recalls between two rounds, and for which a change is watched: at most one change in so many.
    Judgement."""

    look: int = 50
    """Recalls between two looks at a change on trial. Judgement."""


@dataclass(frozen=True, slots=True)
class AdmissionSettings:
    """When other admission settings are looked for, and taken."""

    looked_at: int = 1000
    """Newest recalls that are simulated. Arithmetic: ten of them lie beyond p99."""

    refused: float = 0.01
    """Share of them that was refused, from which it is worth looking. As in the objective."""

    gain: float = 0.02
    """Share of all recalls that must be answered in time on top. Judgement: twice what may be chance in so
    many."""

    least_growth: float = 1.1
    """Times the p99 of those answered from which one is late where the strategy allows no growth."""

    afters: tuple[float, ...] = (0.45, 0.9, 1.8)
    """Seconds that are tried; two apart, as the law forgets the rest."""

    waits: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    """Seconds that are tried."""


@dataclass(frozen=True, slots=True)
class HedgingSettings:
    """When layers are called a second time, and when no longer."""

    looked_at: int = 1000
    """Recalls that are simulated. Arithmetic: ten of them lie beyond p99."""

    gain: float = 0.2
    """Least gain in the strategy's objective (log ratio), under the fitted law and under a refit. Judgement:
    what makes a call slow may be its question, which no simulation knows; so little is not worth it."""

    expected: float = 10.0
    """Second calls that would answer first, if they were like the layer's calls, from which they are judged.
    Arithmetic: by chance fewer than half of so many come in one case of thirty."""

    won: float = 0.5
    """Times what was expected that must answer first. Judgement: where questions are slow, hardly any do."""

    newest: int = 2000
    """Recalls whose second calls are looked at. Judgement."""


@dataclass(frozen=True, slots=True)
class TimeoutSettings:
    """How long to wait for a layer."""

    lost: float = 0.005
    """Share of recalls that may lose a layer to its timeout. Half of what the objective's limit allows."""

    margin: float = 1.25
    """Times the upper bound of what a layer needs. Judgement: tomorrow is not today."""

    enough: int = 200
    """Tasks of a layer from which its own timeout is set. Arithmetic: ``lost`` of them is one."""

    looked_at: int = 2000
    """Newest recalls that are fitted. Judgement."""

    material: float = 1.2
    """Timeouts closer to each other than by this factor are not worth a config change. Judgement."""


@dataclass(frozen=True, slots=True)
class LayerSettings:
    """When a layer is left out."""

    negligible: float = 0.015
    """Share of recalls that a layer adds something to, under which it is left out. Arithmetic: 250 recalls
    without any say so, see ``CONTRIBUTION.early``."""

    looked_at: int = 1000
    """Newest recalls whose slot time is compared. Judgement."""

    wakes_every: int = 50
    """Recalls after which it is looked anew whether a type should ask other layers. Judgement."""

    worth_a_call: Mapping[str, float] = field(
        default_factory=lambda: {"latency": 0.15, "throughput": 0.15, "balanced": 0.15, "cost": 0.2}
    )
    """Part of an answer that a layer must surely be to be asked beside those that selection chooses, by
    strategy. Judgement: half of what it would be if it were worth as much as two others; more where calls
    cost money."""

    large: float = 0.25
    """Part of an answer from which a layer is worth asking although others hardly confirm it. Judgement: what
    one of four is worth."""

    trial: int = 60
    """Recalls of its type for which a change is on trial. Judgement: what is needed later comes back at any
    time, by scores and by what recalls find that explore."""

    explored_least: int = 5
    """Recalls that asked it to see that. Judgement: the least that have a spread."""

    sole_part: Mapping[str, float] = field(
        default_factory=lambda: {"cost": 0.04, "balanced": 0.025, "throughput": 0.025}
    )
    """Part of an answer that no other layer finds, under which a layer waits for the second round, by
    strategy; a second round takes time, so latency has none. Judgement: a quarter of a piece of the best
    ten, and more where calls cost money."""

    may_slow: Mapping[str, float] = field(
        default_factory=lambda: {"cost": 1.25, "balanced": 1.25, "throughput": 1.5}
    )
    """Times as long as recalls may take, in the mean, so that a layer may wait for the second round, by
    strategy. Judgement: as ``OBJECTIVE.p99_may_grow``; balanced pays what cost does."""

    spared: float = 0.5
    """Share of recalls that a second round must surely spare. Judgement."""

    second_least: int = 30
    """Recalls below which no layer waits for a second round. Judgement: the error of a part is 0.005 then."""

    backed_least: float = 0.25
    """Of what a layer adds, the share that others must find too, at whatever rank, if most of what they add
    is found by others; else it is suspected of adding noise, which scores then decide. Judgement."""


@dataclass(frozen=True, slots=True)
class QuestionSettings:
    """How it is learned which questions are worth a layer."""

    observed: int = 10_000
    """Newest questions that are kept, of all types together. Arithmetic: 13 MB, learned from
    in 0.3 s."""

    settled: int = 500
    """Questions of a type under its present set of layers before anything is learned by question. Arithmetic:
    by then enough of them have explored for what holds for all of the type to be changed first."""

    least: int = 60
    """Observations of a layer below which nothing is learned of it. Judgement."""

    shown_least: int = 8
    """Questions that must show a feature, and that must not, for it to count. Judgement; it also keeps what
    only one person would write out of configs."""

    features: int = 96
    """Features that are looked at, the most frequent ones. Arithmetic: a solution of so many takes 0.1 ms on
    one core; larger ones are shared among all cores, which recalls need."""

    kept: int = 32
    """Features of a layer that are kept, so that a person can read them. Judgement."""

    shrinkage: tuple[float, ...] = (3.0, 10.0, 30.0, 100.0)
    """Questions that must show a feature for its effect to be half believed; what errs least on questions
    that were left out is taken. Judgement: steps of about 3."""

    folds: int = 5
    """Parts of the questions that are left out in turn. Convention."""

    prices: tuple[float, ...] = (0.0025, 0.005, 0.01, 0.025, 0.04, 0.08, 0.16, 0.25)
    """What a call may cost, in parts of an answer: those that strategies ask for, less where a layer is not
    the slowest, and up to what is large where there are no scores. Arithmetic: steps of about 2."""

    typical_price: float = 0.025
    """By which it is told what matters. That of BALANCED."""

    changed_least: int = 10
    """Observed questions for which a model must say something else to be taken for more than chance.
    Judgement: what counts them all has a bound of its own."""

    most_added: float = 0.5
    """Calls a recall that a model may add: what most questions seem to want is a matter of their type, whose
    rules tell noise from knowledge better. Arithmetic: most."""

    worth_calls: float = 0.1
    """What a model must gain, in calls a recall, to be worth a config. Judgement."""

    wakes_every: int = 50
    """Recalls after which it is looked whether there is something new. Judgement."""

    trial: int = 60
    """Recalls of its type for which a change is on trial, as other changes of layers are."""


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """How it is learned from scores what the ranks of a layer count."""

    scores: int = 200
    """Scores for a hint, and under a change, to judge it. Arithmetic: a difference of 0.1 of scores that
    spread by 0.4 is 2.5 of its standard errors then."""

    step: float = 2.0
    """By what a weight is multiplied or divided at a time. Judgement."""

    least: float = 0.25
    """The smallest weight; its inverse is the largest. As ``quality --learn-fusion`` tries."""

    trial: int = 400
    """Recalls of its type for which a change is on trial at least. Judgement: twice the scores."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How load by the time of day is expected and met."""

    day_s: float = 86_400.0
    slot_s: float = 900.0
    """Seconds of a slot of the day. Judgement: cron jobs and shifts begin at quarters of an hour."""

    days: int = 7
    """Days that an expectation rests on at most. Judgement: a week."""

    weeks: int = 4
    """Weeks of which the same weekday is looked at. Judgement: a month."""

    weeks_least: int = 2
    """Weeks from which a weekday is known. Arithmetic: of one, nothing tells a weekday from a day."""

    lead_s: float = 60.0
    """Seconds before a slot at which it is looked at. Arithmetic: longer than a search takes."""

    differs: float = 1.5
    """Factor between the expected load and the present one, from which it is looked into. Judgement."""

    recalls: int = 250
    """Recalls that are run again at the expected load, if they span ``present_s``; else as many as a search
    looks at. Judgement."""

    present_s: float = 10.0
    """Seconds that the present load is taken over at least. Judgement: what is shorter is a burst."""

    apart: int = 1000
    """Recalls between two such searches. Judgement."""


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


@dataclass(frozen=True, slots=True)
class InterferenceSettings:
    """When managers on one store are said to slow each other down, or not to."""

    tasks: int = 1000
    """Tasks needed. Judgement."""

    level: int = 40
    """Tasks that started at a number in flight for it to have been met. Judgement."""

    settles_s: float = 1.0
    """Newest tasks left out: recalls of others come through the store. Arithmetic: twice the time for which
    workers and the leader gather them."""

    stretches: int = 20
    """Stretches of time that its interval is drawn from. Judgement."""

    t: float = 2.86
    """Student's quantile for 99 % and 19 degrees of freedom. Arithmetic."""

    shared: float = 0.05
    """Log ratio above which they surely slow each other down. Judgement."""

    apart: float = 0.10
    """Log ratio below which they do not. Judgement: about what a change has to gain to be made."""

    range: float = 0.6931
    """How far what others add must range to say that they do not. Arithmetic: doubling what is in flight."""

    step: float = 1.5
    """Times the most tasks in flight that were met, up to which managers that do not slow each other down
    may go together. Judgement: as far as a fitted law is asked."""


TELEMETRY = TelemetrySettings()
INTERFERENCE = InterferenceSettings()
CONTENTION = ContentionSettings()
SERVICE_TIME = ServiceTimeSettings()
CONTRIBUTION = ContributionSettings()
OBJECTIVE = ObjectiveSettings()
SEARCH = SearchSettings()
WHAT_IF = WhatIfSettings()
CANARY = CanarySettings()
SATURATION = SaturationSettings()
REVIEW = ReviewSettings()
ADVICE = AdviceSettings()
ADVISORS = AdvisorSettings()
ADMISSION = AdmissionSettings()
HEDGING = HedgingSettings()
TIMEOUTS = TimeoutSettings()
LAYERS = LayerSettings()
QUESTIONS = QuestionSettings()
FUSION = FusionSettings()
LOAD = LoadSettings()
RULES = RuleSettings()
