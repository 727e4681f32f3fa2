"""What advisors look at, and what is enough for them to speak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from athena_tuning.model import TuningStrategy

LATENCY, BALANCED = TuningStrategy.LATENCY, TuningStrategy.BALANCED


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


ADVICE = AdviceSettings()
ADVISORS = AdvisorSettings()
ADMISSION = AdmissionSettings()
HEDGING = HedgingSettings()
TIMEOUTS = TimeoutSettings()
LAYERS = LayerSettings()
QUESTIONS = QuestionSettings()
FUSION = FusionSettings()
LOAD = LoadSettings()
