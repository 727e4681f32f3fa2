"""The first results are the same, however many are asked for."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from athena_tuning.model import LAYERS
from athena_tuning.recall import LayerQuery, MemoryManager
from athena_tuning.recall.ingest import ingest_file
from athena_tuning.recall.time_focus import TimeFocus

SAMPLE = Path(__file__).parents[2] / "sample_data" / "memory.jsonl.gz"


@pytest.fixture(scope="module")
def manager() -> Iterator[MemoryManager]:
    with MemoryManager(":memory:") as made:
        ingest_file(made, SAMPLE)
        yield made


def texts() -> list[str]:
    with gzip.open(SAMPLE, "rt") as lines:
        return [json.loads(line)["text"] for line in lines][::80]


@pytest.mark.slow
@pytest.mark.parametrize("when", [None, TimeFocus(newest=True), TimeFocus(1.7e9, 1.71e9)])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_gives_the_beginning_of_what_it_gives_when_it_is_asked_for_more(
    manager: MemoryManager, name: str, when: TimeFocus | None
) -> None:
    layer = manager.memory.layers[name]
    found = 0
    for text in texts():
        query = LayerQuery(text, when=when)
        lists = [
            [item["id"] for item in layer.search(query, k, time.monotonic() + 60)] for k in (15, 30, 100)
        ]
        found += len(lists[2]) > 15
        for shorter, longer in ((lists[0], lists[1]), (lists[1], lists[2])):
            assert longer[: len(shorter)] == shorter
    assert found > 0


@pytest.mark.slow
def test_a_recall_has_the_same_first_results_with_every_k(manager: MemoryManager) -> None:
    for text in texts():
        first = [
            [item["id"] for item in manager.recall(text, k=k, use_cache=False, layers=LAYERS)["_fused"][:5]]
            for k in (5, 10, 20, 60)
        ]
        assert first[1:] == first[:1] * 3


def test_copies_come_last_however_many_are_asked_for() -> None:
    with MemoryManager(":memory:") as manager:
        for number in range(60):
            text = "the deploy failed" if number % 3 else f"the deploy failed in zone {number}"
            manager.remember({"id": f"n{number:02}", "layer": "episodic", "text": text})
        layer = manager.memory.layers["episodic"]
        found = [layer.search(LayerQuery("failed deploy"), k, time.monotonic() + 60) for k in (12, 24, 60)]
    ids = [[item["id"] for item in items] for items in found]
    assert ids[2][:24] == ids[1]
    assert ids[1][:12] == ids[0]
    assert len({item["text"] for item in found[1][:21]}) == 21
