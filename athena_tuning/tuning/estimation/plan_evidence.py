"""What is known of layers for a plan: how often the others agree without one, and what its absence loses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from athena_tuning.model import TuningConfig
from athena_tuning.tuning.estimation.layer_value import LayerValue, Mean, Share, Values


class LayerEvidence(NamedTuple):
    """What is known of one layer, for one type of query. Parts are of the best k pieces of an answer.

    Attributes:
        spared: recalls in which the other layers agree on enough without it.
        part: that is there because of it.
        waiting: that would be lost if it waited for the second round.
        beside: that it would be where it is not asked.
    """

    spared: Share = Share(0, 0)
    part: Mean = Mean()
    waiting: Mean = Mean()
    beside: Mean = Mean()

    def lost(self, layer: str, config: TuningConfig, asked: float, gap: Mean) -> Mean:
        """Return what part of an answer a config loses of this layer.

        Args:
            layer: its name.
            config: leaves it out, lets it wait, or asks it.
            asked: share of the recalls that ask it, unless it is left out.
            gap: what is lost because the config adds it to no recall.
        """
        if layer in config.skipped_layers:
            return _share_of(self.part, asked)
        return _share_of(self.waiting, asked) if layer in config.second_round else gap


@dataclass(frozen=True, slots=True)
class PlanEvidence:
    """What is known of layers by type, as a value that a store can keep.

    Examples:
        >>> evidence = PlanEvidence.of({"factual": {"graph": LayerValue(spared=Share(6, 8))}})
        >>> PlanEvidence.from_dict(evidence.to_dict()).layer("factual", "graph").spared
        Share(added=6, recalls=8)
    """

    by_type: Mapping[str, Mapping[str, LayerEvidence]] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Values) -> Self:
        """Return what a tuner's observations say."""
        return cls(
            {kind: {name: _evidence(value) for name, value in of.items()} for kind, of in values.items()}
        )

    def layer(self, query_type: str, layer: str) -> LayerEvidence:
        """Return what is known of a layer for a type."""
        return self.by_type.get(query_type, {}).get(layer, LayerEvidence())

    def spared(self, query_type: str, layer: str) -> Share:
        """Return in how many recalls others agree without a layer: of the type if known, else of all."""
        own = self.layer(query_type, layer).spared
        if own.recalls:
            return own
        known = [of[layer].spared for of in self.by_type.values() if layer in of]
        return Share(sum(share.added for share in known), sum(share.recalls for share in known))

    def change(
        self, query_type: str, before: TuningConfig, after: TuningConfig, asked: Mapping[str, float]
    ) -> Mean:
        """Return what part of an answer ``after`` loses more than ``before``; NaN where nobody knows.

        Losses of several layers are added up: of two that say the same, either is lost for nothing, and both
        together for more than the sum.

        Args:
            query_type: of the recalls.
            before: a config.
            after: another one.
            asked: by layer, the share of the recalls that ask it now.
        """
        by_question = before.question_model.keys() | after.question_model.keys()
        moved = [layer for layer in by_question if _place(layer, before) != _place(layer, after)]
        if moved or before.question_model != after.question_model:
            return (
                Mean()
            )  # what is known of a type does not tell what its questions lose, each asked otherwise
        changes = []
        for layer in sorted(_placed(before) | _placed(after)):
            if _place(layer, before) != _place(layer, after):
                known, share = self.layer(query_type, layer), asked.get(layer, 0.0)
                if layer in before.extra_layers | before.second_round:
                    share = 1.0  # who calls for a layer that waits is not in what was asked
                adds, drops = (
                    after.extra_layers - before.extra_layers,
                    before.extra_layers - after.extra_layers,
                )
                missing = _share_of(known.beside, 1.0 - share) if known.beside.n > 1 else _NOTHING
                changes.append(
                    (
                        known.lost(layer, after, share, known.part if layer in drops else _NOTHING),
                        known.lost(layer, before, share, missing if layer in adds else _NOTHING),
                    )
                )
        return Mean(
            sum(later.mean - earlier.mean for later, earlier in changes),
            math.hypot(*(mean.error for pair in changes for mean in pair)),
            min((max(mean.n for mean in pair) for pair in changes), default=0),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {
            kind: {
                name: {
                    "spared": [known.spared.added, known.spared.recalls],
                    **{part: _plain(getattr(known, part)) for part in _MEANS},
                }
                for name, known in of.items()
            }
            for kind, of in self.by_type.items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make it from plain JSON types.

        Raises:
            ValueError: if a value does not fit.
        """
        try:
            return cls(
                {
                    kind: {
                        name: LayerEvidence(
                            Share(*map(int, known["spared"])), *(_mean(known[part]) for part in _MEANS)
                        )
                        for name, known in of.items()
                    }
                    for kind, of in values.items()
                }
            )
        except (TypeError, KeyError, AttributeError) as exc:
            raise ValueError(f"evidence on layers cannot be read: {type(exc).__name__}: {exc}") from exc


_MEANS = ("part", "waiting", "beside")
_NOTHING = Mean(0.0, 0.0, 0)


def _evidence(value: LayerValue) -> LayerEvidence:
    return LayerEvidence(value.spared, value.part, value.waiting, value.beside)


def _share_of(mean: Mean, share: float) -> Mean:
    """Return what a mean over some recalls is over all, if the others lose nothing."""
    return Mean(share * mean.mean, share * mean.error, mean.n) if share > 0 else _NOTHING


def _placed(config: TuningConfig) -> frozenset[str]:
    return config.skipped_layers | config.second_round | config.extra_layers


def _place(layer: str, config: TuningConfig) -> tuple[bool, bool, bool]:
    return layer in config.skipped_layers, layer in config.second_round, layer in config.extra_layers


def _plain(mean: Mean) -> list[float | None]:
    return [*(None if math.isnan(value) else value for value in (mean.mean, mean.error)), mean.n]


def _mean(values: list[Any]) -> Mean:
    mean, error, n = (math.nan if value is None else float(value) for value in values)
    return Mean(mean, error, int(n))
