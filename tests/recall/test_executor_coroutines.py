"""The executor's coroutines: one loop for all, cancelled in time; callers wait with and without a loop."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections import Counter
from functools import partial

import pytest

from athena_tuning.model import TaskOutcome
from athena_tuning.recall.execution.event_loop import LoopThread
from athena_tuning.recall.execution.executor import ParallelLayerExecutor
from athena_tuning.recall.execution.fanout import QueryTask
from athena_tuning.testing.clock import Clock
from athena_tuning.testing.waiting import until
from tests.support.slow_calls import Gauge, Hung

WAIT = 30.0


def test_the_limit_holds_over_functions_and_coroutines_together() -> None:
    gauge = Gauge()

    def function() -> None:
        with gauge.entered():
            threading.Event().wait(0.002)

    async def coroutine() -> None:
        with gauge.entered():
            await asyncio.sleep(0.002)

    async def main(executor: ParallelLayerExecutor) -> None:
        tasks = [QueryTask("f", function), QueryTask("c", coroutine)]
        results = await asyncio.gather(*(executor.arun(tasks) for _ in range(60)))
        assert all(r.success for rs in results for r in rs)

    with ParallelLayerExecutor(3) as executor:
        asyncio.run(main(executor))
    assert 2 <= gauge.most <= 3


def test_executor_awaits_what_a_function_returns(executor: ParallelLayerExecutor) -> None:
    async def search() -> str:
        await asyncio.sleep(0)
        return threading.current_thread().name

    class Searcher:
        async def __call__(self) -> str:
            return await search()

    @functools.wraps(search)
    def wrapped():
        return search()

    for task in (lambda: search(), wrapped, Searcher(), functools.partial(search)):  # noqa: PLW0108
        for keeps_deadline in (False, True):
            (result,) = executor.run([QueryTask("x", task, keeps_deadline=keeps_deadline)])
            assert (result.result, result.error) == ("layer-loop", None)
    assert executor.in_flight == 0


def test_coroutines_take_no_thread_each() -> None:
    together = 200
    arrived, everybody = [0], asyncio.Event()

    async def meet() -> str:
        arrived[0] += 1
        if arrived[0] == together:
            everybody.set()
        await asyncio.wait_for(everybody.wait(), WAIT)  # ends only if all are in flight at once
        return threading.current_thread().name

    async def main(executor: ParallelLayerExecutor) -> set[str]:
        tasks = [QueryTask("c", meet)]
        results = await asyncio.gather(*(executor.arun(tasks) for _ in range(together)))
        assert threading.active_count() <= before + 1
        return {r.result for (r,) in results}

    before = threading.active_count()
    with ParallelLayerExecutor(together) as executor:
        assert asyncio.run(main(executor)) == {"layer-loop"}
        assert executor.get_stats()["threads"] == 0


def test_a_timed_out_coroutine_is_cancelled(executor: ParallelLayerExecutor) -> None:
    cancelled = threading.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    (result,) = executor.run([QueryTask("x", hang, timeout_seconds=0.02)])
    assert result.outcome is TaskOutcome.TIMEOUT
    assert cancelled.wait(WAIT)
    until(lambda: executor.in_flight == 0)


def test_awaiting_blocks_no_loop(executor: ParallelLayerExecutor) -> None:
    hung = Hung()

    async def main() -> None:
        waiting = asyncio.ensure_future(executor.execute_parallel([QueryTask("x", hung)]))
        while not hung.started.is_set():
            await asyncio.sleep(0)  # the loop turns although the call is under way
        hung.end.set()
        assert (await waiting)["x"].result == "late"

    asyncio.run(main())


def test_the_synchronous_call_works_inside_a_running_loop(executor: ParallelLayerExecutor) -> None:
    async def coroutine() -> str:
        return "from the other loop"

    async def main() -> None:
        results = executor.execute_parallel_sync([QueryTask("c", coroutine), QueryTask("f", int)])
        assert (results["c"].result, results["f"].result) == ("from the other loop", 0)

    asyncio.run(main())


def test_the_synchronous_call_on_the_executors_own_loop_is_refused(executor: ParallelLayerExecutor) -> None:
    async def nested() -> None:
        executor.run([QueryTask("x", int)])

    (result,) = executor.run([QueryTask("nested", nested)])
    assert "await" in (result.error or "")


def test_cancelling_the_caller_gives_up_its_tasks(executor: ParallelLayerExecutor) -> None:
    hung, waits, cancelled = Hung(), threading.Event(), threading.Event()

    async def hang() -> None:
        try:
            waits.set()
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def main() -> None:
        tasks = [QueryTask("f", hung), QueryTask("c", hang)]
        waiting = asyncio.ensure_future(executor.arun(tasks))
        while not (hung.started.is_set() and waits.is_set()):
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    assert cancelled.wait(WAIT)
    hung.end.set()
    until(lambda: executor.in_flight == 0)


def test_an_answer_after_a_closed_loop_hurts_nobody(executor: ParallelLayerExecutor) -> None:
    hung = Hung()
    loop = asyncio.new_event_loop()
    task = loop.create_task(executor.arun([QueryTask("x", hung)]))
    loop.run_until_complete(asyncio.sleep(0))
    assert hung.started.wait(WAIT)
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    hung.end.set()
    until(lambda: executor.in_flight == 0)


def test_coroutine_that_its_loop_could_not_start_for_long_is_started_once() -> None:
    clock, calls = Clock(0.0), Counter[str]()
    blocked, unblocked = threading.Event(), threading.Event()

    async def blocks() -> str:
        blocked.set()
        unblocked.wait(WAIT)  # the mistake: nothing is awaited
        return "b"

    async def waits() -> str:
        calls["waits"] += 1
        for _ in range(100):
            await asyncio.sleep(0)
        return "w"

    with ParallelLayerExecutor(2, clock=clock) as executor:
        answers: dict[str, object] = {}

        def recall() -> None:
            results = executor.execute_parallel_sync([QueryTask("blocks", blocks), QueryTask("waits", waits)])
            answers.update({name: result.result for name, result in results.items()})

        caller = threading.Thread(target=recall)
        caller.start()
        assert blocked.wait(WAIT)
        until(lambda: executor.in_flight == 2)
        for _ in range(3):
            clock.now += 1.0
            executor.sweep()
        unblocked.set()
        caller.join(WAIT)
        assert answers == {"blocks": "b", "waits": "w"}
        assert calls["waits"] == 1
        until(lambda: executor.in_flight == 0)
        assert executor.ledger.given == executor.ledger.returned == 2


def test_loop_thread_calls_everything_that_threads_submit_at_once() -> None:
    loop, called = LoopThread(), Counter[int]()

    def submit(number: int) -> None:
        for _ in range(500):
            loop.submit(partial(called.update, [number]))

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: called.total() == 2000)
    loop.close(WAIT)


def test_coroutines_that_hand_over_to_the_loops_own_pool_run_as_wide_as_the_limit():
    """One after another in a pool of a few threads they would take several times as long as one of them."""
    together = threading.Barrier(18, timeout=10)

    async def search():
        return await asyncio.get_running_loop().run_in_executor(None, together.wait)

    with ParallelLayerExecutor(max_concurrent=18) as executor:
        results = executor.execute_parallel_sync([QueryTask(f"layer {n}", search) for n in range(18)])
    assert all(result.success for result in results.values())
