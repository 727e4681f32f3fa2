"""Which questions of a type are worth a layer: what was learned from their features, put into the config."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nlargest

from athena_tuning.model import Decision, Reason, TuningConfig, TuningStrategy
from athena_tuning.tuning.estimation.contributions import QuestionEvidence
from athena_tuning.tuning.estimation.layer_value import LayerValue
from athena_tuning.tuning.estimation.question_fit import PricedModel, QuestionFit, plain
from athena_tuning.tuning.estimation.telemetry import MeasuredRecall
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.advisors import Advice, Advisor
from athena_tuning.tuning.settings import CONTRIBUTION, LAYERS, QUESTIONS


@dataclass(frozen=True, slots=True)
class QuestionFinding:
    """What a call of each layer weighs beside that of a typical one, by type and strategy."""

    weight: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)


class QuestionAdvisor(Advisor):
    """Lets the features of a question decide whether a layer is asked at once.

    *By question.* A linear model of what the layer alone finds, tried on questions that it was not learned
    from, is surely worth more than what is in force, than what holds for the type, than asking the layer
    always and than never: then it is put into ``question_model``. So a type whose questions are all alike
    gets none. Nor may it add the layer to most of them, for that is a matter of the type: then it is tried at
    a dearer price. One layer at a time, because each is measured beside the others.

    *Back.* What holds for the type is surely worth more by now, scores are surely lower than before, or they
    are where the layer is not asked, or where it is.

    A call costs the part of an answer that a layer must find alone to be asked (``LAYERS.sole_part``), times
    what it weighs: under COST and BALANCED all calls weigh 1, under THROUGHPUT by their slot time, under
    LATENCY by how much longer recalls take because of that layer. A second round costs as much where time
    matters.

    Where it misleads: what no other layer finds is not always right. Where there are scores, it counts by
    them; without, noise looks like knowledge, so that a layer is only added to questions of which it surely
    finds more than a quarter alone.
    """

    name = "questions"
    parameters = frozenset({"question_model", "skipped_layers"})
    finding = QuestionFinding
    trial = QUESTIONS.trial

    def wakes(self, evidence: Evidence, finding: QuestionFinding) -> QuestionFinding | None:
        """Ask for a turn where a type has something to change."""
        position, every = evidence.telemetry.position, QUESTIONS.wakes_every
        if position // every == (position - evidence.fresh) // every:
            return None
        wanted = any(self.advise(evidence, finding, scope) for scope in self.scopes(evidence))
        return finding if wanted else None

    def review(
        self, evidence: Evidence, finding: QuestionFinding
    ) -> Generator[object, None, QuestionFinding]:
        """Take in what a call of each layer weighs."""
        by_type: dict[str, list[MeasuredRecall]] = defaultdict(list)
        for recall in evidence.telemetry.newest(LAYERS.looked_at):
            if recall.tasks:
                by_type[recall.query_type].append(recall)
        yield from ()
        return QuestionFinding({query_type: _weights(recalls) for query_type, recalls in by_type.items()})

    def scopes(self, evidence: Evidence) -> tuple[str, ...]:
        """Return the types of which something was learned."""
        return tuple(
            query_type
            for query_type, known in evidence.questions.items()
            if known.fits or evidence.incumbent(query_type).question_model
        )

    def advise(self, evidence: Evidence, finding: QuestionFinding, scope: str) -> Advice | None:
        """Return the model of one more layer, or of one layer less."""
        config, known = evidence.incumbent(scope), evidence.questions.get(scope)
        if scope == "all" or known is None or not config.layer_selection_enabled:
            return None
        scored = evidence.values.get(scope, {})
        for layer in sorted(config.question_model):
            if why := _costs_score(scored.get(layer, LayerValue()), scope, layer):
                return _undone(scope, config, layer, why, {}, scored[layer].quality.asked.n)
        weight = finding.weight.get(scope, {}).get(evidence.strategy, {})
        best: tuple[float, Advice] | None = None
        for layer, fit in known.fits.items():
            priced = _at(fit, evidence.strategy, weight.get(layer, 1.0))
            if layer in config.question_model and priced.undone > 0:
                inputs = {"lower": priced.undone, "call_costs": priced.call}
                why = "what holds for the type is surely worth more by now"
                return _undone(scope, config, layer, why, inputs, fit.recalls)
            least = 0.0 if known.quality.asked.n >= CONTRIBUTION.scores else LAYERS.large
            chosen = next((one for one in fit.dearer(priced) if _is_sure(one, least)), None)
            if (
                chosen is not None
                and not _costs_score(scored.get(layer, LayerValue()), scope, layer)
                and (best is None or chosen.gain > best[0])
            ):
                best = chosen.gain, _learned(scope, config, layer, fit, chosen)
        return None if best is None else best[1]

    def harm(self, evidence: Evidence, made: Decision) -> str | None:
        """Return that scores have become lower, if that is sure."""
        lost = evidence.questions.get(made.scope, QuestionEvidence()).quality.lost_with()
        return None if lost is None else f"{made.scope} answers score {lost:.2f} lower than before"


def _at(fit: QuestionFit, strategy: TuningStrategy, weight: float) -> PricedModel:
    price = LAYERS.sole_part.get(strategy, QUESTIONS.typical_price)
    wait = strategy in (TuningStrategy.LATENCY, TuningStrategy.BALANCED)
    return fit.at(max(price * weight, QUESTIONS.prices[0]), wait=wait)


def _is_sure(priced: PricedModel, least: float) -> bool:
    """Whether a model is surely worth a config at a price, and asks for a part of the questions only.

    Args:
        priced: the model at a price.
        least: the price that more calls must be worth.
    """
    worth = priced.gain > QUESTIONS.worth_calls * priced.call
    few = priced.calls <= 0 or (priced.calls <= QUESTIONS.most_added and priced.call >= least)
    return priced.surely > 0 and worth and few


def _learned(scope: str, config: TuningConfig, layer: str, fit: QuestionFit, priced: PricedModel) -> Advice:
    weights = fit.weights(priced)
    margin = CONTRIBUTION.score_errors * priced.error
    told = plain(weights)
    inputs = {
        "layer": layer,
        "gain": priced.gain,
        "lower": priced.gain - margin,
        "upper": priced.gain + margin,
        "calls_a_recall": priced.calls,
        "changed_share": priced.changed,
        "call_costs": priced.call,
        **told,
    }
    rule = "by question where that is surely worth more than what is in force, always and never"
    reasons = [Reason("question_model", {**config.question_model, layer: weights}, rule, inputs, fit.recalls)]
    if layer in config.skipped_layers:
        left = sorted(config.skipped_layers - {layer})
        reasons.append(Reason("skipped_layers", left, "follows", {}, fit.recalls))
    words = f"{told['for'] or 'nothing'} for it, {told['against'] or 'nothing'} against it"
    return Advice(
        tuple(reasons),
        True,
        f"Ask {layer} by question for {scope}: {words}; {priced.calls:+.2f} calls a recall, and "
        f"{priced.gain:+.4f} of an answer (± {margin:.4f}) after their price.",
        fit.recalls,
    )


def _undone(
    scope: str, config: TuningConfig, layer: str, why: str, inputs: Mapping[str, float], samples: int
) -> Advice:
    left = {name: weights for name, weights in config.question_model.items() if name != layer}
    reason = Reason("question_model", left, why, {"layer": layer, **inputs}, samples)
    summary = f"No longer ask {layer} by question for {scope}: {why}."
    return Advice((reason,), True, summary, samples, back=True)


def _costs_score(value: LayerValue, scope: str, layer: str) -> str:
    """Return that scores are surely lower without the layer, or with it; "" if neither is sure."""
    for word, lost in (("without", value.quality.lost_without()), ("with", value.quality.lost_with())):
        if lost is not None:
            return f"{scope} answers score {lost:.2f} lower {word} {layer}"
    return ""


def _weights(recalls: Sequence[MeasuredRecall]) -> dict[str, dict[str, float]]:
    """Return what a call of each layer weighs, by strategy."""
    slot: dict[str, list[float]] = defaultdict(list)
    longer: dict[str, float] = defaultdict(float)
    whole = 0.0
    for recall in recalls:
        slowest = nlargest(2, [(task.service_ms, task.layer) for task in recall.tasks])
        for task in recall.tasks:
            slot[task.layer].append(task.service_ms)
        second = slowest[1][0] if len(slowest) > 1 else 0.0
        longer[slowest[0][1]] += slowest[0][0] - second
        whole += slowest[0][0]
    means = {layer: sum(times) / len(times) for layer, times in slot.items()}
    mean = sum(means.values()) / len(means) if means else 0.0
    return {
        TuningStrategy.THROUGHPUT: {layer: took / mean if mean else 1.0 for layer, took in means.items()},
        TuningStrategy.LATENCY: {
            layer: longer[layer] / whole * len(recalls) / len(slot[layer]) if whole else 1.0 for layer in slot
        },
    }
