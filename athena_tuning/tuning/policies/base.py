"""The contract of all policies: from evidence to a decision with reasons."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Hashable, Mapping
from dataclasses import dataclass, replace
from types import NoneType
from typing import Any, ClassVar, NamedTuple

import msgspec

from athena_tuning.model import Action, ConfigVersion, Decision, TuningConfig, TuningStrategy
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.simulation.objective import Score


class Outcome(NamedTuple):
    """What a policy decided, and what it remembers from now on."""

    decisions: tuple[Decision, ...]
    memory: Any


class Finding(NamedTuple):
    """What a study came to: decisions, and how it changes what is remembered by then."""

    decisions: tuple[Decision, ...] = ()
    remember: Callable[[Any], Any] = lambda memory: memory


@dataclass(frozen=True, slots=True)
class Study:
    """What a policy looks into over several steps.

    Attributes:
        memory: what it remembers as the study begins.
        slices: a pause between slices of about 10 ms; None: there is nothing to look into.
    """

    memory: Any
    slices: Generator[None, None, Finding] | None = None


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a simulation of the newest recalls says.

    Attributes:
        in_force: what the config in force achieves there.
        by_strategy: what each strategy's would, under the law that was fitted.
        measured_p99_ms: what the same recalls really took.
        position: recalls by the time of the simulation.
    """

    in_force: Score
    by_strategy: Mapping[TuningStrategy, Score]
    measured_p99_ms: float
    position: int


class Policy(ABC):
    """Turns evidence into decisions. It is asked; it owns no loop, no thread and no clock, and no state.

    Whatever it wants to know the next time it returns as its memory, a frozen value that comes back in
    ``evidence.memory``: a decision follows from its evidence alone and can be made again.

    A policy that only looks at the window implements ``propose``. One with a rhythm of its own overrides
    ``due`` and ``decide``; one that puts changes on trial ``applied``; one that computes for longer than
    some ms ``study``. Calls never overlap.

    Attributes:
        name: what it is called in decisions.
        memory: the type of its memory; ``memory()`` is how it begins.
    """

    name: ClassVar[str]
    memory: ClassVar[type] = NoneType

    def due(self, evidence: Evidence) -> bool:
        """Whether ``decide`` has something to do now. Asked several times a second, so it must be cheap."""
        return evidence.urgent or evidence.fresh >= evidence.interval

    def reads_figures(self, evidence: Evidence) -> bool:
        """Whether it is going to read ``evidence.figures``, which take some ms to draw."""
        return True

    def least(self, evidence: Evidence) -> int:
        """Return the recalls that a proposal needs to be more than a first guess."""
        return evidence.min_samples

    def recalls(self, evidence: Evidence) -> int:
        """Return the recalls that a proposal rests on."""
        return evidence.figures["all"].samples if "all" in evidence.figures else evidence.telemetry.position

    def pending(self, evidence: Evidence) -> str | None:
        """Return why there is nothing to propose at this moment; None: ``propose`` is cheap now."""
        return None

    def news(self, evidence: Evidence) -> Hashable:
        """Return what differs whenever something but more recalls changes its proposals."""
        return None

    def foreseen(self, evidence: Evidence) -> Foreseen | None:
        """Return what simulations say of its proposals; None where nothing was simulated."""
        return None

    def prepared(self, evidence: Evidence) -> Evidence:
        """Return the evidence with what several proposals from it would each look into for themselves."""
        return evidence

    @abstractmethod
    def propose(self, evidence: Evidence, scope: str = "all") -> Decision:
        """Return what it would choose now for "all" or a query type; change nothing."""

    def decide(self, evidence: Evidence) -> Outcome:
        """Return the decisions to record and, where the mode allows it, to apply."""
        return Outcome((self.propose(evidence),), evidence.memory)

    def study(self, evidence: Evidence) -> Study:
        """Return what to look into, asked after a ``decide`` that decided nothing while no study runs."""
        return Study(evidence.memory)

    def restored(self, plain: Any) -> Any:
        """Return its memory from the plain types that packed evidence holds."""
        return msgspec.convert(plain, self.memory)

    def applied(self, evidence: Evidence, made: Decision, version: ConfigVersion) -> Any:
        """Return what it remembers now that a decision is in force as ``version``."""
        return evidence.memory


def decision(
    policy: Policy,
    evidence: Evidence,
    scope: str,
    after: TuningConfig,
    summary: str,
    samples: int,
    **more: Any,
) -> Decision:
    """Make the record of a decision of ``policy``; its action follows from ``after``."""
    before = evidence.incumbent(scope)
    action = Action.KEEP if after == before else Action.CHANGE
    fields = {"action": action, "before": before, "after": after, "summary": summary, "samples": samples}
    return Decision(uuid.uuid4().hex, evidence.now, policy.name, scope, **{**fields, **more})


def with_shared_limit(made: Decision, limit: int) -> Decision:
    """Return a query type's decision with the limit that all types share: only "all" decides it."""
    if made.scope == "all" or made.after.max_concurrent == limit:
        return made
    after = replace(made.after, max_concurrent=limit)
    reasons = tuple(
        replace(r, value=limit, bound="shared by all types") if r.parameter == "max_concurrent" else r
        for r in made.reasons
    )
    action = Action.KEEP if after == made.before else made.action
    return replace(made, after=after, action=action, reasons=reasons)


def changes_in_words(before: TuningConfig, after: TuningConfig) -> str:
    """Return what differs, for a sentence: "max_concurrent 5 → 8, timeout_seconds 10.0 → 6.25"."""
    changes = before.changes_to(after)
    return ", ".join(f"{name} {_short(was)} → {_short(then)}" for name, (was, then) in changes.items())


def _short(value: Any) -> Any:
    """Return a value for a sentence: of layers with weights of their own, the names."""
    nested = isinstance(value, dict) and value and all(isinstance(inner, dict) for inner in value.values())
    return sorted(value) if nested else value


def within(wanted: float, low: float, high: float, unit: str = "") -> tuple[float, str | None]:
    """Return the value within bounds that is nearest to what is wanted, and the bound if one decided.

    Examples:
        >>> within(3.0, 5.0, 30.0, " s"), within(7.0, 5.0, 30.0)
        ((5.0, 'at least 5 s'), (7.0, None))
    """
    value = round(min(max(wanted, low), high), 3)
    if wanted > high:
        return value, f"at most {value:g}{unit}"
    return value, f"at least {value:g}{unit}" if wanted < low else None
