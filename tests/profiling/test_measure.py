"""Queries of any system are measured: times, layers, overlap, failures; by ``with`` and by decorators."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from athena_tuning.model import ConfigSet, ConfigVersion, Mode, QueryMetrics, TaskOutcome, TuningConfig
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.measure import Measure


class Timer:
    """Seconds that pass only when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def spend(self, ms):
        self.now += ms / 1000


@pytest.fixture
def timer():
    return Timer()


@pytest.fixture
def seen():
    return []


@pytest.fixture
def measure(timer, seen):
    return Measure(lambda query: seen.append(query.metrics()), clock=lambda: 1.7e9, timer=timer)


def configs_at(version, **by_type):
    def at(number, scope="all"):
        return ConfigVersion(number, 0, scope, TuningConfig(), Mode.PINNED, "ana", "try", 1.0)

    return ConfigSet(version, at(version), {scope: at(n, scope) for scope, n in by_type.items()})


def test_a_query_and_its_layers_are_measured(measure, timer, seen):
    with measure("last deploy?", "temporal") as query:
        timer.spend(1)
        with query.layer("semantic") as layer:
            timer.spend(5)
            layer.result_count = 3
        with query.layer("graph", queue_ms=0.5) as layer:
            timer.spend(2)
            layer.result_count = 4
        timer.spend(1)
    [m] = seen
    assert (m.query_text, m.query_type, m.timestamp) == ("last deploy?", "temporal", 1.7e9)
    assert m.latency_ms == pytest.approx(9)
    assert m.layer_latencies == pytest.approx({"semantic": 5, "graph": 2})
    assert (m.success, m.partial, m.error, m.result_count, m.source) == (True, False, None, 7, "live")
    assert (m.parallel_execution, m.concurrency_level) == (False, 1)
    assert [(t.layer, t.result_count, t.in_flight, t.outcome) for t in m.tasks] == [
        ("semantic", 3, 1, TaskOutcome.OK),
        ("graph", 4, 1, TaskOutcome.OK),
    ]
    assert [t.offset_ms for t in m.tasks] == pytest.approx([1, 5.5])
    assert [t.queue_ms for t in m.tasks] == [0, 0.5]


def test_what_nobody_told_is_unknown(measure, seen):
    with measure("q"):
        pass
    [m] = seen
    assert m.cache_hit is m.memory_mb is m.result_count is m.user_satisfaction is None
    assert (m.layers_queried, m.query_type) == ([], "unknown")


def test_what_is_told_is_recorded(measure, seen):
    measure.configs = configs_at(7)
    with measure("q", query_id="mine") as query:
        query.query_type, query.cache_hit, query.result_count = "factual", True, 0
        query.memory_mb, query.user_satisfaction = 1.5, 0.5
    [m] = seen
    assert (m.query_id, m.query_type, m.cache_hit, m.result_count) == ("mine", "factual", True, 0)
    assert (m.memory_mb, m.user_satisfaction, m.config_version) == (1.5, 0.5, 7)


def test_overlapping_layers_are_parallel(measure, timer, seen):
    with measure("q") as query:
        with query.layer("semantic"):
            timer.spend(1)
            with query.layer("graph"):
                timer.spend(3)
        with query.layer("episodic"):
            timer.spend(1)
    [m] = seen
    assert (m.parallel_execution, m.concurrency_level) == (True, 2)
    assert m.layers_queried == ["semantic", "graph", "episodic"]
    assert m.layer_latencies == pytest.approx({"semantic": 4, "graph": 3, "episodic": 1})
    assert {t.layer: t.in_flight for t in m.tasks} == {"semantic": 1, "graph": 2, "episodic": 1}


def test_a_layer_that_is_asked_again_is_one_task(measure, timer, seen):
    with measure("q") as query:
        for found in (1, 2):
            with query.layer("semantic") as layer:
                timer.spend(2)
                layer.result_count = found
            timer.spend(10)
    [m] = seen
    assert m.layer_latencies == pytest.approx({"semantic": 4})
    assert [(t.layer, t.result_count) for t in m.tasks] == [("semantic", 3)]


def test_a_layer_that_fails_leaves_a_partial_answer(measure, timer, seen):
    with measure("q") as query:
        with pytest.raises(TimeoutError), query.layer("graph"):
            raise TimeoutError
        with query.layer("semantic"):
            pass
    [m] = seen
    assert (m.success, m.partial, m.error) == (True, True, "graph: timeout")
    assert [t.outcome for t in m.tasks] == [TaskOutcome.TIMEOUT, TaskOutcome.OK]


def test_a_query_whose_layers_all_fail_fails(measure, seen):
    with measure("q") as query, pytest.raises(OSError, match="disk"), query.layer("graph"):
        raise OSError("disk")
    assert (seen[0].success, seen[0].partial, seen[0].error) == (False, False, "graph: error")


def test_an_exception_passes_through_and_the_query_failed(measure, seen):
    with pytest.raises(OSError, match="disk"), measure("q"):
        raise OSError("disk")
    assert (seen[0].success, seen[0].error) == (False, "OSError: disk")


def test_of_a_cancelled_query_nobody_knows_how_it_would_have_ended(measure, seen):
    async def cancelled():
        async with measure("q") as query, query.layer("graph"):
            await asyncio.sleep(3600)

    async def main():
        task = asyncio.ensure_future(cancelled())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert (seen[0].success, seen[0].latency_ms, seen[0].error) == (None, None, "CancelledError: ")


