"""Whether a line behind a backend's connections is told from other ways in which tasks hold each other up."""

from __future__ import annotations

import random
from collections.abc import Callable
from heapq import heappush, heapreplace

import numpy as np
import pytest

from athena_tuning.tuning.estimation.connection_pool import Line, standing_in_line

Rows = list[tuple[float, float, str]]
"""Start and end in seconds, and the layer."""


def pool(connections: int, tasks: int = 3000, busy: float = 0.8, seed: int = 1) -> tuple[Rows, list[float]]:
    """Tasks of a pool in which somebody often waits, and what each had to do."""
    rng, now, free_at = random.Random(seed), 0.0, [0.0] * connections
    rate = busy * connections / 0.02
    rows, works = [], []
    for i in range(tasks):
        now += rng.expovariate(rate)
        works.append(rng.lognormvariate(-4.1, 0.6))
        end = max(now, free_at[0]) + works[-1]
        heapreplace(free_at, end)
        rows.append((now, end, ("graph", "semantic")[i % 2]))
    return rows, works


def shared(tasks: int = 3000, rate: float = 250.0, seed: int = 1) -> Rows:
    """Tasks that are slower the more of them run as they start: nobody waits for anybody."""
    rng, now, running = random.Random(seed), 0.0, list[float]()
    rows = []
    for _ in range(tasks):
        now += rng.expovariate(rate)
        running = [end for end in running if end > now]
        end = now + rng.lognormvariate(-4.4, 0.6) * (1 + 0.1 * len(running))
        heappush(running, end)
        rows.append((now, end, "graph"))
    return rows


def found(rows: Rows) -> Line | None:
    start, end = (np.array([row[at] for row in rows]) for at in (0, 1))
    return standing_in_line(start, end, [layer for *_, layer in rows])


@pytest.mark.parametrize("connections", [5, 6, 8])
def test_the_connections_of_a_pool_and_what_each_task_had_to_do_are_found(connections: int) -> None:
    rows, works = pool(connections)
    line = found(rows)
    assert line is not None
    assert line.connections == connections
    assert line.works == pytest.approx(works)
    assert line.waited.sum() > 100


@pytest.mark.parametrize("seed", range(5))
def test_tasks_that_slow_each_other_down_stand_in_no_line(seed: int) -> None:
    assert found(shared(seed=seed)) is None


@pytest.mark.parametrize("make", [lambda: [], lambda: pool(40, busy=0.2)[0], lambda: pool(5, tasks=60)[0]])
def test_where_nobody_or_hardly_anybody_waits_nothing_is_said(make: Callable[[], Rows]) -> None:
    assert found(make()) is None


def test_a_layer_with_a_backend_of_its_own_contradicts_a_line() -> None:
    rows, _ = pool(5)
    other = [(start + 1e-6, start + 0.2, "episodic") for start, _, _ in rows[::3]]
    assert found(sorted([*rows, *other])) is None


@pytest.mark.parametrize("handing_over", [0.0, 0.0005, 0.002])
def test_a_limit_that_is_reached_is_no_line_of_the_backend(handing_over: float) -> None:
    rng, free_at, rows = random.Random(1), [0.0] * 5, []
    now = 0.0
    for _ in range(3000):
        now += rng.expovariate(200.0)
        start = max(now, free_at[0] - rng.random() * handing_over)
        end = start + rng.lognormvariate(-4.1, 0.6)
        heapreplace(free_at, end)
        rows.append((start, end, "graph"))
    assert found(sorted(rows)) is None
