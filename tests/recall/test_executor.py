"""The executor: one pool, one limit; timeouts reach the task; nothing leaks."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref

import pytest

from athena_tuning.model import TaskOutcome
from athena_tuning.recall.execution.executor import ParallelLayerExecutor
from athena_tuning.recall.execution.fanout import QueryTask
from athena_tuning.testing.waiting import until
from tests.support.slow_calls import Gauge, Hung

WAIT = 30.0


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


def test_what_was_run_and_failed_is_counted():
    def fail():
        raise OSError("down")

    with ParallelLayerExecutor() as executor:
        executor.execute_parallel_sync([QueryTask("a", str), QueryTask("b", fail)])
        executor.execute_parallel_sync([QueryTask("a", str)])
        seen = executor.total_parallel_queries, executor.total_sequential_queries, executor.failed_tasks
    assert seen == (1, 1, 1)
