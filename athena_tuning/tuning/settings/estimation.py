"""What is remembered, and what is estimated from it."""

from __future__ import annotations

from dataclasses import dataclass


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
class PoolSettings:
    """When tasks are said to stand in line behind a backend's connections."""

    waited: int = 100
    """Tasks that must have stood in line, and must not have, for their works to be compared. Arithmetic: a
    mean is then known to a tenth of its spread."""

    both: int = 10
    """The same for each layer that is compared. Judgement."""

    impossible: float = 0.001
    """Share of those in line that may have ended before they were served, by clocks. Judgement."""

    slack: float = 0.01
    """Share of the mean task by which that is judged. Judgement: what handing over a connection takes."""

    least_wait: float = 0.1
    """Share of the mean task that one must have stood in line to count as one that did. Under a limit that is
    reached, tasks seem to wait for the one before them while a slot is handed over: 1 % in 200 of 3,180
    tasks of the sample "bursty", whose backend knows no line, a tenth in 12."""

    errors: float = 3.0
    """Standard errors by which works may differ. Arithmetic: one pool in 370 is not seen as one."""


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


TELEMETRY = TelemetrySettings()
INTERFERENCE = InterferenceSettings()
CONTENTION = ContentionSettings()
POOL = PoolSettings()
SERVICE_TIME = ServiceTimeSettings()
CONTRIBUTION = ContributionSettings()
