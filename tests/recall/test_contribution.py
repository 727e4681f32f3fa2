"""What layers add to answers, the holdback, and layer selection on a real manager."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.model import Mode, TuningConfig
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.fusion import fuse, gains
from athena_tuning.testing.waiting import until
from athena_tuning.tuning import AutoTuner

lists = st.dictionaries(
    st.sampled_from(["semantic", "graph", "episodic", "own"]),
    st.lists(st.sampled_from("abcdefgh"), max_size=6, unique=True).map(
        lambda ids: [{"id": i, "text": i, "evidence": (i,)} for i in ids]
    ),
    min_size=1,
)


@given(lists, st.integers(1, 8))
def test_additions_are_what_leaving_one_out_takes_away(found: dict[str, Any], k: int) -> None:
    added = {layer: gain.added for layer, gain in gains(found, k, list(found)).items()}
    whole = {item["id"] for item in fuse(found, k)}
    for layer, items in found.items():
        rest = {item["id"] for item in fuse({n: v for n, v in found.items() if n != layer}, k)}
        assert added[layer] == len(whole - rest)
        assert 0 <= added[layer] <= min(k, len(items))


@given(lists, st.integers(1, 8))
def test_a_layer_beside_the_selected_ones_is_judged_by_what_it_would_add(
    found: dict[str, Any], k: int
) -> None:
    beside = min(found)
    selected = [layer for layer in found if layer != beside]
    added = gains(found, k, selected)[beside].added
    if not selected:
        assert added == min(k, len(found[beside]))
    with_it = {item["id"] for item in fuse(found, k)}
    without = {item["id"] for item in fuse({n: found[n] for n in selected}, k)}
    assert added == len(with_it - without)


class Notes:
    """A layer with one answer to everything."""

    keeps_deadline = True

    def __init__(self, name: str, *ids: str) -> None:
        self.name, self.ids, self.calls = name, ids, 0

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
        self.calls += 1
        return [{"id": i, "text": i, "evidence": [i]} for i in self.ids]


def test_a_manager_counts_what_layers_add_off_the_recalls_thread() -> None:
    layers = [Notes("semantic", "a", "b"), Notes("graph", "a", "b")]
    with MemoryManager(":memory:", layers=layers) as manager:
        for i in range(20):
            manager.recall(f"what uses part {i}?", k=2)
            manager.recall(f"what uses part {i}?", k=2)  # from the cache: nothing new
        until(lambda: "relational" in manager.tuner.contributions.values())
        until(lambda: manager.tuner.contributions.values()["relational"]["graph"].share.recalls == 20)
        values = manager.tuner.contributions.values()["relational"]
        assert {name: value.share.added for name, value in values.items()} == {"semantic": 0, "graph": 0}


@pytest.mark.slow
def test_a_few_recalls_in_a_hundred_ask_what_is_left_out() -> None:
    layers = [Notes("semantic", "a"), Notes("graph", "b")]
    with MemoryManager(":memory:", layers=layers, worker_id="w") as manager:
        manager.apply_config(
            TuningConfig(skipped_layers=frozenset({"graph"}), enable_cache=False),
            expected_version=0,
            actor="test",
            reason="test",
        )
        for i in range(2000):
            manager.recall(f"what uses part {i}?")
    assert layers[0].calls == 2000
    assert 0.02 < layers[1].calls / 2000 < 0.06


@pytest.mark.slow
def test_a_real_manager_leaves_a_useless_layer_out_and_takes_it_back() -> None:
    semantic, graph = Notes("semantic", "a", "b"), Notes("graph", "c")
    profiler = PerformanceProfiler()
    tuner = AutoTuner(profiler, policy="model")
    with MemoryManager(
        ":memory:", layers=[semantic, graph], mode=Mode.AUTO, profiler=profiler, tuner=tuner, worker_id="w"
    ) as manager:

        def ask_until(holds: Callable[[], bool]) -> None:
            end = time.monotonic() + 240
            number = 0
            while not holds():
                assert time.monotonic() < end, [d.summary for d in manager.latest_decisions.values()]
                number += 1
                manager.recall(f"what uses part {number}?", k=1, use_cache=False)
                time.sleep(0.001)

        ask_until(lambda: manager.configs.for_type("relational").skipped_layers == {"graph"})
        calls = graph.calls
        assert manager.recall("what uses part 0?", k=1)["_fused"][0]["id"] == "a"
        graph.ids = ("b", "z")
        semantic.ids = ("x", "b")  # now both together say that b comes first
        ask_until(lambda: not manager.configs.for_type("relational").skipped_layers)
        assert graph.calls > calls
        assert manager.recall("what uses part 0?", k=1, use_cache=False)["_fused"][0]["id"] == "b"
