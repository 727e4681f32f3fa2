"""Work that one event loop does for others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from athena_tuning.cluster.loop_calls import LoopBridge, LoopCalls
from athena_tuning.testing.waiting import until


class CountedWakeUps:
    """A loop that counts how often it is woken; what it is to call is called by hand."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def call_soon_threadsafe(self, call: Any, context: object) -> None:
        self.calls.append(call)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give a loop that runs in another thread."""
    running = asyncio.new_event_loop()
    thread = threading.Thread(target=running.run_forever)
    thread.start()
    yield running
    running.call_soon_threadsafe(running.stop)
    thread.join()
    running.close()


def test_calls_that_come_before_the_loop_looks_share_a_wake_up() -> None:
    loop, called = CountedWakeUps(), []
    calls = LoopCalls(loop)  # type: ignore[arg-type]
    for n in range(100):
        calls.put(called.append, n)
    assert len(loop.calls) == 1
    loop.calls[0]()
    assert called == list(range(100))


def test_call_that_puts_in_another_one_wakes_the_loop_again() -> None:
    loop, called = CountedWakeUps(), []
    calls = LoopCalls(loop)  # type: ignore[arg-type]
    calls.put(lambda: calls.put(called.append, "second"))
    loop.calls.pop()()
    assert called == []
    loop.calls.pop()()
    assert called == ["second"]


def test_closed_loop_is_said_every_time() -> None:
    closed = asyncio.new_event_loop()
    closed.close()
    calls = LoopCalls(closed)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="closed"):
            calls.put(print)


def test_results_and_errors_come_back_from_the_other_loop(loop: asyncio.AbstractEventLoop) -> None:
    bridge = LoopBridge(loop)

    async def work(n: int) -> int:
        await asyncio.sleep(0)
        assert asyncio.get_running_loop() is loop
        if n % 2:
            raise ValueError(f"odd: {n}")
        return n

    async def run() -> list[Any]:
        return await asyncio.gather(*[bridge.arun(work(n)) for n in range(200)], return_exceptions=True)

    came = asyncio.run(run())
    assert [c if isinstance(c, int) else str(c) for c in came] == [
        f"odd: {n}" if n % 2 else n for n in range(200)
    ]


def test_cancelling_the_caller_cancels_the_work(loop: asyncio.AbstractEventLoop) -> None:
    bridge, begun, ended = LoopBridge(loop), threading.Event(), []

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def run() -> None:
        caller = asyncio.ensure_future(bridge.arun(work()))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller

    asyncio.run(run())
    until(lambda: ended == ["cancelled"])


def test_work_whose_callers_loop_has_closed_goes_on_to_its_end(loop: asyncio.AbstractEventLoop) -> None:
    bridge, go_on, ended = LoopBridge(loop), threading.Event(), []

    async def work() -> None:
        while not go_on.is_set():
            await asyncio.sleep(0.001)
        ended.append("well")

    caller = asyncio.new_event_loop()
    left = caller.create_task(bridge.arun(work()))
    caller.run_until_complete(asyncio.sleep(0.01))
    left._log_destroy_pending = False  # type: ignore[attr-defined]  # it is left behind on purpose
    caller.close()
    go_on.set()
    until(lambda: ended == ["well"])


def test_thread_waits_for_work_on_the_loop_and_gets_what_came_of_it(loop: asyncio.AbstractEventLoop) -> None:
    bridge = LoopBridge(loop)

    async def work(n: int) -> int:
        await asyncio.sleep(0)
        if n < 0:
            raise ValueError("below zero")
        return n

    assert bridge.run(work(7)) == 7
    with pytest.raises(ValueError, match="below zero"):
        bridge.run(work(-1))


def test_work_that_a_thread_no_longer_waits_for_is_cancelled(loop: asyncio.AbstractEventLoop) -> None:
    bridge, ended = LoopBridge(loop), []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("ended")

    with pytest.raises(TimeoutError):
        bridge.run(work(), 0.01)
    until(lambda: ended == ["ended"])
