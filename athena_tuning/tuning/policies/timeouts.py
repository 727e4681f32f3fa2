"""How long to wait for a layer: long enough that waiting longer would hardly bring anything."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

import numpy as np

from athena_tuning.model import Reason, TaskOutcome, TuningBounds, TuningStrategy
from athena_tuning.tuning.estimation.censored_lognormal import CensoredTimes
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.advisors import Advice, Advisor
from athena_tuning.tuning.policies.base import within
from athena_tuning.tuning.settings import RULES, TIMEOUTS


@dataclass(frozen=True, slots=True)
class Needed:
    """How long a layer needs.

    Attributes:
        seconds: upper bound of the time beyond which ``1 − (1 − 0.005)^(1/k)`` of its tasks take.
        tail: that share.
        samples: tasks it rests on.
        given_up: those of them that were given up.
        disproved: whether more were late than the fitted law allows: then the law of the tail says.
    """

    seconds: float
    tail: float
    samples: int
    given_up: int
    disproved: bool = False


def tail_of(layers: float, lost: float = TIMEOUTS.lost) -> float:
    """Return the share of one layer's tasks that may be late if a recall asks so many layers.

    ``1 − (1 − ε)^(1/k)``: with k layers that are late independently, ε of the recalls lose one.

    Examples:
        >>> round(tail_of(1, 0.01), 4), round(tail_of(5, 0.01), 4)
        (0.01, 0.002)
    """
    return float(1.0 - (1.0 - lost) ** (1.0 / max(layers, 1.0)))


def needed(times: CensoredTimes, tail: float, rng: np.random.Generator, least: float = 0.0) -> Needed:
    """Return how long a layer needs: the larger of what the fitted law and the tasks themselves say.

    The law reaches beyond the timeouts that cut the tasks off; the tasks know of a second hump that no law
    with one has. A law that allows fewer late tasks than there were is disproved: then the tail alone is
    fitted, and no timeout gets shorter than the longest that tasks were given up at.

    Args:
        times: service times of the layer's tasks.
        tail: share of tasks that may take longer.
        rng: resamples for the upper bound.
        least: seconds below which no timeout is set: where the law is under a tenth of it, an upper bound
            would change nothing, and the law's own figure is returned.
    """
    seen, law = times.seen(1.0 - tail), times.fit()
    if law is not None and times.disproves(law):
        said = max(times.tail_upper(1.0 - tail), times.longest_given_up / TIMEOUTS.margin)
        return Needed(said / 1000, tail, times.ended + times.given_up, times.given_up, disproved=True)
    far = law is not None and law.quantile(1.0 - tail) < 100.0 * least
    said = law.quantile(1.0 - tail) if law is not None and far else times.upper(1.0 - tail, rng)
    most = max(said, 0.0 if math.isnan(seen) else seen)
    return Needed(most / 1000, tail, times.ended + times.given_up, times.given_up)


def timeouts(
    layers: Mapping[str, Needed], strategy: TuningStrategy, bounds: TuningBounds
) -> tuple[Reason, Reason]:
    """Return the reasons for ``timeout_seconds`` and ``layer_timeouts``.

    A layer gets ``1.25 · seconds``, times the strategy's patience (1 / 1.25 / 1.25 / 1.67 for LATENCY /
    BALANCED / COST / THROUGHPUT), within the bounds. The floors of the strategies lie inside the bounds in
    the same ratio, so their order is strict as far as the upper bound allows. What no layer's own time says
    is the longest of them.

    Raises:
        ValueError: if there is no layer.
    """
    if not layers:
        raise ValueError("no layer, no timeout")
    patience = RULES.timeout_factor[strategy] / RULES.timeout_factor[TuningStrategy.LATENCY]
    most = bounds.max_timeout_seconds
    floor = min(bounds.min_timeout_seconds * patience, most)
    held = {
        layer: within(need.seconds * TIMEOUTS.margin * patience, floor, most, " s")
        for layer, need in layers.items()
    }
    chosen = {layer: seconds for layer, (seconds, _) in held.items()}
    longest = max(chosen.values())
    own = {layer: seconds for layer, seconds in sorted(chosen.items()) if seconds < longest}
    samples = sum(need.samples for need in layers.values())
    rule = (
        f"time that all but {max(n.tail for n in layers.values()):.2%} of a layer's tasks end in × "
        f"{TIMEOUTS.margin:g}"
    )
    rule += f" × {patience:.3g} for {strategy}"
    disproved = sorted(layer for layer, need in layers.items() if need.disproved)
    if disproved:
        rule += (
            f"; more of {', '.join(disproved)} were given up than a lognormal law allows: by the tail alone"
        )
    inputs = {
        f"{name}_{layer}": value
        for layer, need in sorted(layers.items())
        for name, value in (("needed_s", need.seconds), ("given_up", need.given_up))
    }
    bound = "; ".join(sorted({decided for _, decided in held.values() if decided})) or None
    return (
        Reason("timeout_seconds", longest, rule, inputs, samples, bound),
        Reason("layer_timeouts", own, rule, inputs, samples, bound),
    )


@dataclass(frozen=True, slots=True)
class TimeoutFinding:
    """What each layer needs, as far as enough of its tasks were measured."""

    layers: Mapping[str, Needed] = field(default_factory=dict)


class TimeoutAdvisor(Advisor):
    """Sets each layer's timeout from the service times of its newest tasks.

    Tasks that were given up count as longer than what they had, see ``CensoredTimes``. Every type gets the
    same: a layer of which all types see the same tail is the rule, and a type would need 500 tasks of each
    layer to show another one.
    """

    name = "timeouts"
    parameters = frozenset({"timeout_seconds", "layer_timeouts"})
    finding = TimeoutFinding
    at_once = True

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = seed

    def review(self, evidence: Evidence, finding: TimeoutFinding) -> Generator[object, None, TimeoutFinding]:
        """Fit every layer anew, one a slice."""
        recalls = [recall for piece in evidence.telemetry.spread(TIMEOUTS.looked_at) for recall in piece]
        ended: dict[str, list[float]] = {}
        late: dict[str, list[float]] = {}
        for recall in recalls:
            for task in recall.tasks:
                if task.outcome is not TaskOutcome.ERROR:
                    times = ended if task.outcome is TaskOutcome.OK else late
                    times.setdefault(task.layer, []).append(task.service_ms)
        tail = tail_of(sum(len(r.tasks) for r in recalls) / max(sum(not r.refused for r in recalls), 1))
        rng = np.random.default_rng([self._seed, evidence.telemetry.position])
        layers = {}
        for layer in sorted({*ended, *late}):
            measured = CensoredTimes(ended.get(layer, ()), late.get(layer, ()))
            if measured.ended + measured.given_up >= TIMEOUTS.enough:
                yield layer
                layers[layer] = needed(measured, tail, rng, evidence.bounds.min_timeout_seconds)
        return TimeoutFinding(layers)

    def advise(self, evidence: Evidence, finding: TimeoutFinding, scope: str) -> Advice | None:
        """Return the timeouts of all layers; types get what all get."""
        if not finding.layers:
            return None
        reasons = timeouts(finding.layers, evidence.strategy, evidence.bounds)
        before = evidence.incumbent(scope)
        after = {layer: dict(reasons[1].value).get(layer, reasons[0].value) for layer in finding.layers}
        material = any(
            abs(math.log(seconds / before.timeout_for(layer))) > math.log(TIMEOUTS.material)
            for layer, seconds in after.items()
        )
        each = ", ".join(f"{layer} {seconds:g} s" for layer, seconds in after.items())
        why = f"; {reasons[0].bound} decided" if reasons[0].bound else ""
        late = sorted(layer for layer, need in finding.layers.items() if need.disproved)
        if late:
            why += f"; of {', '.join(late)} more were given up than the fit allowed, so it is not relied on"
        return Advice(reasons, material, f"Timeouts by what layers need: {each}{why}.", reasons[0].samples)
