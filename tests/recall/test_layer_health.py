"""A manager with layers that are down, block a loop, or want to be set up and ended."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from typing import Any

import pytest

from athena_tuning.control.breaker import BreakerSettings
from athena_tuning.model import BreakerState
from athena_tuning.recall import MemoryManager
from athena_tuning.store import MemoryStore
from tests.support.clock import Clock
from tests.support.memory_layers import StubLayer, failing, items, over, records, set_config
from tests.support.waiting import until

WAIT = 30.0
QUICK = BreakerSettings(first_wait_seconds=0.01, longest_wait_seconds=0.05, trials=1)


def test_layer_health_of_a_manager_names_the_dead_layer_and_recalls_go_on_without_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    good, dead = StubLayer("good", items("a")), StubLayer("dead", failing)
    with caplog.at_level(logging.INFO), over(good, dead) as manager:
        for turn in range(200):
            answer = manager.recall(f"q {turn}", use_cache=False)
            assert (answer["_success"], answer["_partial"]) == (True, True)
        assert dead.calls == 5
        assert "left out for 0 s now: 5 calls in a row failed" in answer["_errors"]["dead"]
        assert list(answer["_layer_ms"]) == ["good"]
        health = manager.layer_health()
        assert (health["good"].state, health["dead"].state) == (BreakerState.CLOSED, BreakerState.OPEN)
        assert (health["dead"].calls, health["dead"].left_out) == (5, 195)
        assert sum("is left out from now on" in r.getMessage() for r in caplog.records) == 1


def test_layer_that_is_well_again_is_asked_again() -> None:
    layer = StubLayer("layer", failing)
    with MemoryManager(":memory:", layers=[layer, StubLayer("good", items("a"))], breaker=QUICK) as manager:
        set_config(manager, layer_selection_enabled=False)
        for turn in range(20):
            manager.recall(f"q {turn}", use_cache=False)
        assert manager.layer_health()["layer"].state is not BreakerState.CLOSED
        layer.answer = items("b")
        until(lambda: "layer" in manager.recall("again", use_cache=False))
        assert manager.layer_health()["layer"].state is BreakerState.CLOSED


def test_dead_layer_neither_empties_the_cache_nor_blinds_the_tuner() -> None:
    layers = [
        StubLayer("semantic", items("a", "b")),
        StubLayer("graph", items("a")),
        StubLayer("dead", failing),
    ]
    with MemoryManager(":memory:", layers=layers, monotonic=Clock(1000.0)) as manager:
        set_config(manager, layer_selection_enabled=False)
        for turn in range(60):
            manager.recall(f"what uses part {turn % 20}?")
        assert [layer.calls for layer in layers] == [20, 20, 5]
        last = records(manager)[-1]
        assert (last.cache_hit, last.partial, last.tasks) == (True, True, ())
        until(lambda: "graph" in manager.tuner.contributions.values().get("relational", {}))
        assert set(manager.tuner.contributions.values()["relational"]) == {"semantic", "graph"}


def test_stale_answer_stands_in_for_a_layer_that_is_down_and_is_said_to() -> None:
    clock = Clock(1000.0)

    class Forecast(StubLayer):
        cache_seconds = 10.0
        stale_seconds = 3600.0

    layer = Forecast("forecast", items("sunny"))
    with MemoryManager(":memory:", layers=[layer, StubLayer("good", items("a"))], monotonic=clock) as manager:
        set_config(manager, layer_selection_enabled=False)
        assert manager.recall("q")["_stale"] == {}
        layer.answer = failing
        clock.now += 60.0
        answer = manager.recall("q")
        assert [i["id"] for i in answer["forecast"]] == ["sunny"]
        assert answer["_stale"] == {"forecast": 60.0}
        assert (answer["_partial"], answer["_cache_hit"]) == (True, False)
        assert "no route" in answer["_errors"]["forecast"]
        assert manager.layer_health()["forecast"].stale_answers == 1
        clock.now += 3600.0
        assert "forecast" not in manager.recall("q"), "too old by now"
        assert "forecast" not in manager.recall("never asked before")


def test_hung_layer_leaves_half_of_the_slots_to_the_others() -> None:
    hang = threading.Event()
    hung = StubLayer("hung", lambda query, k, deadline: hang.wait(WAIT) and [])
    with over(hung, StubLayer("good", items("a")), max_concurrent=4, deadline_seconds=0.05) as manager:
        for turn in range(8):
            answer = manager.recall(f"q {turn}", use_cache=False)
            assert [i["id"] for i in answer["good"]] == ["a"]
        assert manager.in_flight == 2
        assert manager.layer_health()["hung"].slots_held == 2
        hang.set()
        until(lambda: manager.in_flight == 0)


@pytest.mark.slow
def test_loop_watchdog_names_the_coroutine_layer_that_blocks_and_does_not_blame_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    end = threading.Event()

    class Blocks:
        name = "blocks"

        async def search(self, query: Any, k: int, deadline: float) -> Any:
            end.wait(WAIT)  # the mistake: nothing is awaited
            return []

    class Waits:
        name = "waits"

        async def search(self, query: Any, k: int, deadline: float) -> Any:
            await asyncio.sleep(0)
            return [{"id": "w", "text": "x"}]

    with over(Blocks(), Waits(), StubLayer("plain", items("p")), deadline_seconds=0.4) as manager:
        for turn in range(6):
            answer = manager.recall(f"q {turn}", use_cache=False)
            assert [i["id"] for i in answer["plain"]] == ["p"]
            assert (
                "blocks the event loop" in answer["_errors"]["blocks"]
                or "left out" in answer["_errors"]["blocks"]
            )
            assert "search, line " in answer["_errors"]["blocks"]
            assert "its event loop is blocked by layer 'blocks'" in answer["_errors"]["waits"]
        until(lambda: manager.layer_health()["blocks"].blocks_loop)
        health = manager.layer_health()
        assert "search, line " in health["blocks"].blocks_loop
        assert health["blocks"].state is BreakerState.OPEN
        assert (health["waits"].state, health["waits"].timeouts) == (BreakerState.CLOSED, 0)
        assert sum("blocks its event loop" in record.getMessage() for record in caplog.records) == 1
        end.set()
        until(lambda: manager.in_flight == 0)
        assert manager.recall("at the end", use_cache=False)["waits"]


def test_loop_watchdog_names_a_layer_that_blocks_the_callers_own_loop() -> None:
    class Blocks:
        name = "blocks"

        async def search(self, query: Any, k: int, deadline: float) -> Any:
            until(lambda: manager.layer_health()["blocks"].blocks_loop)  # blocking, as it should not be
            return []

    with over(Blocks()) as manager:
        asyncio.run(manager.arecall("q"))
        assert "line" in manager.layer_health()["blocks"].blocks_loop


# Being set up, tried and ended


class Lively(StubLayer):
    """A layer with hooks, which are plain functions."""

    def __init__(self, name: str = "lively") -> None:
        super().__init__(name, items("a"))
        self.log: list[str] = []
        self.fails = False

    def open(self) -> None:
        self.log.append("open")
        if self.fails:
            raise ConnectionError("not there yet")

    def close(self) -> None:
        self.log.append("close")


class LivelyCoroutines(Lively):
    """The same, as coroutines that notice the loop they are on."""

    async def open(self) -> None:  # type: ignore[override]
        self.loop = asyncio.get_running_loop()
        super().open()

    async def search(self, query: Any, k: int, deadline: float) -> Any:  # type: ignore[override]
        assert asyncio.get_running_loop() is self.loop
        return super().search(query, k, deadline)

    async def close(self) -> None:  # type: ignore[override]
        assert asyncio.get_running_loop() is self.loop
        super().close()


@pytest.mark.parametrize("kind", [Lively, LivelyCoroutines])
def test_layer_is_opened_before_it_is_asked_and_closed_after_its_last_call(kind: type[Lively]) -> None:
    layer = kind()
    with over(layer) as manager:
        assert layer.log == ["open"]
        assert manager.recall("q")["_errors"] == {}
        assert asyncio.run(manager.arecall("r"))["_errors"] == {}
    assert layer.log == ["open", "close"]


def test_layer_is_closed_only_once_its_calls_have_ended() -> None:
    order: list[str] = []
    started = threading.Event()

    class Slow(StubLayer):
        def search(self, query: Any, k: int, deadline: float) -> Any:
            started.set()
            time.sleep(0.1)
            order.append("answered")
            return []

        def close(self) -> None:
            order.append("closed")

    manager = over(Slow("slow"))
    caller = threading.Thread(target=manager.recall, args=("q",))
    caller.start()
    assert started.wait(WAIT)
    manager.close()
    caller.join(WAIT)
    assert order == ["answered", "closed"]


def test_layer_that_cannot_be_opened_is_left_out_and_opened_later() -> None:
    layer = Lively()
    layer.fails = True
    with MemoryManager(":memory:", layers=[layer, StubLayer("good", items("a"))], breaker=QUICK) as manager:
        set_config(manager, layer_selection_enabled=False)
        answer = manager.recall("q")
        assert "it could not be opened: ConnectionError: not there yet" in answer["_errors"]["lively"]
        assert (answer["_success"], layer.calls) == (True, 0)
        until(lambda: layer.log.count("open") > 2)
        layer.fails = False
        until(lambda: "lively" in manager.recall("r", use_cache=False))
    assert layer.log[-1] == "close"


def test_layer_with_a_probe_is_tried_outside_of_recalls() -> None:
    class Probed(StubLayer):
        fails = True
        probes = 0

        async def probe(self, deadline: float) -> None:
            self.probes += 1
            if self.fails:
                raise ConnectionError("still down")

    layer = Probed("probed", failing)
    with MemoryManager(":memory:", layers=[layer, StubLayer("good", items("a"))], breaker=QUICK) as manager:
        set_config(manager, layer_selection_enabled=False)
        for turn in range(20):
            manager.recall(f"q {turn}", use_cache=False)
        until(lambda: layer.probes > 2)
        assert layer.calls == 5, "no recall tries"
        layer.answer, layer.fails = items("b"), False
        until(lambda: "probed" in manager.recall("again", use_cache=False))


def test_layer_whose_close_fails_or_hangs_does_not_keep_the_manager_from_closing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Bad(StubLayer):
        def close(self) -> None:
            raise RuntimeError("no")

    class Hangs(StubLayer):
        def close(self) -> None:
            end.wait(WAIT)

    end = threading.Event()
    manager = over(Bad("bad"), Hangs("hangs"))
    began = time.monotonic()
    manager.close(timeout_seconds=0.5)
    assert time.monotonic() - began < WAIT / 2
    assert "layer 'bad' was not closed: RuntimeError: no" in caplog.text
    assert "layer 'hangs' was not closed: it takes too long" in caplog.text
    end.set()


@pytest.mark.slow
def test_layer_health_is_posted_to_the_store_for_whoever_looks_from_outside() -> None:
    store = MemoryStore()
    with MemoryManager(
        ":memory:", layers=[StubLayer("dead", failing)], store=store, worker_id="w1"
    ) as manager:
        for turn in range(20):
            manager.recall(f"q {turn}", use_cache=False)
        until(lambda: "open" in store.posted("layers").get("w1", ""))
        (posted,) = json.loads(store.posted("layers")["w1"])
        assert (posted["layer"], posted["state"], posted["calls"]) == ("dead", "open", 5)
