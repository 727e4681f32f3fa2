"""How recalls are executed: a config as a value, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, NoReturn, Self


class TuningStrategy(StrEnum):
    """What the operator wants most."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"
    COST = "cost"
    BALANCED = "balanced"


class Mode(StrEnum):
    """Who steers: the tuner applies, it proposes and a person applies, or it only watches."""

    AUTO = "auto"
    ADVISE = "advise"
    PINNED = "pinned"


class LimitScope(StrEnum):
    """What a limit speaks of: each manager has its own backend, or all of them ask the same one."""

    MANAGER = "manager"
    FLEET = "fleet"


MOST_TUNED = 256
"""The largest limit that a tuner may be allowed to choose."""

EVERY = "every question"
"""The feature of all questions in a ``question_model``."""

EVERY_HASHED = "every question, words hashed"
"""The same, where words are not to be readable."""

MOST_FEATURES = 64
"""Layers of a ``question_model``, and features of each of its layers: a config stays a page to read."""


@dataclass(frozen=True, slots=True)
class TuningConfig:
    """How recalls are executed. A value: immutable, validated, equal only if every field is equal.

    Attributes:
        max_concurrent: layer tasks in flight over all recalls of a manager, 1 to 1024; with ``limit_scope``
            "fleet" over all managers that share the store. It is one shared resource: only the config for
            all types decides it.
        timeout_seconds: longest service time of a layer task; queue wait does not count.
        layer_selection_enabled: ask the layers that the query calls for; else every layer.
        strategy: what the values were chosen for.
        enable_cache: answer repeated recalls from the result cache.
        enable_parallel: run a recall's layers at the same time.
        deadline_seconds: give a partial answer when the whole recall has taken so long; None: no deadline.
        layer_timeouts: timeouts in seconds that differ from ``timeout_seconds``, by layer.
        skipped_layers: layers that selection leaves out, whatever the other parts say.
        extra_layers: layers that are asked beside those that selection chooses.
        second_round: layers that are asked after the others, and only if those agree on little.
        second_round_below: of the first ten pieces of evidence, how many two layers of the first round must
            have found for it to be enough, 1 to 10.
        thin_below: of all pieces of evidence, or of the results that were asked for if those are fewer: how
            few are so little that layers which were left out are asked as well, 1 to 10; 1: only where
            nothing was found. What at least a tenth of the recalls of a type find is never little.
        exploration_share: of recalls, 0 to 0.5: those that ask every layer, to see what each would add.
        memory_share: of recalls, 0 to 0.5: those whose layers' memory is measured. They run one layer after
            another, and slower while Python's memory is traced.
        fusion_weights: what a layer's ranks count in the fused list, above 0 and up to 100, by layer; 1 for
            others.
        rank_constant: a rank counts weight / (rank_constant + rank), 1 to 1000.
        question_model: by layer, what each feature of a question speaks for asking it at once: where the
            weights of the features that a question shows add up to more than 0, it is asked, whatever the
            other parts but ``skipped_layers`` say; else it waits. At most 64 layers with 64 features each.
        overload_after_seconds: refuse recalls once some have had to wait for a slot for so long without a
            break (and at least ten typical service times); None: never. Like the limit, the queue is one
            shared resource: only the config for all types decides it.
        overload_wait_seconds: longest wait for the first slot in an overload; at least two typical service
            times.
        hedged_layers: layers that are called a second time where the first call is slow, if they say that
            they are idempotent and there is room; the first answer counts.
        hedging_quantile: slow is a call that takes longer than so many of the layer's own, 0.5 to 0.999; only
            the config for all types decides it.
        concurrency_bounds: least and most ``max_concurrent`` that the tuner may choose, 1 to 256. A person
            may set what is outside. Like the limit, only the config for all types decides them.
        timeout_bounds: likewise, least and most timeout of a layer in seconds.
        limit_scope: what ``max_concurrent`` and its bounds speak of: each manager has so many slots
            ("manager"), or all managers on the store have them together and each has a share ("fleet"), of
            at least one slot. Only the config for all types decides it, and only a person.

    Raises:
        ValueError: if a value is of the wrong kind or out of range; the message names field and value.

    Examples:
        >>> TuningConfig(max_concurrent=8) == TuningConfig(max_concurrent=8, enable_parallel=False)
        False
        >>> TuningConfig(layer_timeouts={"graph": 2.0}).timeout_for("graph")
        2.0
    """

    max_concurrent: int = 5
    timeout_seconds: float = 10.0
    layer_selection_enabled: bool = True
    strategy: TuningStrategy = TuningStrategy.BALANCED
    enable_cache: bool = True
    enable_parallel: bool = True
    deadline_seconds: float | None = None
    layer_timeouts: Mapping[str, float] = field(default_factory=dict, metadata={"unit": "seconds"})
    skipped_layers: frozenset[str] = frozenset()
    extra_layers: frozenset[str] = frozenset()
    second_round: frozenset[str] = frozenset()
    second_round_below: int = 3
    thin_below: int = 3
    exploration_share: float = 0.03
    memory_share: float = 0.0
    fusion_weights: Mapping[str, float] = field(default_factory=dict)
    rank_constant: int = 60
    question_model: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    overload_after_seconds: float | None = 0.9
    overload_wait_seconds: float = 0.1
    hedged_layers: frozenset[str] = frozenset()
    hedging_quantile: float = 0.95
    concurrency_bounds: tuple[int, int] = field(default=(2, 20))
    timeout_bounds: tuple[float, float] = field(default=(5.0, 30.0), metadata={"unit": "seconds"})
    limit_scope: LimitScope = LimitScope.MANAGER

    def __post_init__(self) -> None:
        _check_whole("max_concurrent", self.max_concurrent, 1, 1024)
        _check_seconds("timeout_seconds", self.timeout_seconds)
        if self.deadline_seconds is not None:
            _check_seconds("deadline_seconds", self.deadline_seconds)
        if self.overload_after_seconds is not None:
            _check_seconds("overload_after_seconds", self.overload_after_seconds)
        _check_seconds("overload_wait_seconds", self.overload_wait_seconds)
        for name in ("concurrency_bounds", "timeout_bounds"):
            object.__setattr__(self, name, _range(name, getattr(self, name)))
        for name in ("layer_selection_enabled", "enable_cache", "enable_parallel"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, not {getattr(self, name)!r}")
        for layer, seconds in self.layer_timeouts.items():
            _check_seconds(f"layer_timeouts[{layer!r}]", seconds)
        for layer, weight in self.fusion_weights.items():
            _check_weight(f"fusion_weights[{layer!r}]", weight)
        _check_whole("rank_constant", self.rank_constant, 1, 1000)
        object.__setattr__(self, "question_model", _question_model(self.question_model))
        object.__setattr__(self, "strategy", TuningStrategy(self.strategy))
        object.__setattr__(self, "limit_scope", _limit_scope(self.limit_scope))
        object.__setattr__(self, "fusion_weights", FrozenDict(self.fusion_weights))
        object.__setattr__(self, "layer_timeouts", FrozenDict(self.layer_timeouts))
        for name in _LAYER_SETS:
            object.__setattr__(self, name, _layer_set(name, getattr(self, name)))
        _check_whole("second_round_below", self.second_round_below, 1, 10)
        _check_whole("thin_below", self.thin_below, 1, 10)
        _check_share("exploration_share", self.exploration_share, 0, 0.5)
        _check_share("memory_share", self.memory_share, 0, 0.5)
        _check_share("hedging_quantile", self.hedging_quantile, 0.5, 0.999)

    def __hash__(self) -> int:
        return hash((self.max_concurrent, self.timeout_seconds, self.strategy))

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self).from_dict, (self.to_dict(),))

    def timeout_for(self, layer: str) -> float:
        """Return the service-time limit of ``layer`` in seconds."""
        return self.layer_timeouts.get(layer, self.timeout_seconds)

    @property
    def bounds(self) -> TuningBounds:
        """The range that the tuner may choose from."""
        return TuningBounds(*self.concurrency_bounds, *self.timeout_bounds)

    def to_dict(self) -> dict[str, Any]:
        """Return the values as plain JSON types."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["strategy"] = self.strategy.value
        values["limit_scope"] = self.limit_scope.value
        values |= {name: list(getattr(self, name)) for name in ("concurrency_bounds", "timeout_bounds")}
        values["layer_timeouts"] = dict(self.layer_timeouts)
        values["fusion_weights"] = dict(self.fusion_weights)
        values["question_model"] = {layer: dict(weights) for layer, weights in self.question_model.items()}
        values |= {name: sorted(getattr(self, name)) for name in _LAYER_SETS}
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a config from plain JSON types.

        Raises:
            ValueError: if a name is unknown or a value does not fit.
        """
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown config fields: {', '.join(sorted(unknown))}")
        return cls(**values)

    @classmethod
    def known_part(cls, values: Mapping[str, Any]) -> tuple[Self, dict[str, Any]]:
        """Make a config of what this program understands of a newer one's; return what is left with it.

        A value that does not fit is left over like a field that is not known: its default holds.

        Raises:
            TypeError: if ``values`` is no mapping.

        Examples:
            >>> config, left = TuningConfig.known_part({"max_concurrent": 8, "hedge_after_ms": 40})
            >>> config.max_concurrent, left
            (8, {'hedge_after_ms': 40})
        """
        if not isinstance(values, Mapping):
            raise TypeError(f"a config has fields, {type(values).__name__} has none")
        with suppress(ValueError, TypeError, AttributeError):  # the usual case, in one go
            return cls.from_dict(values), {}
        known: dict[str, Any] = {}
        for name, value in values.items():
            try:
                cls.from_dict({name: value})
            except (ValueError, TypeError, AttributeError):
                continue
            known[name] = value
        return cls(**known), {name: value for name, value in values.items() if name not in known}

    def changes_to(self, other: TuningConfig) -> dict[str, tuple[Any, Any]]:
        """Return ``{field: (here, there)}`` for the fields that differ, as plain JSON types."""
        here, there = self.to_dict(), other.to_dict()
        return {name: (here[name], there[name]) for name in here if here[name] != there[name]}


