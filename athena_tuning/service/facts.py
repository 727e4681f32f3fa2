"""What the rules of ``situation`` look at, and what they say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from athena_tuning.model import Decision, Objective
from athena_tuning.model.objective import WITHIN
from athena_tuning.service import units
from athena_tuning.store import StoreEvent

Level = Literal["good", "warn", "bad", "quiet"]


class Act(StrEnum):
    """What a way out does."""

    ROLL_BACK = "roll back"
    PROMISE = "promise"
    PAGE = "page"


@dataclass(frozen=True, slots=True)
class WayOut:
    """What may be done about it.

    Attributes:
        act: what it does.
        label: as on its button.
        target: the version to bring back, or the page to open; "" where neither is needed.
    """

    act: Act
    label: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class Situation:
    """What there is to say first: how bad it is, a sentence, its reasons and its ways out, the best first.

    ``rule`` names the rule that says it, whatever its figures are; "" where none does.
    """

    level: Level
    sentence: str
    reasons: tuple[str, ...] = ()
    ways_out: tuple[WayOut, ...] = ()
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Live recalls of a stretch of time.

    Attributes:
        recalls: how many.
        per_second: of them.
        p99_ms: NaN where they are too few for it.
        failed: share of 1; NaN without recalls. The others likewise.
        refused: turned away unserved.
        partial: without a layer that was asked.
    """

    recalls: int
    per_second: float = math.nan
    p99_ms: float = math.nan
    failed: float = math.nan
    refused: float = math.nan
    partial: float = math.nan


@dataclass(frozen=True, slots=True)
class Burn:
    """How an objective is kept.

    Attributes:
        objective: what is promised.
        of_what: "p99" or "success".
        last_5_min: how many times as many recalls miss it as may; NaN where there are none.
        last_hour: likewise.
        today: share of today's recalls that kept it.
        month_used: share of the month's budget that is used, at the load of the month so far; NaN if unknown.
    """

    objective: Objective
    of_what: Literal["p99", "success"]
    last_5_min: float
    last_hour: float
    today: float = math.nan
    month_used: float = math.nan

    @property
    def allowed(self) -> float:
        """The share of recalls that may miss it."""
        return 1 - WITHIN if self.of_what == "p99" else 1 - (self.objective.success or 0.0)

    @property
    def promise(self) -> str:
        """What is promised, in words."""
        if self.of_what == "p99":
            return f"p99 {units.ms(self.objective.p99_ms)}"
        return f"{(self.objective.success or 0.0) * 100:g} % success"

    @property
    def pace(self) -> float:
        """What both windows say at least."""
        return min(self.last_5_min, self.last_hour)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON types; what is unknown is None."""
        figures = {name: getattr(self, name) for name in ("last_5_min", "last_hour", "today", "month_used")}
        return {
            "objective": self.objective.to_dict(),
            "of_what": self.of_what,
            **{name: value if math.isfinite(value) else None for name, value in figures.items()},
        }


@dataclass(frozen=True, slots=True)
class RecentChange:
    """A config version after which p99 was another.

    Attributes:
        version: its number.
        parent: the version that it took the place of.
        time: Unix seconds.
        what: what it changed, in words.
        before: the ten minutes before.
        after: since, at most ten minutes.
        in_force: whether it still is.
    """

    version: int
    parent: int
    time: float
    what: str
    before: Stretch
    after: Stretch
    in_force: bool


@dataclass(frozen=True, slots=True)
class SickLayer:
    """A layer that managers leave out: which, how many of them, since when (Unix seconds) and why."""

    layer: str
    managers: int
    since: float
    reason: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules look at.

    Attributes:
        now: Unix seconds.
        timezone: whose clock the sentences tell.
        unreachable: why the store cannot be read; "" if it can.
        read_at: Unix seconds at which it was last read.
        alive: managers that are.
        gone: names of managers that should be alive.
        recent: the last five minutes.
        usual: what to compare with; None where nothing is known.
        usual_when: when that was, in words ("an hour ago").
        waiting: layer tasks that wait for a slot now.
        burns: how the objectives are kept.
        is_asked: whether somebody has said what is promised, be it nothing.
        change: a config after which p99 rose.
        sick: layers that are left out.
        lost: share of records that were lost on the way.
        events: of the store and the clocks, in the last hour.
        taken_back: the tuner's decisions of the last quarter of an hour that took a trial back.
        load_alone: whether recalls came, but none of them live.
    """

    now: float
    timezone: str = "UTC"
    unreachable: str = ""
    read_at: float = 0.0
    alive: int = 1
    gone: Sequence[str] = ()
    recent: Stretch = field(default_factory=lambda: Stretch(0))
    usual: Stretch | None = None
    usual_when: str = ""
    waiting: int = 0
    burns: Sequence[Burn] = ()
    is_asked: bool = False
    change: RecentChange | None = None
    sick: Sequence[SickLayer] = ()
    lost: float = 0.0
    events: Sequence[StoreEvent] = ()
    taken_back: Sequence[Decision] = ()
    load_alone: bool = False

    def clock(self, time: float) -> str:
        """Write a time of day."""
        return units.moment(time, self.timezone, date=False)[:5]
