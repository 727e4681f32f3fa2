"""Another package adds a layer, a policy and a format: each passes its suite and is found by its name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from athena_tuning.interchange import Import, registry
from athena_tuning.plugins import plugins
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.layers.named import layer_named
from athena_tuning.testing.layers import LayerSuite
from athena_tuning.testing.policies import PolicySuite
from athena_tuning.tuning import AutoTuner, make_policy

TOY = Path(__file__).parent / "toy_package"


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    """The toy package as pip would install it."""
    monkeypatch.syspath_prepend(str(TOY))
    for cached in (plugins, registry):
        cached.cache_clear()
    yield
    for cached in (plugins, registry):
        cached.cache_clear()
    sys.modules.pop("toy_memory", None)


class TestToyLayer(LayerSuite):
    @pytest.fixture
    def layer(self):
        return layer_named("shelves")

    @pytest.fixture
    def question(self):
        return "where is the law?"


class TestToyPolicy(PolicySuite):
    @pytest.fixture
    def make(self):
        return lambda: make_policy("one-at-a-time")


def test_a_layer_of_another_package_is_registered_by_its_name(tmp_path):
    with MemoryManager(tmp_path / "memory.db") as manager:
        manager.register_layer("shelves")
        assert [item["id"] for item in manager.recall("law, please")["shelves"]] == ["law"]
        with pytest.raises(ValueError, match="no layer 'attic' is installed; there are shelves"):
            manager.register_layer("attic")


def test_a_policy_of_another_package_is_chosen_by_its_name():
    tuner = AutoTuner(PerformanceProfiler(), policy="one-at-a-time")
    assert tuner.propose().policy == "one-at-a-time"
    with pytest.raises(ValueError, match="fixed, gradient, model, one-at-a-time, rules, vegas"):
        make_policy("best")


def test_a_format_of_another_package_is_recognised(tmp_path):
    path = tmp_path / "loans.csv"
    path.write_text("shelf,lent_at,held_ms\nart,2026-09-21T10:00:00Z,12\n")
    found = Import(path)
    assert (found.format, found.confidence) == ("loans", 0.9)
    assert [(m.query_type, m.latency_ms) for m in found.records()] == [("art", 12.0)]
