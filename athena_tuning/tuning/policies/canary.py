"""Whether a change has proved itself, and what happens if it has not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from athena_tuning.model import Decision, TuningConfig

BLOCK = 25
LOOKS_AT = (10, 16, 24, 40)
"""Blocks after which a trial is looked at."""

T_LOOK = 2.9
"""Student's t for one look of four at 5 % in all, 10 blocks or more (Bonferroni: 1.25 % two-sided)."""

TOLERATED = 0.03
FIRST_BAN = 1000
LONGEST_BAN = 64_000
QUIET = 2000


class Verdict(StrEnum):
    """What is known of a change."""

    OPEN = "open"
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and the figures it rests on: mean log ratio to the incumbent, its interval, blocks."""

    verdict: Verdict
    mean: float
    low: float
    high: float
    blocks: int


def look_due(recalls: int, looks: int) -> bool:
    """Whether so many recalls under a change are enough for the next look."""
    return looks < len(LOOKS_AT) and recalls >= LOOKS_AT[looks] * BLOCK


def judge(ratios: Sequence[float], looks: int, tolerated: float = TOLERATED) -> Judgement:
    """Judge a change by what its recalls took against what they would have taken without it.

    Block means over time, because neighbours are alike and single recalls are not independent; Student's
    interval over the blocks; a threshold that allows for looking four times. BAD needs an interval above 0
    and a mean above ``tolerated``; GOOD an interval below 0, or a last look that found nothing bad.

    Args:
        ratios: ``ln(observed / simulated under the incumbent)`` for each recall that began after the change,
            in order. The simulation meets the same arrivals and the same backlog, so a change is not
            blamed for a queue that it inherited.
        looks: looks that were taken before.
        tolerated: mean log ratio that is no reason to go back.

    Returns:
        OPEN while the next look is not due.
    """
    blocks = len(ratios) // BLOCK
    if not look_due(len(ratios), looks):
        return Judgement(Verdict.OPEN, math.nan, math.nan, math.nan, blocks)
    means = np.asarray(ratios[: blocks * BLOCK], float).reshape(blocks, BLOCK).mean(axis=1)
    mean = float(means.mean())
    half = T_LOOK * float(means.std(ddof=1)) / math.sqrt(blocks)
    verdict = Verdict.OPEN
    if mean - half > 0 and mean > tolerated:
        verdict = Verdict.BAD
    elif mean + half < 0 or looks == len(LOOKS_AT) - 1:
        verdict = Verdict.GOOD
    return Judgement(verdict, mean, mean - half, mean + half, blocks)


def rates_fell(bad_before: int, before: int, bad_since: int, since: int, allowed: float = 0.01) -> bool:
    """Whether failures or partial answers have become more frequent by more than ``allowed`` and chance.

    Three standard errors of the difference on top of what is allowed; with fewer than 20 recalls, never.
    """
    if since < 20 or before < 20:
        return False
    was, now = bad_before / before, bad_since / since
    pooled = (bad_before + bad_since + 1) / (before + since + 2)
    error = math.sqrt(pooled * (1 - pooled) * (1 / before + 1 / since))
    return now - was > allowed + 3 * error


@dataclass(slots=True)
class Trial:
    """A change that has not proved itself yet."""

    decision: Decision
    began: float
    position: int
    looks: int = 0


@dataclass(slots=True)
class Bans:
    """Configs that failed, each left alone for a time that doubles with every failure.

    Times are recalls, not seconds: a config gets its next chance when there is new evidence.
    """

    _until: dict[tuple[int, bool], int] = field(default_factory=dict)
    _times: dict[tuple[int, bool], int] = field(default_factory=dict)

    def ban(self, config: TuningConfig, position: int) -> int:
        """Ban a config from recall ``position`` on; return for how many recalls."""
        key = _key(config)
        self._times[key] = self._times.get(key, 0) + 1
        length: int = min(FIRST_BAN * 2 ** (self._times[key] - 1), LONGEST_BAN)
        self._until[key] = position + length
        return length

    def holds(self, config: TuningConfig, position: int) -> bool:
        """Whether a config is banned at recall ``position``."""
        return self._until.get(_key(config), 0) > position


def _key(config: TuningConfig) -> tuple[int, bool]:
    return config.max_concurrent, config.enable_parallel
