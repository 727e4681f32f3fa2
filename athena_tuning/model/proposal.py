"""What the tuner that leads would set, under every strategy, and how far that can be trusted: as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from athena_tuning.model.configs import TuningConfig, TuningStrategy
from athena_tuning.model.decision import Decision


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a config achieves when the newest recalls are simulated under it.

    Attributes:
        p99_ms: of whole recalls.
        per_second: recalls a second that it can carry.
        slot_ms: slot time per answer.
        full_rate: share of recalls that every layer answered, 0 to 1.
    """

    p99_ms: float
    per_second: float
    slot_ms: float
    full_rate: float


@dataclass(frozen=True, slots=True)
class StrategyProposal:
    """What would be set under one strategy.

    Attributes:
        decision: from what is in force to what would be, with reasons and candidates.
        doubt: why it is no advice; "" if it is.
        forecast: what a simulation says it achieves; None where nothing was simulated.
    """

    decision: Decision
    doubt: str = ""
    forecast: Forecast | None = None

    @property
    def changes(self) -> bool:
        """Whether it differs from what is in force, the strategy aside."""
        return bool(set(self.decision.before.changes_to(self.decision.after)) - {"strategy"})

    @property
    def is_advice(self) -> bool:
        """Whether somebody who trusts the tuner should carry it out."""
        return self.changes and not self.doubt


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the tuner proposes for a scope.

    Attributes:
        scope: "all" or a query type.
        time: Unix seconds at which it was made.
        author: the worker whose tuner made it.
        head: the newest config version by then.
        strategy: the one in force.
        recalls: that it rests on: live ones and load, met by managers that serve.
        needed: recalls below which it is a first guess.
        by_strategy: what would be set under each.
        in_force: what a simulation says that the config in force achieves; None where nothing was simulated.
        measured_p99_ms: what the same recalls really took.
    """

    scope: str
    time: float
    author: str
    head: int
    strategy: TuningStrategy
    recalls: int
    needed: int
    by_strategy: Mapping[TuningStrategy, StrategyProposal]
    in_force: Forecast | None = None
    measured_p99_ms: float | None = None

    @property
    def current(self) -> StrategyProposal:
        """What would be set under the strategy in force."""
        return self.by_strategy[self.strategy]

    @property
    def missing(self) -> str:
        """What it still needs, in words; "" if it has enough."""
        if self.recalls >= self.needed:
            return ""
        return f"{self.recalls} of {self.needed} live recalls"

    @property
    def error(self) -> float | None:
        """How often the measured p99 is in the simulated one; None where either is unknown."""
        if self.in_force is None or not self.measured_p99_ms:
            return None
        ratio = self.in_force.p99_ms / self.measured_p99_ms
        return ratio if math.isfinite(ratio) else None

    def under(self, strategy: TuningStrategy, config: TuningConfig) -> TuningConfig | None:
        """Return what would be set in place of a config; None if the proposal is about another one."""
        decision = self.by_strategy[strategy].decision
        if set(decision.before.changes_to(config)) - {"strategy"}:
            return None
        return decision.after

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON types; what is unknown is None."""
        values = {name: getattr(self, name) for name in self.__slots__}
        strategies = {
            strategy.value: {
                "decision": proposed.decision.to_dict(),
                "doubt": proposed.doubt,
                "forecast": _plain(proposed.forecast),
                "is_advice": proposed.is_advice,
            }
            for strategy, proposed in self.by_strategy.items()
        }
        told = {"missing": self.missing, "error": self.error}
        return values | {
            "strategy": self.strategy.value,
            "by_strategy": strategies,
            "in_force": _plain(self.in_force),
            **told,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a record from what ``to_dict`` gave; what only a newer program knows is left out.

        Raises:
            ValueError, TypeError, KeyError: if it is no such record.
        """
        known = {name: values[name] for name in cls.__slots__ if name in values}
        return cls(
            **known
            | {
                "strategy": TuningStrategy(values["strategy"]),
                "in_force": _forecast(values["in_force"]),
                "by_strategy": {
                    TuningStrategy(name): StrategyProposal(
                        Decision.from_dict(proposed["decision"]),
                        proposed["doubt"],
                        _forecast(proposed["forecast"]),
                    )
                    for name, proposed in values["by_strategy"].items()
                },
            }
        )


def _plain(forecast: Forecast | None) -> dict[str, float | None] | None:
    if forecast is None:
        return None
    return {name: value if math.isfinite(value) else None for name, value in asdict(forecast).items()}


def _forecast(values: Mapping[str, float | None] | None) -> Forecast | None:
    if values is None:
        return None
    names = Forecast.__slots__
    return Forecast(*(math.nan if values.get(name) is None else float(values[name]) for name in names))  # type: ignore[arg-type]
