"""Why a config was chosen: the explanation record of every decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Self

from athena_tuning.model.configs import TuningConfig


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one parameter has its value.

    Attributes:
        parameter: a field of ``TuningConfig``.
        value: what was chosen.
        rule: the rule in words, with its figures.
        inputs: what the rule looked at, by name (ms, rates, counts).
        samples: recalls that the inputs rest on.
        bound: the bound that decided, if one did ("at least 5 s").
    """

    parameter: str
    value: Any
    rule: str
    inputs: Mapping[str, Any]
    samples: int
    bound: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A config that was considered, with its predicted change of the objective.

    Changes are log ratios to the incumbent (−0.1 is about 10 % better); ``low`` to ``high`` is the 95 %
    interval.
    """

    config: TuningConfig
    predicted: float
    low: float
    high: float


class Action(StrEnum):
    """What a decision does to the config in force.

    ISOLATE: nothing; a layer that is down is left out. EXPERIMENT: nothing; another config was tried in turns
    with it.
    """

    KEEP = "keep"
    CHANGE = "change"
    CANARY = "canary"
    CONFIRM = "confirm"
    ROLLBACK = "rollback"
    ISOLATE = "isolate"
    EXPERIMENT = "experiment"


@dataclass(frozen=True, slots=True)
class Decision:
    """The explanation record of one decision, "no change" included.

    Attributes:
        decision_id: unique id.
        time: Unix seconds.
        policy: the policy that decided ("rules", "model", …).
        scope: "all" or a query type.
        action: what it does.
        before: the incumbent.
        after: what should be in force; equal to ``before`` for KEEP, CONFIRM and ISOLATE; for EXPERIMENT what
            was tried.
        summary: one sentence for a person.
        samples: recalls it rests on.
        reasons: why each parameter has its value.
        candidates: the best of what was considered, best first.
        bound: what kept the decision from going further, if something did.
        predicted: expected change of the objective as a log ratio; None where nothing was predicted.
        observed: what then happened, filled in by the verdict.
        measure: what ``observed`` is of, "latency" (typical), "capacity" or "slot time", as a log ratio; ""
            where nothing was observed, and in records of older programs.
        verdict_on: the decision that this one judges.
        config_version: the version that it led to, once applied.
    """

    decision_id: str
    time: float
    policy: str
    scope: str
    action: Action
    before: TuningConfig
    after: TuningConfig
    summary: str
    samples: int
    reasons: tuple[Reason, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    bound: str | None = None
    predicted: float | None = None
    observed: float | None = None
    measure: str = ""
    verdict_on: str | None = None
    config_version: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON types."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values |= {
            "action": self.action.value,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "reasons": [{**_plain(r), "inputs": dict(r.inputs)} for r in self.reasons],
            "candidates": [{**_plain(c), "config": c.config.to_dict()} for c in self.candidates],
        }
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a record from what ``to_dict`` gave; what only a newer program knows is left out.

        Raises:
            ValueError, TypeError, KeyError: if it is no such record.
        """
        return cls(
            **_known(cls, values)
            | {
                "action": Action(values["action"]),
                "before": TuningConfig.known_part(values["before"])[0],
                "after": TuningConfig.known_part(values["after"])[0],
                "reasons": tuple(Reason(**_known(Reason, r)) for r in values["reasons"]),
                "candidates": tuple(
                    Candidate(**_known(Candidate, c) | {"config": TuningConfig.known_part(c["config"])[0]})
                    for c in values["candidates"]
                ),
            }
        )


def _known(kind: type[Decision | Reason | Candidate], values: Mapping[str, Any]) -> dict[str, Any]:
    names = {f.name for f in fields(kind)}
    return {name: value for name, value in values.items() if name in names}


def _plain(record: Reason | Candidate) -> dict[str, Any]:
    return {f.name: getattr(record, f.name) for f in fields(record)}
