"""Recalls to measure, and a clock that a test moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from athena_tuning.model import QueryMetrics
from athena_tuning.testing.clock import Clock

Recall = Callable[..., QueryMetrics]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recall(clock: Clock) -> Recall:
    """Makes a good record of now; a test names what it is about."""

    def make(latency_ms: float | None = 10.0, /, **fields: Any) -> QueryMetrics:
        record = QueryMetrics(
            "r", "last deploy?", "temporal", clock.now, latency_ms, None, False, 3, ["episodic"], {}, True
        )
        return record._replace(**fields)

    return make
