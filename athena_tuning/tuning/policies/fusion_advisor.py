"""What the ranks of a layer count in the fused list, by what scores hint at and then prove."""

from __future__ import annotations

from collections.abc import Generator

from athena_tuning.model import Decision, Reason
from athena_tuning.tuning.estimation.contributions import QuestionEvidence
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.advisors import Advice, Advisor
from athena_tuning.tuning.settings import CONTRIBUTION, FUSION


class FusionAdvisor(Advisor):
    """Doubles or halves the weight of a layer's ranks for a type, where scores surely hint at it.

    A hint is no proof: whole answers are scored, and a layer may carry the easy ones. So a change has to
    prove itself: at the end of its trial scores must surely be higher than before, else it is taken back, and
    nothing of the kind is tried for a while. Effects below about 0.1 of a score are not proved by a few
    hundred scores; questions whose answers are known tell those apart (``quality --learn-fusion``), and the
    rank constant.

    Where it misleads: scores before and after are of other questions, and what else changed then counts too.
    """

    name = "fusion"
    parameters = frozenset({"fusion_weights"})
    trial = FUSION.trial

    def review(self, evidence: Evidence, finding: None) -> Generator[object, None, None]:
        """Look at nothing: what it knows is learned elsewhere."""
        yield from ()

    def scopes(self, evidence: Evidence) -> tuple[str, ...]:
        """Return the types that have hints."""
        return tuple(query_type for query_type, known in evidence.questions.items() if known.hints)

    def advise(self, evidence: Evidence, finding: None, scope: str) -> Advice | None:
        """Return another weight for the layer with the clearest hint."""
        known = evidence.questions.get(scope)
        if scope == "all" or known is None:
            return None
        weights = evidence.incumbent(scope).fusion_weights
        clearest: tuple[float, str, float] | None = None
        for layer, hint in known.hints.items():
            weight = weights.get(layer, 1.0) * hint.step
            clear = abs(hint.more) / hint.error if hint.error > 0 else 0.0
            allowed = FUSION.least <= weight <= 1 / FUSION.least
            if hint.step != 1.0 and allowed and (clearest is None or clear > clearest[0]):
                clearest = clear, layer, weight
        if clearest is None:
            return None
        _, layer, weight = clearest
        hint = known.hints[layer]
        doubt = CONTRIBUTION.score_errors * hint.error
        inputs = {
            "layer": layer,
            "score_more": hint.more,
            "lower": hint.more - doubt,
            "upper": hint.more + doubt,
        }
        rule = f"weight × {hint.step:g} where scores surely hint at it; scores must then be surely higher"
        after = {name: own for name, own in weights.items() if name != layer}
        after |= {layer: weight} if weight != 1.0 else {}
        return Advice(
            (Reason("fusion_weights", after, rule, inputs, hint.scores),),
            True,
            f"Let the ranks of {layer} count {weight:g} for {scope}: answers that it carries score "
            f"{hint.more:+.2f} (± {doubt:.2f}) beside those that others carry.",
            hint.scores,
        )

    def harm(self, evidence: Evidence, made: Decision) -> str | None:
        """Return that scores have become lower, if that is sure."""
        lost = evidence.questions.get(made.scope, QuestionEvidence()).quality.lost_with()
        return None if lost is None else f"{made.scope} answers score {lost:.2f} lower than before"

    def unproven(self, evidence: Evidence, made: Decision) -> str | None:
        """Return that scores have not become higher, or that there are too few to tell."""
        quality = evidence.questions.get(made.scope, QuestionEvidence()).quality
        if quality.lost_without() is not None:
            return None
        return (
            f"{made.scope} answers do not surely score higher: {quality.asked.mean:.2f} in {quality.asked.n} "
            f"scores, {quality.not_asked.mean:.2f} before"
        )
