"""What is simulated, and how outcomes are weighed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from athena_tuning.model import TuningStrategy

COST, THROUGHPUT = TuningStrategy.COST, TuningStrategy.THROUGHPUT


@dataclass(frozen=True, slots=True)
class ObjectiveSettings:
    """What a strategy may pay for its gain."""

    p99_may_grow: Mapping[TuningStrategy, float] = field(
        default_factory=lambda: {THROUGHPUT: 1.5, COST: 1.25}
    )
    """Times the reference's p99 beyond which the excess counts against the gain. Judgement, documented."""

    balance: tuple[float, float, float] = (0.7, 0.2, 0.1)
    """What BALANCED gives latency, throughput and cost. Judgement, documented."""

    rates_may_fall: float = 0.01
    """Share of recalls that may become failed or partial before no gain buys that. Judgement."""

    refused_weighs: float = 100.0
    """Times p99 that all recalls refused would add to it: 1 % refused counts as a doubled p99. Arithmetic: a
    p99 does not see the slowest 1 %, and refused recalls are later than those."""


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

    finalists: int = 2
    """Candidates that run on the whole trace. Judgement."""

    rough: int = 250
    """Recalls that the whole grid runs on at least. Arithmetic: p99 is the third slowest of them."""

    slice: int = 50
    """Recalls simulated between two pauses, and looks whether it can still win. Arithmetic: about 0.4 ms."""

    negligible: float = 1.02
    """Slowdown below which a law costs time and changes nothing. Judgement."""

    work_done: float = 0.97
    """Share of the recalls' own work that a config is taken to do at least, before it is simulated: the rest
    may be refused or given up. Arithmetic: where more is, no gain buys that, and less is not half of one."""

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

    replicates: int = 16
    """Times that recalls are drawn anew and simulated under another possible law. Arithmetic: a spread is
    then known to a sixth; each costs as much as all candidates once."""

    recalls: int = 1500
    """Recalls of a replicate at most. Arithmetic: 15 of them lie beyond p99."""

    blocks: int = 20
    """Stretches of neighbours that a replicate is drawn from: long ones, so that bursts stay bursts."""

    tail: float = 0.02
    """Share of a layer's works that counts as its tail. Convention."""

    tail_least: int = 10
    """Works that a tail's shape needs. Judgement: it is then known to a third."""

    t: float = 2.2
    """Spreads to either side of a 95 % interval. Student's t for so many replicates is 2.1; the rest is for
    what no replicate shows. Chosen by ``benchmarks/coverage.py``, on trials other than those that it runs."""

    beyond: float = 0.1
    """Share of the replicates' range that a change of the slowest recalls may be beyond the furthest of them.
    Chosen likewise."""

    finite_variance: float = 2.0
    """Tail index below which works have no variance, and replicates of them differ by too little: their
    spread is taken times this over the index. Arithmetic."""

    least_error: float = 0.02
    """Least doubt of a change, as a log ratio. Chosen likewise."""


OBJECTIVE = ObjectiveSettings()
SEARCH = SearchSettings()
WHAT_IF = WhatIfSettings()
