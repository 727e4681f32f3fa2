"""What the model policy remembers between steps, and what follows from that alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from athena_tuning.model import Action, Decision, TuningConfig
from athena_tuning.tuning.estimation.telemetry import Telemetry
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.advisors import AdvisorRound
from athena_tuning.tuning.policies.canary import Canary
from athena_tuning.tuning.policies.config_search import Searched
from athena_tuning.tuning.policies.saturation import SaturationMemory
from athena_tuning.tuning.settings import REVIEW


@dataclass(frozen=True, slots=True)
class LimitInForce:
    """The limit and since when (Unix seconds) it is in force."""

    limit: int = 0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class SearchSchedule:
    """When it searched and will search again, in recalls; the load by then, in tasks in flight.

    ``asked`` is the config that was in force when the last search began.
    """

    last_at: int = 0
    next_at: int = REVIEW.first
    load: float = math.nan
    asked: TuningConfig | None = None


@dataclass(frozen=True, slots=True)
class Announcement:
    """A change that was proposed, and by how many recalls."""

    position: int
    before: TuningConfig
    after: TuningConfig


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """What the model policy remembers between steps; ``changed_at``: recalls by each recent change."""

    canary: Canary = field(default_factory=Canary)
    limit: LimitInForce = field(default_factory=LimitInForce)
    schedule: SearchSchedule = field(default_factory=SearchSchedule)
    saturation: SaturationMemory = field(default_factory=SaturationMemory)
    advisors: AdvisorRound = field(default_factory=AdvisorRound)
    announced: Announcement | None = None
    searched: Searched | None = None
    changed_at: tuple[int, ...] = ()


def is_known(evidence: Evidence, memory: ModelMemory, made: Decision) -> bool:
    """Whether a change is not to be told: there were many, or nobody has carried it out since it was.

    One of the changes that are allowed is left for taking the last one back.
    """
    known, position = memory.announced, evidence.telemetry.position
    recent = sum(position - at < REVIEW.within for at in memory.changed_at)
    if made.action is Action.CANARY and recent >= REVIEW.changes - (not memory.saturation.taken_back):
        return True
    if made.action is not Action.CANARY or known is None or known.before != made.before:
        return False
    again = REVIEW.repeated if known.after == made.after else REVIEW.repeated // 2
    return position < known.position + again


def announced(evidence: Evidence, memory: ModelMemory, made: Decision) -> ModelMemory:
    """Return the memory with a change told, if it is one to be tried."""
    if made.action is not Action.CANARY:
        return memory
    return replace(memory, announced=Announcement(evidence.telemetry.position, made.before, made.after))


def shifted(telemetry: Telemetry, schedule: SearchSchedule) -> SearchSchedule:
    """Return the schedule with a search now if load has moved by half: offered work a second."""
    position = telemetry.position
    if position - schedule.last_at < REVIEW.shift_recalls or position % REVIEW.shift_every:
        return schedule
    recent = telemetry.lately(REVIEW.shift_recalls, REVIEW.shift_s)
    passed = max(recent[-1].ended - recent[0].ended, 1e-9)
    load = sum(task.service_ms for recall in recent for task in recall.tasks) / 1000 / passed
    moved = schedule.load > 0 and abs(math.log(max(load, 1e-9) / schedule.load)) > REVIEW.shift
    return replace(schedule, load=load, next_at=position if moved else schedule.next_at)
