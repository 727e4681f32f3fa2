"""Acts: their backend has a knee, their layer falls ill and comes back, and nothing of them leaves them."""

from __future__ import annotations

import threading

import pytest

from athena_tuning.recall.items import LayerQuery
from athena_tuning.service.acts import (
    ACTS,
    DAY_SECONDS,
    KNEE,
    LASTS_SECONDS,
    ActLayer,
    Backend,
    days,
    open_act,
)
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.testing.waiting import until


class Moved:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def waits(together: int) -> list[float]:
    """Return how long so many tasks that run at once are made to wait."""
    slept: list[float] = []
    all_in = threading.Barrier(together)

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        all_in.wait(20)

    backend = Backend(sleep=sleep)
    threads = [threading.Thread(target=backend.serve, daemon=True) for _ in range(together)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return slept


def test_backend_bears_as_many_tasks_as_it_says_and_slows_down_beyond() -> None:
    alone, knee, beyond = (sum(waits(n)) / n for n in (1, KNEE, 3 * KNEE))
    assert knee < 2 * alone
    assert beyond > 1.7 * knee


def test_layer_that_falls_ill_fails_for_its_minute_and_comes_back() -> None:
    clock = Moved()
    act = ACTS["ill"]
    assert act.ill is not None
    backend = Backend(clock, lambda _: None)
    graph, semantic = (ActLayer(name, backend, act) for name in ("graph", "semantic"))
    query = LayerQuery("?")
    assert graph.search(query, 5, 0.0)
    clock.now += act.ill[1]
    with pytest.raises(ConnectionError):
        graph.search(query, 5, 0.0)
    assert semantic.search(query, 5, 0.0)
    clock.now += act.ill[2]
    assert graph.search(query, 5, 0.0)


def test_days_of_an_act_follow_each_other_with_a_peak_at_noon() -> None:
    asked = [m.timestamp for m in days(10.0)]
    assert asked == sorted(asked)
    assert asked[-1] > LASTS_SECONDS * 0.95
    for start in (0.0, DAY_SECONDS):
        night, noon = (
            sum(start + DAY_SECONDS * at <= t < start + DAY_SECONDS * (at + 0.15) for t in asked)
            for at in (0.05, 0.45)
        )
        assert noon > 1.7 * night


@pytest.mark.parametrize("name", ACTS)
def test_act_runs_on_a_store_of_its_own_with_the_config_that_it_says(
    name: str, service: TuningService
) -> None:
    act = ACTS[name]
    shown = open_act(act)
    try:
        until(lambda: shown.window.summary(sources={"live"}).count >= 30, 30)
        first = next(version for version in shown.history() if version.author == "maria")
        assert first.config.max_concurrent == act.limit
        assert shown.configs().default.mode is act.mode
        assert shown.blocked() is None
    finally:
        shown.close()
    assert service.history() == []
    assert not service.tail.look()
