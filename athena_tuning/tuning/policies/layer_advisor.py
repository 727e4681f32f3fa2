"""Which layers a type of query can do without."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from athena_tuning.model import Decision, Reason, TuningConfig
from athena_tuning.tuning.estimation.contributions import LayerValue
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.advisors import Advice, Advisor
from athena_tuning.tuning.settings import LAYERS


@dataclass(frozen=True, slots=True)
class LayerFinding:
    """What was found out about layers, by query type.

    Attributes:
        slot_ms: slot time of each layer.
        out: layers that are left out.
        returns: how often a layer came back.
    """

    slot_ms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    out: Mapping[str, frozenset[str]] = field(default_factory=dict)
    returns: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class LayerAdvisor(Advisor):
    """Leaves a layer out for a type of query to whose answers it adds nothing, and brings it back.

    Out: the upper 95 % bound of the share of recalls to whose best k the layer adds something, leaving only
    it out, is below 0.015, another layer surely adds something, and no scores speak against it. One
    layer at a time, on recalls under the present set only: of two layers that say the same, either alone can
    go, but not both. Of several the one that takes most slot time goes first.

    Back: the holdback (a few per cent of the recalls ask everything) shows that it would surely add
    something to more than that share, or scores are surely lower without it. Each return halves the share
    that counts as negligible next time.

    Where it misleads: what a caller reads in a layer's own list is not seen by it, only scores tell; and
    what is asked once a month is not in a thousand recalls.
    """

    name = "layers"
    parameters = frozenset({"skipped_layers"})
    finding = LayerFinding

    def review(self, evidence: Evidence, found: LayerFinding) -> Generator[object, None, LayerFinding]:
        """Take in slot times by type and layer, and which layers came back."""
        slots: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for recall in evidence.telemetry.newest(LAYERS.looked_at):
            for task in recall.tasks:
                slots[recall.query_type][task.layer] += task.service_ms
        returns = {query_type: dict(layers) for query_type, layers in found.returns.items()}
        out_now = dict(found.out)
        for query_type in {*found.out, *evidence.configs.by_type}:
            out = evidence.configs.for_type(query_type).skipped_layers
            counts = returns.setdefault(query_type, {})
            for layer in found.out.get(query_type, out) - out:
                counts[layer] = counts.get(layer, 0) + 1
            out_now[query_type] = out
        yield from ()
        return LayerFinding({name: dict(held) for name, held in slots.items()}, out_now, returns)

    def scopes(self, evidence: Evidence) -> tuple[str, ...]:
        """Return the types that were seen."""
        return tuple(evidence.values)

    def advise(self, evidence: Evidence, found: LayerFinding, scope: str) -> Advice | None:
        """Return what a type should leave out, if that is not what it leaves out now."""
        config = evidence.incumbent(scope)
        values = evidence.values.get(scope)
        if scope == "all" or not values or not config.layer_selection_enabled:
            return None
        held, out = found.slot_ms.get(scope, {}), config.skipped_layers
        for layer in sorted(out):
            why = missed(values.get(layer, LayerValue()), scope, layer)
            if why is not None:
                return self._advice(scope, config, out - {layer}, layer, why, values, held)
        returns = found.returns.get(scope, {})
        for layer in sorted(_dispensable(values, returns, out), key=lambda name: -held.get(name, 0.0)):
            if values[layer].quality.lost_without() is None:
                share = values[layer].share
                why = f"{layer} added to {share.added} of {share.recalls} {scope} answers"
                return self._advice(scope, config, out | {layer}, layer, why, values, held)
        return None

    def harm(self, evidence: Evidence, made: Decision) -> str | None:
        """Return why a layer that was just left out is needed after all."""
        values = evidence.values.get(made.scope, {})
        for layer in sorted(made.after.skipped_layers - made.before.skipped_layers):
            why = missed(values.get(layer, LayerValue()), made.scope, layer)
            if why is not None:
                return why
        return None

    def _advice(
        self,
        scope: str,
        config: TuningConfig,
        out: frozenset[str],
        layer: str,
        why: str,
        values: Mapping[str, LayerValue],
        held: Mapping[str, float],
    ) -> Advice:
        share = values.get(layer, LayerValue()).share
        rest = 1.0 - held.get(layer, 0.0) / (sum(held.values()) or 1.0)
        leaves = layer in out
        rule = f"left out where it surely adds to fewer than {LAYERS.negligible:.1%} of answers"
        inputs = {"layer": layer, "added": share.added, "lower": share.lower, "upper": share.upper}
        verb = "Leave out" if leaves else "Bring back"
        return Advice(
            (Reason("skipped_layers", sorted(out), rule, inputs, share.recalls),),
            out != config.skipped_layers,
            f"{verb} {layer} for {scope}: {why}.",
            share.recalls,
            predicted=math.log(rest) if leaves and 0 < rest < 1 else None,
            back=not leaves,
        )


def missed(value: LayerValue, query_type: str, layer: str) -> str | None:
    """Return why a layer that is left out is needed after all, or None if nothing says so."""
    share = value.share
    if share.surely_above(LAYERS.negligible):
        return f"{layer} would add to {share.added} of {share.recalls} {query_type} answers held back"
    lost = value.quality.lost_without()
    return None if lost is None else f"{query_type} answers score {lost:.2f} lower without {layer}"


def _dispensable(
    values: Mapping[str, LayerValue], returns: Mapping[str, int], out: frozenset[str]
) -> list[str]:
    """Return the layers that surely add next to nothing while another one surely adds something."""
    needed = {layer for layer, value in values.items() if value.share.surely_above(LAYERS.negligible)} - out
    return [
        layer
        for layer, value in values.items()
        if layer not in out
        and value.share.surely_below(LAYERS.negligible / 2 ** returns.get(layer, 0))
        and needed - {layer}
    ]
