"""The executor: one pool, one loop, one limit; timeouts reach the task; nothing leaks."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from athena_tuning.model import TaskOutcome
from athena_tuning.recall.execution.event_loop import LoopThread
from athena_tuning.recall.execution.executor import ParallelLayerExecutor
from athena_tuning.recall.execution.fanout import QueryTask
from athena_tuning.testing.clock import Clock
from athena_tuning.testing.waiting import until

WAIT = 30.0


class Gauge:
    """Counts who is inside, and how many were at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inside = self.most = 0

    @contextmanager
    def entered(self) -> Iterator[None]:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        try:
            yield
        finally:
            with self._lock:
                self.inside -= 1


class Hung:
    """A call that ends only when it is told to."""

    def __init__(self) -> None:
        self.started, self.end, self.ended = threading.Event(), threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.started.set()
        assert self.end.wait(WAIT)
        self.ended.set()
        return "late"


@pytest.fixture
def executor() -> Iterator[ParallelLayerExecutor]:
    with ParallelLayerExecutor(4) as made:
        yield made


def test_results_come_by_layer_in_the_order_of_the_tasks(executor: ParallelLayerExecutor) -> None:
    results = executor.execute_parallel_sync([QueryTask(n, str.upper, (n,)) for n in ("b", "a", "c")])
    assert {name: r.result for name, r in results.items()} == {"b": "B", "a": "A", "c": "C"}
    assert list(results) == ["b", "a", "c"]
    assert all(r.success and r.outcome is TaskOutcome.OK and r.elapsed_ms >= 0 for r in results.values())
    assert set(executor.latest_layer_latencies) == {"a", "b", "c"}


@pytest.mark.parametrize("how", ["in turn", "threads", "coroutines", "the caller's loop"])
def test_a_run_leaves_nothing_to_the_garbage_collector(executor: ParallelLayerExecutor, how: str) -> None:
    async def later(text: str) -> str:
        await asyncio.sleep(0)
        return text

    class Text(str):
        """Text that a weak reference can be had of."""

    def asked() -> list[weakref.ref[Text]]:
        texts = [Text(n) for n in "abc"]
        search = str.upper if how in ("in turn", "threads") else later
        local, on_caller_loop = how == "in turn", how == "the caller's loop"
        tasks = [
            QueryTask(str(text), search, (text,), keeps_deadline=local, on_caller_loop=on_caller_loop)
            for text in texts
        ]
        if on_caller_loop:
            assert len(asyncio.run(executor.execute_parallel(tasks))) == 3
        else:
            assert len(executor.run(tasks, parallel=not local)) == 3
        return [weakref.ref(text) for text in texts]

    gc.disable()
    try:
        left = asked()
        until(lambda: not any(text() for text in left))
    finally:
        gc.enable()


def test_positional_and_keyword_arguments_and_the_deadline_reach_the_function(
    executor: ParallelLayerExecutor,
) -> None:
    seen = []
    task = QueryTask("x", lambda *a, **kw: seen.append((a, kw)), ("q",), {"k": 3}, 2.0, takes_deadline=True)
    before = time.monotonic()
    executor.run([task])
    (text, deadline), kwargs = seen[0]
    assert (text, kwargs) == ("q", {"k": 3})
    assert before + 2.0 <= deadline <= time.monotonic() + 2.0


