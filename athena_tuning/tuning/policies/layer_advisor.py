"""Which layers a type of query can do without, which it lacks, and which can wait for a second round."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field

from athena_tuning.model import Decision, Reason, TuningConfig
from athena_tuning.tuning.estimation.layer_value import LayerValue
from athena_tuning.tuning.estimation.telemetry import MeasuredRecall
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies import layer_evidence
from athena_tuning.tuning.policies.advisors import Advice, Advisor
from athena_tuning.tuning.policies.layer_evidence import Change, WaitTimes, missed
from athena_tuning.tuning.settings import LAYERS


@dataclass(frozen=True, slots=True)
class LayerFinding:
    """What was found out about layers, by query type.

    Attributes:
        slot_ms: slot time of each layer.
        out: layers that are left out.
        returns: how often a layer came back.
        waits: what it would cost that a layer waits for a second round.
    """

    slot_ms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    out: Mapping[str, frozenset[str]] = field(default_factory=dict)
    returns: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    waits: Mapping[str, Mapping[str, WaitTimes]] = field(default_factory=dict)


class LayerAdvisor(Advisor):
    """Leaves layers out for a type of query, adds others, or lets them wait for a second round.

    *Out*: the upper 95 % bound of the share of recalls to whose best k the layer adds something, leaving only
    it out, is below 0.015, another layer surely adds something, and no scores speak against it. One
    layer at a time, on recalls under the present set only: of two layers that say the same, either alone can
    go, but not both. Of several the one that takes most slot time goes first.

    *In*: recalls that explore show that a layer that is not asked would surely be a good part of the answer.
    Where the others surely agree on enough without it, mostly, it is added to the second round.

    *Second round*: what the layer alone finds is hardly a part of the answer, and without it the others agree
    on enough in most recalls. Then it is asked only where they do not, unless recalls would take longer for
    it than the strategy pays. At least two layers that are asked
    regularly stay in the first round. A layer whose finds nobody ever confirms, among layers that confirm
    each other, goes there as well, if there are scores to judge that by.

    *Back*: recalls that explore (a few per cent ask everything) show that a layer that is left out would
    surely add something to more than its share, that one of the second round surely finds alone what is a
    part of the answer, or scores are surely lower without it. Each return of a layer that was left out halves
    the share that counts as negligible next time.

    Where it misleads: what a caller reads in a layer's own list is not seen by it, only scores tell; and
    what is asked once a month is not in a thousand recalls: where nothing is found, all layers are asked.
    """

    name = "layers"
    parameters = frozenset({"skipped_layers", "extra_layers", "second_round"})
    finding = LayerFinding
    trial = LAYERS.trial

    def wakes(self, evidence: Evidence, finding: LayerFinding) -> LayerFinding | None:
        """Ask for a turn where a type should ask others: types learn beside each other."""
        position, every = evidence.telemetry.position, LAYERS.wakes_every
        if position // every == (position - evidence.fresh) // every:
            return None
        wanted = any(self.advise(evidence, finding, scope) for scope in self.scopes(evidence))
        return finding if wanted else None

    def review(self, evidence: Evidence, finding: LayerFinding) -> Generator[object, None, LayerFinding]:
        """Take in slot times by type and layer, and which layers came back."""
        slots: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        newest = evidence.telemetry.newest(LAYERS.looked_at)
        for recall in newest:
            for task in recall.tasks:
                slots[recall.query_type][task.layer] += task.service_ms
        returns = {query_type: dict(layers) for query_type, layers in finding.returns.items()}
        out_now = dict(finding.out)
        for query_type in {*finding.out, *evidence.configs.by_type}:
            out = evidence.configs.for_type(query_type).skipped_layers
            counts = returns.setdefault(query_type, {})
            for layer in finding.out.get(query_type, out) - out:
                counts[layer] = counts.get(layer, 0) + 1
            out_now[query_type] = out
        yield from ()
        slot_ms = {name: dict(held) for name, held in slots.items()}
        return LayerFinding(slot_ms, out_now, returns, wait_times(newest))

    def scopes(self, evidence: Evidence) -> tuple[str, ...]:
        """Return the types that were seen."""
        return tuple(evidence.values)

    def advise(self, evidence: Evidence, finding: LayerFinding, scope: str) -> Advice | None:
        """Return what a type should ask, if that is not what it asks now."""
        config = evidence.incumbent(scope)
        values = evidence.values.get(scope)
        if scope == "all" or not values or not config.layer_selection_enabled:
            return None
        values = {layer: value for layer, value in values.items() if layer not in config.question_model}
        held = finding.slot_ms.get(scope, {})
        change = layer_evidence.change(
            *(values, config, scope, evidence.strategy, held),
            finding.returns.get(scope, {}),
            finding.waits.get(scope, {}),
        )
        return None if change is None else _advice(scope, config, change, values, held)

    def harm(self, evidence: Evidence, made: Decision) -> str | None:
        """Return why a layer that is asked less than before is needed, or one that is asked more is not."""
        values, before, after = evidence.values.get(made.scope, {}), made.before, made.after
        for layer in sorted(
            (after.skipped_layers | after.second_round) - before.skipped_layers - before.second_round
        ):
            why = missed(
                values.get(layer, LayerValue()), made.scope, layer, left_out=layer in after.skipped_layers
            )
            if why is not None:
                return why
        for layer in sorted(after.extra_layers - before.extra_layers):
            worse = values.get(layer, LayerValue()).quality.lost_with()
            if worse is not None:
                return f"{made.scope} answers score {worse:.2f} lower with {layer}"
        return None


def wait_times(recalls: Sequence[MeasuredRecall]) -> dict[str, dict[str, WaitTimes]]:
    """Return by type and layer what it would cost that the layer waits until all others are over."""
    sums: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(lambda: [0.0] * 4))
    for recall in recalls:
        ends = {task.layer: task.offset_ms + task.queue_ms + task.service_ms for task in recall.tasks}
        for task in recall.tasks if len(ends) > 1 else ():
            others = max(end for layer, end in ends.items() if layer != task.layer)
            figures = others, task.service_ms, max(ends.values()), 1.0
            of = sums[recall.query_type]
            of[task.layer] = [a + b for a, b in zip(of[task.layer], figures, strict=True)]
    return {
        query_type: {layer: WaitTimes(*(part / of[3] for part in of[:3])) for layer, of in layers.items()}
        for query_type, layers in sums.items()
    }


def _advice(
    scope: str,
    config: TuningConfig,
    change: Change,
    values: Mapping[str, LayerValue],
    held: Mapping[str, float],
) -> Advice:
    parameter, layers = change.parameter, change.layers
    reasons = []
    for name, after in change.sets(config).items():
        own = parameter == name
        inputs = layer_evidence.inputs(layers, values) if own else {}
        samples = min(values.get(layer, LayerValue()).share.recalls for layer in layers)
        reasons.append(Reason(name, sorted(after), change.rule if own else "follows", inputs, samples))
    whole = sum(held.values()) or 1.0
    rest = 1.0 - sum(
        held.get(layer, 0.0) / whole * (values[layer].spared_share if parameter == "second_round" else 1.0)
        for layer in layers
        if layer in values
    )
    less = not change.back and parameter != "extra_layers"
    return Advice(
        tuple(reasons),
        bool(reasons),
        f"{change.verb} {' and '.join(layers)} for {scope}: {change.why}.",
        reasons[0].samples if reasons else 0,
        predicted=math.log(rest) if less and 0 < rest < 1 else None,
        back=change.back,
    )