_LAYER_SETS = ("skipped_layers", "extra_layers", "second_round", "hedged_layers")


def _layer_set(name: str, layers: Any) -> frozenset[str]:
    if isinstance(layers, str) or not all(isinstance(layer, str) for layer in layers):
        raise ValueError(f"{name} must be names of layers, not {layers!r:.80}")
    return frozenset(layers)


def _question_model(model: Any) -> FrozenDict:
    """Return weights by layer and feature, frozen."""
    if not isinstance(model, Mapping) or len(model) > MOST_FEATURES:
        raise ValueError(f"question_model must have weights by layer, of at most {MOST_FEATURES} layers")
    for layer, weights in model.items():
        if not isinstance(layer, str) or not isinstance(weights, Mapping) or len(weights) > MOST_FEATURES:
            raise ValueError(
                f"question_model[{layer!r:.80}] must have weights by feature, at most {MOST_FEATURES}"
            )
        for feature, weight in weights.items():
            fits = isinstance(weight, (int, float)) and not isinstance(weight, bool) and abs(weight) <= 100
            if not isinstance(feature, str) or not fits:
                raise ValueError(
                    f"question_model[{layer!r:.80}][{feature!r:.80}] must be a number from -100 to 100, "
                    f"not {weight!r:.80}"
                )
    return FrozenDict({layer: FrozenDict(weights) for layer, weights in model.items()})


