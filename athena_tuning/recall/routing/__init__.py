"""Which layers a recall asks, in which order: by its words, and by what was learned from earlier recalls."""

from athena_tuning.recall.routing.table import DEFAULTS, own_layer, select_layers

__all__ = ["DEFAULTS", "own_layer", "select_layers"]
