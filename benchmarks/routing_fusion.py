"""Fusion on the shared conversations: weights and constant, learned on three and tried on the fourth."""

from __future__ import annotations

import math

from harness import Figure, progress
from routing_world import World, mean, recall_at_10

from athena_tuning.recall import LayerQuery
from athena_tuning.recall.classification import classify
from athena_tuning.recall.fusion import PLAIN
from athena_tuning.recall.fusion_fit import FusionCase, fused_list, left_out
from athena_tuning.recall.routing import own_layer
from athena_tuning.recall.time_focus import time_focus


def learned_fusion(world: World) -> list[Figure]:
    """Weights of layers and rank constant, learned on three conversations and tried on the fourth."""
    progress("fusion weights, a conversation left out")
    names = ("episodic", "semantic", "graph")
    layers, cases = world.layers(names), []
    for question in world.questions:
        kind = classify(question["text"])
        when = time_focus(question["text"], 0.0)
        query = LayerQuery(question["text"], question["conv"], kind, when=when)
        lists = {layer.name: layer.search(query, 15, math.inf) for layer in layers}
        if (own := own_layer(kind)) in lists:
            lists = {own: lists[own], **lists}
        cases.append(FusionCase(lists, frozenset(question["evidence"]), question["conv"]))
    plain, learned = (
        [
            recall_at_10(fused_list(case, 10, rule), sorted(case.evidence))
            for case, rule in zip(cases, rules, strict=True)
        ]
        for rules in ([PLAIN] * len(cases), left_out(cases, 10))
    )
    gained = [after - before for before, after in zip(plain, learned, strict=True)]
    name = f"{'+'.join(names)}, fusion learned on three conversations, on the fourth"
    return [mean(f"{name}: recall@10", learned, 0.76), mean(f"{name}: gained", gained, 0.0)]
