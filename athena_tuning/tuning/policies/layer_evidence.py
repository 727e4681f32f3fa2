"""What observations of layers say of the set that a type of query asks: pure, one change at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from athena_tuning.model import TuningConfig, TuningStrategy
from athena_tuning.tuning.estimation.layer_value import LayerValue
from athena_tuning.tuning.settings import CONTRIBUTION, LAYERS

Values = Mapping[str, LayerValue]
"""By layer, of one type."""


class WaitTimes(NamedTuple):
    """What recalls that asked a layer took, in ms in the mean: what waiting for a second round would cost.

    Attributes:
        others_ms: until all other layers were over.
        own_ms: the layer's own time.
        whole_ms: until all layers were over.
    """

    others_ms: float
    own_ms: float
    whole_ms: float

    def longer(self, spared: float) -> float:
        """Return how many times as long recalls take if the layer waits, and is spared in a share of them.

        Examples:
            >>> round(WaitTimes(80.0, 100.0, 100.0).longer(0.7), 3)
            1.1
        """
        return (self.others_ms + (1 - spared) * self.own_ms) / max(self.whole_ms, 1e-9)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the layers that a type asks.

    Attributes:
        parameter: the part of the config that says it.
        layers: whom it is about.
        verb: what is done with them, for a person.
        why: what was seen, for a person.
        rule: the rule that says so.
        back: whether it takes back what was decided.
        waiting: those of the layers that are to wait for the second round from the start.
    """

    parameter: str
    layers: tuple[str, ...]
    verb: str
    why: str
    rule: str
    back: bool = False
    waiting: tuple[str, ...] = ()

    def sets(self, config: TuningConfig) -> dict[str, frozenset[str]]:
        """Return the parts of ``config`` that become others.

        Examples:
            >>> back = Change("skipped_layers", ("graph",), "Bring back", "", "", back=True)
            >>> back.sets(TuningConfig(skipped_layers=frozenset({"graph"})))
            {'skipped_layers': frozenset()}
        """
        about = frozenset(self.layers)
        sets = {name: getattr(config, name) for name in ("skipped_layers", "extra_layers", "second_round")}
        sets[self.parameter] = sets[self.parameter] - about if self.back else sets[self.parameter] | about
        if self.parameter == "skipped_layers" and not self.back:
            sets["extra_layers"] -= about
            sets["second_round"] -= about
        sets["second_round"] |= frozenset(self.waiting)
        return {name: layers for name, layers in sets.items() if layers != getattr(config, name)}


def change(
    values: Values,
    config: TuningConfig,
    query_type: str,
    strategy: TuningStrategy,
    slot_ms: Mapping[str, float],
    returns: Mapping[str, int],
    waits: Mapping[str, WaitTimes] = MappingProxyType({}),
) -> Change | None:
    """Return what should change first: what is needed comes back, is added, and then what is not goes.

    Args:
        values: what each layer was worth.
        config: in force for the type.
        query_type: the type.
        strategy: what the operator wants most.
        slot_ms: slot time by layer; of several that could go, the dearest goes.
        returns: how often a layer came back after it was left out.
        waits: what it would cost that a layer waits; of one that is not there nobody knows.
    """
    return (
        _needed_again(values, config, query_type)
        or _lacking(values, config, query_type, strategy)
        or _suspected(values, config, query_type)
        or _negligible(values, config, query_type, slot_ms, returns)
        or _can_wait(values, config, query_type, strategy, waits)
    )


def missed(value: LayerValue, query_type: str, layer: str, *, left_out: bool) -> str | None:
    """Return why a layer that is asked less is needed after all, or None if nothing says so.

    Args:
        value: what it was worth.
        query_type: for answers of this type.
        layer: its name.
        left_out: whether it is left out altogether; else it waits for the second round.
    """
    share = value.share
    if left_out and share.surely_above(LAYERS.negligible):
        return f"{layer} would add to {_share_text(value)} {query_type} answers held back"
    most = 2 * max(LAYERS.sole_part.values())
    if not left_out and value.sole.n >= CONTRIBUTION.scores and value.sole.lower > most and _is_backed(value):
        return f"{layer} alone finds {value.sole.mean:.1%} of {query_type} answers"
    lost = value.quality.lost_without()
    return None if lost is None else f"{query_type} answers score {lost:.2f} lower without {layer}"


