"""Routing: what the layers that are asked give, and how many they are, while that is learned.

Every question is scored before its score is given as feedback. Intervals are of 95 %, of means over
questions; what is measured stands in the modules that begin with ``routing_``.
"""

from __future__ import annotations

from harness import options, progress, report
from routing_conversations import (
    a_plan,
    cold_start,
    exchanged,
    fixed_sets,
    left_out_conversation,
    questions_with_a_date,
)
from routing_cost import cache_by_layer, cpu_of_learning, cpu_of_routing
from routing_fusion import learned_fusion
from routing_layers import a_layer_becomes_useful, a_strangers_layer, the_only_one_that_knows, words_tell
from routing_world import SHARED, shared_world


def main() -> int:
    asked = options(__doc__)
    if not SHARED.is_dir():
        progress("the shared conversations are not beside the project: nothing to measure")
        return 0
    with shared_world() as world:
        figures = fixed_sets(world)
        figures += a_plan(world)
        figures += questions_with_a_date(world)
        figures += cold_start(world, 2 if asked.quick else 5)
        figures += exchanged(world, (1,) if asked.quick else (1, 2, 3, 4))
        figures += cache_by_layer((5,)) + cache_by_layer((3, 5, 10))
        figures += a_strangers_layer(world)
        if not asked.quick:
            figures += left_out_conversation(world) + learned_fusion(world)
        figures += the_only_one_that_knows(1_500 if asked.quick else 10_000)
        figures.append(a_layer_becomes_useful(1_000 if asked.quick else 3_000, 2 if asked.quick else 10))
        figures += words_tell(*(2_000, 1) if asked.quick else (4_000, 3))
        figures += [*cpu_of_routing(world.questions), cpu_of_learning(world.questions)]
    return report(figures, asked)


if __name__ == "__main__":
    raise SystemExit(main())
