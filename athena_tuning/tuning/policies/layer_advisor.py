"""Which layers a type of query can do without."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator

from athena_tuning.model import Decision, Reason, TuningConfig
from athena_tuning.tuning.estimation.contributions import Contributions, Share
from athena_tuning.tuning.estimation.telemetry import Telemetry
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.advisors import Advice, Advisor

NEGLIGIBLE = 0.015
"""Share of recalls that a layer adds something to, under which it is left out: 198 recalls without any."""

LOOKED_AT = 1000


class LayerAdvisor(Advisor):
    """Leaves a layer out for a type of query to whose answers it adds nothing, and brings it back.

    Out: the upper 95 % bound of the share of recalls to whose best k the layer adds something, leaving only
    it out, is below ``NEGLIGIBLE``, another layer surely adds something, and no scores speak against it. One
    layer at a time, on recalls under the present set only: of two layers that say the same, either alone can
    go, but not both. Of several the one that takes most slot time goes first.

    Back: the holdback (a few per cent of the recalls ask everything) shows that it would surely add
    something to more than that share, or scores are surely lower without it. Each return halves the share
    that counts as negligible next time.

    Where it misleads: what a caller reads in a layer's own list is not seen by it, only scores tell; and
    what is asked once a month is not in a thousand recalls.
    """

    def __init__(self) -> None:
        self._slots: dict[str, dict[str, float]] = {}
        self._out: dict[str, frozenset[str]] = {}
        self._returns: Counter[tuple[str, str]] = Counter()

    def review(self, evidence: Evidence, telemetry: Telemetry) -> Iterator[None]:
        """Take in slot times by type and layer, and which layers came back."""
        slots: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for seen in telemetry.newest(LOOKED_AT):
            for task in seen.tasks:
                slots[seen.query_type][task.layer] += task.service_ms
        self._slots = slots
        for query_type in {*self._out, *evidence.configs.by_type}:
            out = evidence.configs.for_type(query_type).skipped_layers
            self._returns.update((query_type, layer) for layer in self._out.get(query_type, out) - out)
            self._out[query_type] = out
        yield

    def scopes(self, evidence: Evidence) -> tuple[str, ...]:
        """Return the types that were seen."""
        return tuple(evidence.contributions.types())

    def advise(self, evidence: Evidence, scope: str) -> Advice | None:
        """Return what a type should leave out, if that is not what it leaves out now."""
        config = evidence.incumbent(scope)
        if scope == "all" or not config.layer_selection_enabled:
            return None
        since = _since(evidence, scope)
        seen = evidence.contributions
        for layer in sorted(config.skipped_layers):
            why = missed(seen, scope, layer, since)
            if why is not None:
                return self._advice(scope, config, config.skipped_layers - {layer}, layer, why, seen, since)
        shares = seen.shares(scope, since)
        for layer in self._dispensable(scope, shares, config.skipped_layers):
            if seen.quality(scope, layer, since).lost_without() is None:
                why = f"{layer} added to {shares[layer].added} of {shares[layer].recalls} {scope} answers"
                return self._advice(scope, config, config.skipped_layers | {layer}, layer, why, seen, since)
        return None

    def harm(self, evidence: Evidence, telemetry: Telemetry, made: Decision) -> str | None:
        """Return why a layer that was just left out is needed after all."""
        since = _since(evidence, made.scope)
        for layer in sorted(made.after.skipped_layers - made.before.skipped_layers):
            why = missed(evidence.contributions, made.scope, layer, since)
            if why is not None:
                return why
        return None

    def _dispensable(self, scope: str, shares: dict[str, Share], out: frozenset[str]) -> list[str]:
        held = self._slots.get(scope, {})
        needed = [layer for layer, share in shares.items() if share.surely_above(NEGLIGIBLE)]
        found = [
            layer
            for layer, share in shares.items()
            if layer not in out
            and share.surely_below(NEGLIGIBLE / 2 ** self._returns[scope, layer])
            and any(other != layer and other not in out for other in needed)
        ]
        return sorted(found, key=lambda layer: -held.get(layer, 0.0))

    def _advice(
        self,
        scope: str,
        config: TuningConfig,
        out: frozenset[str],
        layer: str,
        why: str,
        seen: Contributions,
        since: float,
    ) -> Advice:
        share = seen.shares(scope, since).get(layer, Share(0, 0))
        held = self._slots.get(scope, {})
        rest = 1.0 - held.get(layer, 0.0) / (sum(held.values()) or 1.0)
        leaves = layer in out
        rule = f"left out where it surely adds to fewer than {NEGLIGIBLE:.1%} of answers"
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


def missed(seen: Contributions, query_type: str, layer: str, since: float) -> str | None:
    """Return why a layer that is left out is needed after all, or None if nothing says so."""
    share = seen.shares(query_type, since).get(layer, Share(0, 0))
    if share.surely_above(NEGLIGIBLE):
        return f"{layer} would add to {share.added} of {share.recalls} {query_type} answers held back"
    lost = seen.quality(query_type, layer, since).lost_without()
    return None if lost is None else f"{query_type} answers score {lost:.2f} lower without {layer}"


def _since(evidence: Evidence, scope: str) -> float:
    """Return when the present set of layers came into force for a type, at the latest."""
    configs = evidence.configs
    version = configs.by_type.get(scope)
    if version is None:
        return configs.default.time if configs.default.config.skipped_layers else 0.0
    return version.time