def inputs(layers: tuple[str, ...], values: Values) -> dict[str, Any]:
    """Return the figures that speak for a change, with their 95 % bounds."""
    figures: dict[str, Any] = {}
    for layer in layers:
        value = values.get(layer, LayerValue())
        share = value.share
        of = "" if len(layers) == 1 else f"_{layer}"
        figures |= {f"layer{of}": layer, f"added{of}": share.added}
        figures |= {f"lower{of}": share.lower, f"upper{of}": share.upper}
        for name, mean in (("part", value.part), ("alone", value.sole), ("would_add", value.beside)):
            if mean.n > 1:
                figures |= {f"{name}{of}": mean.mean, f"{name}_error{of}": mean.error}
    return figures


def _needed_again(values: Values, config: TuningConfig, query_type: str) -> Change | None:
    for parameter, verb in (("skipped_layers", "Bring back"), ("second_round", "Ask at once again")):
        for layer in sorted(getattr(config, parameter)):
            left_out = parameter == "skipped_layers"
            why = missed(values.get(layer, LayerValue()), query_type, layer, left_out=left_out)
            if why is not None:
                return Change(parameter, (layer,), verb, why, "needed after all", back=True)
    for layer in sorted(config.extra_layers):
        worse = values.get(layer, LayerValue()).quality.lost_with()
        if worse is not None:
            why = f"{query_type} answers score {worse:.2f} lower with it"
            return Change("extra_layers", (layer,), "No longer add", why, "scores are lower", back=True)
    return None


def _lacking(
    values: Values, config: TuningConfig, query_type: str, strategy: TuningStrategy
) -> Change | None:
    """Return layers that are not asked and would be a good part of the answer.

    A small part that others hardly confirm, where they agree on enough, is no reason to ask. What is asked
    where the others surely agree on enough, mostly, is asked where they do not, if the strategy has time
    and it is no large part: what copies from each other agrees as well.
    """
    asked = config.extra_layers | config.skipped_layers | config.second_round
    least = LAYERS.worth_a_call[strategy]
    layers = [
        layer
        for layer, value in sorted(values.items())
        if layer not in asked
        and value.beside.n >= LAYERS.explored_least
        and value.beside.lower > least
        and (value.beside.lower > LAYERS.large or _backed_share(value) > 0.5 or not _spared(value))
        and value.quality.lost_with() is None
    ]
    if not layers:
        return None
    parts = ", ".join(f"{layer} {values[layer].beside.mean:.0%}" for layer in layers)
    why = f"beside what {query_type} asks, {parts} of the answer would be theirs"
    rule = f"asked where it would surely be more than {least:.0%} of answers"
    waiting = []
    if strategy in LAYERS.sole_part:
        waiting = [
            layer
            for layer in layers
            if values[layer].beside.mean <= LAYERS.large and values[layer].spared.lower > LAYERS.spared
        ]
    if waiting:
        why += f"; the others mostly agree, so that {' and '.join(waiting)} can wait"
    return Change("extra_layers", tuple(layers), "Add", why, rule, waiting=tuple(waiting))