def test_layers_as_tasks_of_an_event_loop(measure, timer, seen):
    async def main():
        both = asyncio.Barrier(2)

        async def ask(query, name):
            async with query.layer(name):
                await both.wait()
                timer.spend(1)

        async with measure("q") as query:
            await asyncio.gather(ask(query, "semantic"), ask(query, "graph"))

    asyncio.run(main())
    assert (seen[0].parallel_execution, seen[0].concurrency_level) == (True, 2)


def test_layers_in_threads_and_queries_at_once(seen):
    measure = Measure(lambda query: seen.append(query.metrics()))
    barrier = threading.Barrier(3)

    def ask(query, name):
        with query.layer(name):
            barrier.wait(10)

    def search(text):
        with measure(text) as query, ThreadPoolExecutor(3) as pool:
            list(pool.map(ask, [query] * 3, ["semantic", "graph", "episodic"]))

    for n in range(5):
        search(f"q{n}")
    assert [m.concurrency_level for m in seen] == [3] * 5
    assert {max(t.in_flight for t in m.tasks) for m in seen} == {3}
    assert len({m.query_id for m in seen}) == 5
    assert measure._running == []


def test_a_layer_that_ends_after_its_query_is_not_waited_for(measure, seen):
    with measure("q") as query:
        late = query.layer("graph")
        late.__enter__()
    late.__exit__(None, None, None)
    assert (seen[0].layers_queried, seen[0].success) == ([], True)
    assert measure._running == []


def test_decorated_functions_are_queries_and_layers(measure, seen):
    @measure.layer("semantic")
    def semantic(text):
        return text.upper()

    @measure.query("factual")
    def search(text, k=3):
        return semantic(text)

    assert (search("tea"), search(text="milk"), semantic("outside")) == ("TEA", "MILK", "OUTSIDE")
    assert [(m.query_text, m.query_type, m.layers_queried) for m in seen] == [
        ("tea", "factual", ["semantic"]),
        ("milk", "factual", ["semantic"]),
    ]
    assert search.__name__ == "search"


def test_decorated_coroutines_know_their_own_query(measure, seen):
    @measure.layer("graph")
    async def graph(text):
        await asyncio.sleep(0)

    @measure.query("relational", text=lambda where, text: f"{text} in {where}")
    async def search(where, text):
        await asyncio.gather(graph(text), graph(text))

    async def main():
        await asyncio.gather(search("a", "x"), search("b", "y"))

    asyncio.run(main())
    assert sorted((m.query_text, m.layers_queried[0], len(m.tasks)) for m in seen) == [
        ("x in a", "graph", 1),
        ("y in b", "graph", 1),
    ]


def test_what_yields_is_not_measured_by_its_call(measure):
    def stream(text):
        yield text

    async def astream(text):
        yield text

    for function in (stream, astream):
        with pytest.raises(TypeError, match=r"stream yields, .* by `with`"):
            measure.query("factual")(function)
        with pytest.raises(TypeError, match="yields"):
            measure.layer("semantic")(function)


def test_a_decorated_function_passes_its_exception(measure, seen):
    @measure.query()
    def search(text):
        raise KeyError(text)

    with pytest.raises(KeyError):
        search("tea")
    assert seen[0].success is False


def test_the_version_is_that_of_the_querys_type_as_it_began(measure, seen):
    measure.configs = configs_at(4, meta=3)
    for query_type in ("factual", "meta"):
        with measure("q", query_type):
            measure.configs = configs_at(5, meta=3)
    assert [m.config_version for m in seen] == [4, 3]


def test_a_measured_query_leaves_nothing_to_the_garbage_collector():
    profiler = PerformanceProfiler()
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            with profiler.measure("q", "factual") as query, query.layer("semantic"):
                pass
            profiler.fold()
        del query
        assert gc.collect() < 50
    finally:
        gc.enable()


def test_a_layer_whose_name_is_none_spoils_its_own_record_only():
    profiler = PerformanceProfiler()
    for name in ("semantic", ["no", "name"], "graph"):
        with profiler.measure("q") as query, query.layer(name):
            pass
    assert [m.layers_queried for m in profiler.metrics] == [["semantic"], ["graph"]]
    assert profiler.counters["rejected_not_a_record"] == 1


def test_the_profiler_takes_every_record_as_it_is():
    profiler = PerformanceProfiler()
    for n in range(20):
        with profiler.measure(f"q{n}", "factual") as query:
            for layer in ("semantic", "graph"):
                with query.layer(layer):
                    pass
    profiler.fold()
    odd = {name for name in profiler.counters if name.startswith(("rejected", "normalised"))}
    assert odd <= {"normalised_accuracy"}
    assert profiler.counters["recorded"] == len(profiler.metrics) == 20
    assert isinstance(profiler.metrics[0], QueryMetrics)
    assert profiler.get_layer_metrics("graph").total_queries == 20


def test_a_query_tells_what_was_used_of_its_layers(measure):
    with measure("tea?") as query:
        assert query.uses is None
        query.used("semantic")
        query.used("semantic", 2)
        query.used("graph", 0)
    assert query.uses == {"semantic": 3, "graph": 0}


@pytest.mark.parametrize("results", [-1, 1.5, True, "2"])
def test_what_was_used_is_a_whole_number(measure, results):
    with measure("tea?") as query, pytest.raises(ValueError, match="a whole number from 0 on"):
        query.used("semantic", results)


def test_what_was_used_is_told_before_the_query_ends(measure):
    with measure("tea?") as query:
        pass
    with pytest.raises(RuntimeError, match="has ended: tell it inside its `with`"):
        query.used("semantic")