def test_32_threads_never_have_more_tasks_in_flight_than_the_limit_while_it_is_resized() -> None:
    gauge, limits = Gauge(), (3, 7, 2, 5, 6)

    def task() -> None:
        with gauge.entered():
            threading.Event().wait(0.001)

    with ParallelLayerExecutor(4) as executor:

        def client(number: int) -> None:
            for turn in range(6):
                results = executor.run([QueryTask(str(i), task) for i in range(4)])
                assert all(r.success and 1 <= r.in_flight <= 7 for r in results)
                if number == 0:
                    executor.max_concurrent = limits[turn % len(limits)]

        threads = [threading.Thread(target=client, args=(n,)) for n in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        assert not any(thread.is_alive() for thread in threads)
        assert 2 <= gauge.most <= 7
        assert (executor.in_flight, executor.waiting) == (0, 0)
        assert executor.get_stats()["threads"] <= 7


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


def test_a_timed_out_function_is_given_up_and_holds_its_slot_until_it_ends() -> None:
    hung = Hung()
    with ParallelLayerExecutor(2) as executor:
        slow, quick = executor.run([QueryTask("slow", hung, timeout_seconds=0.05), QueryTask("quick", int)])
        assert (slow.success, slow.outcome, quick.result) == (False, TaskOutcome.TIMEOUT, 0)
        assert slow.elapsed_ms >= 50
        assert "0.05 s" in (slow.error or "")
        assert executor.in_flight == 1, "the call still runs, so its slot is taken"
        hung.end.set()
        until(lambda: executor.in_flight == 0)
        assert hung.ended.is_set()


def test_with_every_slot_held_by_calls_that_do_not_end_queries_fail_after_their_patience() -> None:
    hung = Hung()
    with ParallelLayerExecutor(1, patience_seconds=0.05) as executor:
        executor.run([QueryTask("slow", hung, timeout_seconds=0.01)])
        (waited,) = executor.run([QueryTask("next", int)])
        assert (waited.outcome, waited.in_flight, waited.elapsed_ms) == (TaskOutcome.TIMEOUT, 0, 0.0)
        assert waited.queue_ms >= 50
        assert executor.waiting == 0
        hung.end.set()
        until(lambda: executor.in_flight == 0)
        assert executor.run([QueryTask("next", int)])[0].success


def test_waiting_for_a_slot_does_not_count_as_service_time() -> None:
    hung = Hung()
    with ParallelLayerExecutor(1) as executor:
        first = threading.Thread(target=executor.run, args=([QueryTask("first", hung)],))
        first.start()
        assert hung.started.wait(WAIT)
        held: list[float] = []
        second = threading.Thread(
            target=lambda: held.extend(
                (r.queue_ms, r.elapsed_ms) for r in executor.run([QueryTask("x", int, timeout_seconds=0.02)])
            )
        )
        second.start()
        until(lambda: executor.waiting == 1)
        threading.Event().wait(0.05)  # longer than its timeout: only the wait for the slot may grow
        hung.end.set()
        second.join(WAIT)
        first.join(WAIT)
        ((queue_ms, service_ms),) = held
        assert queue_ms >= 50
        assert service_ms < 20


def test_the_deadline_of_the_whole_gives_what_there_is() -> None:
    hung = Hung()
    with ParallelLayerExecutor(1) as executor:
        quick, slow, never = executor.run(
            [QueryTask("quick", int), QueryTask("slow", hung), QueryTask("never", int)],
            deadline=time.monotonic() + 0.05,
        )
        assert quick.success
        assert (slow.outcome, never.outcome) == (TaskOutcome.TIMEOUT, TaskOutcome.TIMEOUT)
        assert (slow.in_flight, never.in_flight) == (1, 0)
        assert executor.waiting == 0
        hung.end.set()
        until(lambda: executor.in_flight == 0)


def test_a_function_that_keeps_its_deadline_runs_in_the_callers_thread(
    executor: ParallelLayerExecutor,
) -> None:
    tasks = [QueryTask(n, threading.get_ident, keeps_deadline=True) for n in "abc"]
    one_by_one = executor.run(tasks, parallel=False)
    assert {r.result for r in one_by_one} == {threading.get_ident()}
    assert executor.get_stats()["threads"] == 0
    at_once = executor.run(tasks)
    assert [r.result == threading.get_ident() for r in at_once] == [True, False, False]


def test_sequential_tasks_run_one_after_another(executor: ParallelLayerExecutor) -> None:
    gauge = Gauge()

    def task() -> None:
        with gauge.entered():
            threading.Event().wait(0.001)

    executor.run([QueryTask(str(i), task) for i in range(5)], parallel=False)
    assert gauge.most == 1
    executor.enable_parallel = False
    executor.run([QueryTask(str(i), task) for i in range(5)])
    assert gauge.most == 1


def test_one_failure_leaves_the_others_alone(executor: ParallelLayerExecutor) -> None:
    def fail() -> None:
        raise LookupError("no index")

    async def fail_too() -> None:
        raise KeyError("gone")

    def quit_thread() -> None:
        raise SystemExit(1)

    tasks = [QueryTask("a", fail), QueryTask("b", fail_too), QueryTask("c", quit_thread), QueryTask("d", int)]
    results = executor.execute_parallel_sync(tasks)
    assert [results[n].outcome for n in "abc"] == [TaskOutcome.ERROR] * 3
    assert results["a"].error == "LookupError: no index"
    assert results["d"].success
    assert executor.in_flight == 0


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


def test_closing_leaves_no_thread_and_no_loop() -> None:
    before = set(threading.enumerate())

    async def coroutine() -> None:
        await asyncio.sleep(0)

    executor = ParallelLayerExecutor(4)
    executor.run([QueryTask("a", int), QueryTask("b", int), QueryTask("c", coroutine)])
    executor.close()
    executor.close()
    assert set(threading.enumerate()) <= before
    with pytest.raises(RuntimeError, match="closed"):
        executor.run([QueryTask("a", int)])


def test_stats_count_what_was_run(executor: ParallelLayerExecutor) -> None:
    def fail() -> None:
        raise OSError("down")

    executor.run([QueryTask("a", int), QueryTask("b", fail)])
    executor.run([QueryTask("a", int)])
    stats = executor.get_stats()
    assert (stats["total_queries"], stats["parallel_queries"], stats["failed_tasks"]) == (2, 1, 1)
    assert stats["parallel_percentage"] == 50.0


def test_coroutines_that_hand_over_to_the_loops_own_pool_run_as_wide_as_the_limit():
    """One after another in a pool of a few threads they would take several times as long as one of them."""
    together = threading.Barrier(18, timeout=10)

    async def search():
        return await asyncio.get_running_loop().run_in_executor(None, together.wait)

    with ParallelLayerExecutor(max_concurrent=18) as executor:
        results = executor.execute_parallel_sync([QueryTask(f"layer {n}", search) for n in range(18)])
    assert all(result.success for result in results.values())


def test_what_was_run_and_failed_is_counted():
    def fail():
        raise OSError("down")

    with ParallelLayerExecutor() as executor:
        executor.execute_parallel_sync([QueryTask("a", str), QueryTask("b", fail)])
        executor.execute_parallel_sync([QueryTask("a", str)])
        seen = executor.total_parallel_queries, executor.total_sequential_queries, executor.failed_tasks
    assert seen == (1, 1, 1)
