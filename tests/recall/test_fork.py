"""A manager that was made before its process forked recalls in the child as well."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from athena_tuning.recall import ParallelLayerExecutor, QueryTask
from tests.support.forked import forked
from tests.support.memory_layers import StubLayer, items, over

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


class Remote:
    name = "remote"

    async def search(self, query: Any, k: int, deadline: float) -> Any:
        await asyncio.sleep(0)
        return [{"id": "r", "text": "x"}]


def test_fork_of_an_executor_has_threads_a_loop_and_all_slots_of_its_own() -> None:
    hang, started = threading.Event(), threading.Event()

    def hung() -> None:
        started.set()
        hang.wait(60)

    async def coroutine() -> str:
        await asyncio.sleep(0)
        return threading.current_thread().name

    def work() -> Any:
        results = executor.run([QueryTask("thread", str.upper, ("tea",)), QueryTask("loop", coroutine)])
        return [result.result for result in results], executor.in_flight, executor.max_concurrent

    with ParallelLayerExecutor(2) as executor:
        assert executor.run([QueryTask("loop", coroutine)])[0].success
        executor.run([QueryTask(name, hung, timeout_seconds=0.01) for name in ("hangs", "hangs too")])
        assert started.wait(60)
        assert executor.in_flight == 2, "both slots are held here"
        assert forked(work) == (["TEA", "layer-loop"], 0, 2)
        assert executor.in_flight == 2
        hang.set()


@pytest.mark.slow
def test_fork_of_a_manager_recalls_with_all_layers_while_others_recall_in_the_parent() -> None:
    with over(
        StubLayer("thread", items("t")), Remote(), StubLayer("more", items("m")), max_concurrent=2
    ) as manager:
        over_now = threading.Event()

        def others() -> None:
            turn = 0
            while not over_now.is_set():
                turn += 1
                manager.recall(f"of the parent {turn % 3}")

        threads = [threading.Thread(target=others) for _ in range(3)]
        for thread in threads:
            thread.start()

        def work() -> Any:
            answers = [manager.recall(f"of the child {turn}") for turn in range(3)]
            answers += [manager.recall("of the parent 1"), asyncio.run(manager.arecall("awaited"))]
            return [sorted(answer["_errors"]) for answer in answers], manager.in_flight

        try:
            for _ in range(5):
                assert forked(work) == ([[]] * 5, 0)
        finally:
            over_now.set()
            for thread in threads:
                thread.join(60)
        assert manager.recall("at the end")["_errors"] == {}


@pytest.mark.slow
def test_fork_opens_layers_anew_that_were_opened_in_the_parent() -> None:
    class Opened(StubLayer):
        opened = 0

        def open(self) -> None:
            self.opened += 1

    layer = Opened("opened", items("o"))

    def work() -> Any:
        for turn in range(2000):
            answer = manager.recall(f"q {turn}", use_cache=False)
            if not answer["_errors"]:
                return layer.opened
            threading.Event().wait(0.005)
        return answer["_errors"]

    with over(layer, StubLayer("good", items("g"))) as manager:
        assert layer.opened == 1
        assert forked(work) == 2
        assert manager.recall("q")["_errors"] == {}
        assert layer.opened == 1