def _limit_scope(scope: Any) -> LimitScope:
    try:
        return LimitScope(scope)
    except ValueError as exc:
        raise ValueError(f"limit_scope must be 'manager' or 'fleet', not {scope!r:.80}") from exc


def _range(name: str, bounds: Any) -> tuple[Any, Any]:
    """Return two bounds as a pair, the lower one first."""
    if isinstance(bounds, str) or not isinstance(bounds, Sequence) or len(bounds) != 2:
        raise ValueError(f"{name} must be the least and the most, not {bounds!r:.80}")
    low, high = bounds
    for value in (low, high):
        if name == "concurrency_bounds":
            _check_whole(name, value, 1, MOST_TUNED)
        else:
            _check_seconds(name, value)
    if low > high:
        raise ValueError(f"{name} must be the least and the most, not {low:g} and {high:g}")
    return low, high


class FrozenDict(dict[str, Any]):
    """A dict that stays as it was made; unlike a mapping proxy, ``dataclasses.asdict`` can copy it."""

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError("a config cannot be changed: make another one")

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (dict(self),))

    __setitem__ = __delitem__ = _refuse
    __ior__ = clear = pop = popitem = setdefault = update = _refuse  # type: ignore[assignment]


def _check_whole(name: str, value: int, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be {least} to {most}, not {value}")


def _check_share(name: str, share: float, least: float, most: float) -> None:
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not least <= share <= most:
        raise ValueError(f"{name} must be {least:g} to {most:g}, not {share!r}")


def _check_weight(name: str, weight: float) -> None:
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight <= 100:
        raise ValueError(f"{name} must be a number above 0 and at most 100, not {weight!r:.80}")


def _check_seconds(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} must be a number of seconds, not {value!r}")
    if not (math.isfinite(value) and 0 < value <= 3600):
        raise ValueError(f"{name} must be above 0 and at most 3600 seconds, not {value}")


@dataclass(frozen=True, slots=True)
class TuningBounds:
    """The range that tuning may choose from. A person may set values outside it; tuning never does.

    Raises:
        ValueError: if a lower bound is above its upper bound or not positive.
    """

    min_concurrent: int = 2
    max_concurrent: int = 20
    min_timeout_seconds: float = 5.0
    max_timeout_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not 1 <= self.min_concurrent <= self.max_concurrent:
            raise ValueError(
                f"concurrency bounds {self.min_concurrent} to {self.max_concurrent} hold nothing"
            )
        if not 0 < self.min_timeout_seconds <= self.max_timeout_seconds:
            raise ValueError(
                f"timeout bounds {self.min_timeout_seconds} to {self.max_timeout_seconds} s hold nothing"
            )