def _negligible(
    values: Values,
    config: TuningConfig,
    query_type: str,
    slot_ms: Mapping[str, float],
    returns: Mapping[str, int],
) -> Change | None:
    """Return the dearest layer that surely adds next to nothing while another one surely adds something."""
    out = config.skipped_layers
    needed = {layer for layer, value in values.items() if value.share.surely_above(LAYERS.negligible)} - out
    for layer in sorted(values, key=lambda name: -slot_ms.get(name, 0.0)):
        value = values[layer]
        share = value.share
        if (
            layer not in out
            and share.stays_below(LAYERS.negligible / 2 ** returns.get(layer, 0))
            and needed - {layer}
            and value.quality.lost_without() is None
        ):
            why = f"{layer} added to {_share_text(value)} {query_type} answers"
            rule = f"left out where it surely adds to fewer than {LAYERS.negligible:.1%} of answers"
            return Change("skipped_layers", (layer,), "Leave out", why, rule)
    return None


def _can_wait(
    values: Values,
    config: TuningConfig,
    query_type: str,
    strategy: TuningStrategy,
    waits: Mapping[str, WaitTimes],
) -> Change | None:
    """Return the layer that finds least alone, if without it the others agree on enough, mostly.

    Not where recalls would take longer for it than the strategy pays for fewer calls.

    One at a time: of two that say the same, either finds nothing alone. Only a layer that is asked in half of
    the recalls or more: of one that its words call for, nobody knows what it finds elsewhere.
    """
    most = LAYERS.sole_part.get(strategy)
    if most is None:
        return None
    waiting = config.second_round | config.skipped_layers
    recalls = max((value.share.recalls for value in values.values()), default=0)
    regular = {layer for layer, value in values.items() if value.share.recalls >= recalls / 2} - waiting
    for layer in sorted(values, key=lambda name: (-values[name].spared.added, values[name].sole.mean)):
        value = values[layer]
        longer = waits[layer].longer(value.spared_share) if layer in waits else None
        if (
            layer not in waiting
            and (longer is None or longer <= LAYERS.may_slow[strategy])
            and value.share.recalls >= LAYERS.second_least
            and value.sole.upper < most
            and value.spared.lower > LAYERS.spared
            and value.quality.lost_without() is None
            and len(regular - {layer}) >= 2
        ):
            why = (
                f"{layer} alone finds {value.sole.mean:.1%} of the answer, and without it the others agree "
                f"in {value.spared_share:.0%} of {value.share.recalls} {query_type} recalls"
            )
            if longer is not None:
                why += f", which would take {longer:.2f} times as long"
            rule = f"asked in a second round where it surely finds less than {most:.0%} of answers alone"
            return Change("second_round", (layer,), "Ask only where needed", why, rule)
    return None


def _suspected(values: Values, config: TuningConfig, query_type: str) -> Change | None:
    """Return a layer whose finds other layers hardly ever confirm, among layers that confirm each other."""
    waiting = config.second_round | config.skipped_layers
    for layer, value in sorted(values.items()):
        if (
            layer not in waiting
            and value.quality.asked.n >= CONTRIBUTION.scores
            and value.share.added >= CONTRIBUTION.scores
            and not _is_backed(value)
            and value.spared.lower > LAYERS.spared
            and value.quality.lost_without() is None
        ):
            backed = _backed_share(value)
            why = (
                f"other layers find {backed:.0%} of what it adds to {_share_text(value)} {query_type} answers"
            )
            rule = f"asked in a second round where others confirm less than {LAYERS.backed_least:.0%} of it"
            return Change("second_round", (layer,), "Ask only where needed", why, f"{rule}; scores decide")
    return None


def _share_text(value: LayerValue) -> str:
    """Return "3 of 20", the recalls that a layer added to."""
    return f"{value.share.added} of {value.share.recalls}"


def _spared(value: LayerValue) -> bool:
    """Whether the others agree on enough without it, mostly."""
    return value.spared_share > LAYERS.spared


def _backed_share(value: LayerValue) -> float:
    """Return of what a layer adds the share that others find too, at whatever rank."""
    return 1.0 - value.sole.mean / value.part.mean if value.part.mean > 0 else 1.0


def _is_backed(value: LayerValue) -> bool:
    return _backed_share(value) >= LAYERS.backed_least
