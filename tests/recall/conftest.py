"""What recalls are asked of, where nothing else is said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from athena_tuning.recall import MemoryManager
from athena_tuning.recall.execution.executor import ParallelLayerExecutor
from tests.support.memory_layers import NOTES


@pytest.fixture
def manager() -> Iterator[MemoryManager]:
    with MemoryManager(":memory:") as made:
        made.remember_many(NOTES)
        yield made


@pytest.fixture
def executor() -> Iterator[ParallelLayerExecutor]:
    with ParallelLayerExecutor(4) as made:
        yield made
