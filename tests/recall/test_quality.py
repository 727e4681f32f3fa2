"""Recall@10 on real conversations, where the shared data is there."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from athena_tuning.model import TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.ingest import ingest_file

DATA = Path(__file__).parents[3] / "shared" / "data" / "memory"
ITEMS = DATA / "conversation_items.jsonl.gz"
QUERIES = DATA / "conversation_queries.jsonl.gz"

pytestmark = pytest.mark.skipif(not ITEMS.is_file(), reason="the shared data is not beside the project")


@pytest.fixture(scope="module")
def questions() -> list[dict[str, Any]]:
    with gzip.open(QUERIES) as lines:
        asked = [json.loads(line) for line in lines]
    return [q for q in asked if not q["adversarial"] and q["evidence"]]


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryManager]:
    with MemoryManager(tmp_path_factory.mktemp("conversations") / "m.db") as made:
        report = ingest_file(made, ITEMS)
        assert (report.loaded, report.bad) == (4790, [])
        yield made


def first_turns(fused: list[dict[str, Any]], n: int = 10) -> set[str]:
    """The first ``n`` distinct turns that the fused list stands for."""
    return set(list(dict.fromkeys(turn for item in fused for turn in item["evidence"]))[:n])


def recall_at_10(manager: MemoryManager, questions: list[dict[str, Any]], k: int = 10) -> float:
    total = 0.0
    for q in questions:
        answer = manager.recall(q["text"], k=k, scope=q["conv"], use_cache=False, use_parallel=False)
        assert answer["_success"]
        assert not answer["_partial"]
        gold = set(q["evidence"])
        total += len(first_turns(answer["_fused"]) & gold) / len(gold)
    return total / len(questions)


def only(manager: MemoryManager, layers: tuple[str, ...]) -> MemoryManager:
    """A manager that asks exactly these layers of the same memory."""
    fixed = MemoryManager(":memory:", layers=[manager.memory.layers[name] for name in layers])
    fixed.apply_config(
        TuningConfig(layer_selection_enabled=False), expected_version=0, actor="test", reason="a fixed set"
    )
    return fixed


@pytest.mark.slow
def test_recall_at_10(
    manager: MemoryManager, questions: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(questions) == 582
    sets: dict[str, tuple[str, ...] | None] = {
        "episodic+semantic": ("episodic", "semantic"),
        "episodic+semantic+graph": ("episodic", "semantic", "graph"),
        "chosen by selection": None,
    }
    figures = {}
    for name, layers in sets.items():
        if layers is None:
            figures[name] = recall_at_10(manager, questions)
        else:
            with only(manager, layers) as fixed:
                figures[name] = recall_at_10(fixed, questions)
    with capsys.disabled():
        print("\nrecall@10:", ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    assert figures["episodic+semantic"] >= 0.745
    assert figures["episodic+semantic+graph"] >= 0.745
    assert figures["chosen by selection"] >= 0.66
