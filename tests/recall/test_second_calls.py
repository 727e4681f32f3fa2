"""Second calls of slow layers: the first answer counts, within one budget, and only where there is room."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from athena_tuning.hedging import SHARE
from athena_tuning.model import TaskOutcome, TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.execution.executor import ParallelLayerExecutor
from athena_tuning.recall.execution.task import ExecutionResult, QueryTask
from athena_tuning.testing.waiting import until

KNOWN = [ExecutionResult("remote", True, elapsed_ms=2.0)] * 1000


class Slow:
    """A layer whose first call of a question waits until it is let go; others answer at once."""

    def __init__(self) -> None:
        self.calls = 0
        self.let_go = threading.Event()
        self.cancelled = 0
        self.error: Exception | None = None

    def call(self) -> str:
        self.calls += 1
        if self.calls == 1:
            self.let_go.wait(20)
            return "first"
        if self.error is not None:
            raise self.error
        return "second"

    async def acall(self) -> str:
        self.calls += 1
        if self.calls == 1:
            try:
                while not self.let_go.is_set():
                    await asyncio.sleep(0.002)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            return "first"
        if self.error is not None:
            raise self.error
        return "second"


def executor(limit: int = 10) -> ParallelLayerExecutor:
    made = ParallelLayerExecutor(limit)
    made.second_calls.learn(KNOWN)
    return made


def run_once(
    with_: ParallelLayerExecutor, function: Callable[..., Any], timeout: float = 10.0
) -> ExecutionResult:
    after = with_.second_calls.delay("remote")
    [result] = with_.run([QueryTask("remote", function, timeout_seconds=timeout, second_after=after)])
    return result


def of(slow: Slow, kind: str) -> Callable[..., Any]:
    return slow.acall if kind == "coroutine" else slow.call


KINDS = pytest.mark.parametrize("kind", ["function", "coroutine"])


@KINDS
def test_the_second_call_answers_where_the_first_is_slow(kind: str) -> None:
    slow = Slow()
    with executor() as with_:
        result = run_once(with_, of(slow, kind))
        assert (result.result, result.outcome, slow.calls) == ("second", TaskOutcome.OK, 2)
        assert result.second is not None
        assert result.second.won
        assert result.elapsed_ms >= 2.0
        assert result.second.elapsed_ms < result.elapsed_ms
        assert with_.second_calls.counts == {"asked": 1, "won": 1}
        if kind == "coroutine":
            until(lambda: slow.cancelled == 1)
        else:
            assert with_.in_flight == 1  # a function cannot be cancelled, and keeps its slot
        slow.let_go.set()
        until(lambda: with_.in_flight == 0)


@KINDS
def test_an_awaited_recall_gets_the_second_answer_too(kind: str) -> None:
    slow = Slow()

    async def recall() -> ExecutionResult:
        task = QueryTask("remote", of(slow, kind), on_caller_loop=True, second_after=0.002)
        [result] = await with_.arun([task])
        return result

    with executor() as with_:
        result = asyncio.run(recall())
        assert (result.result, slow.calls) == ("second", 2)
        slow.let_go.set()
        until(lambda: with_.in_flight == 0)


@KINDS
def test_the_first_answer_counts_where_it_is_faster_after_all(kind: str) -> None:
    slow, both = Slow(), threading.Event()

    def second() -> str:
        slow.let_go.set()
        both.wait(20)
        return "second"

    async def asecond() -> str:
        slow.let_go.set()
        while not both.is_set():
            await asyncio.sleep(0.002)
        return "second"

    def call() -> str:
        return slow.call() if not slow.calls else second()

    async def acall() -> str:
        return await (slow.acall() if not slow.calls else asecond())

    with executor() as with_:
        result = run_once(with_, acall if kind == "coroutine" else call)
        assert result.result == "first"
        assert result.second is not None
        assert not result.second.won
        assert with_.second_calls.counts == {"asked": 1, "won": 0}
        both.set()
        until(lambda: with_.in_flight == 0)


@KINDS
def test_a_second_call_that_fails_is_ignored(kind: str) -> None:
    slow = Slow()
    slow.error = ConnectionError("refused")
    with executor() as with_:
        results: list[ExecutionResult] = []
        caller = threading.Thread(target=lambda: results.append(run_once(with_, of(slow, kind))))
        caller.start()
        until(lambda: slow.calls == 2 and with_.in_flight == 1)
        slow.let_go.set()
        caller.join(20)
        assert (results[0].result, results[0].outcome) == ("first", TaskOutcome.OK)


def test_a_call_that_fails_waits_for_the_second_one_to_answer() -> None:
    calls: list[int] = []
    failed = threading.Event()

    def call() -> str:
        calls.append(1)
        if len(calls) == 1:
            until(lambda: len(calls) == 2)
            failed.set()
            raise ConnectionError("broken")
        failed.wait(20)
        until(lambda: with_.in_flight == 1)
        return "second"

    with executor() as with_:
        assert run_once(with_, call).result == "second"


@KINDS
def test_both_calls_are_given_up_at_the_timeout(kind: str) -> None:
    slow = Slow()

    def call() -> str:
        slow.calls += 1
        slow.let_go.wait(20)
        return "late"

    async def acall() -> str:
        slow.calls += 1
        while not slow.let_go.is_set():
            await asyncio.sleep(0.002)
        return "late"

    with executor() as with_:
        result = run_once(with_, acall if kind == "coroutine" else call, timeout=0.2)
        assert (result.outcome, slow.calls) == (TaskOutcome.TIMEOUT, 2)
        assert result.second is not None
        slow.let_go.set()
        until(lambda: with_.in_flight == 0)


def test_where_most_slots_are_taken_or_one_is_waited_for_nothing_is_called_again() -> None:
    slow, others = Slow(), threading.Event()
    with executor(limit=4) as with_:
        held = [
            threading.Thread(target=lambda: with_.run([QueryTask("other", others.wait, (20,))]))
            for _ in range(2)
        ]
        for thread in held:
            thread.start()
        until(lambda: with_.in_flight == 2)
        results: list[ExecutionResult] = []
        caller = threading.Thread(target=lambda: results.append(run_once(with_, slow.call)))
        caller.start()
        until(lambda: with_.in_flight == 3)
        assert not slow.let_go.wait(0.05)  # 25 times the delay
        assert slow.calls == 1
        others.set()
        for thread in held:
            thread.join(20)
        caller.join(20)
        assert results[0].result == "second"  # there is room now, and it was still slow
        slow.let_go.set()


def test_no_more_than_one_call_in_twenty_is_made_again() -> None:
    made = ParallelLayerExecutor(10)
    calls = 0

    def always_slow() -> int:
        nonlocal calls
        calls += 1
        return until_asked.wait(0.004)

    until_asked = threading.Event()
    with made as with_:
        for _ in range(120):
            with_.run([QueryTask("remote", always_slow, second_after=0.001)])
        again = with_.second_calls.counts["asked"]
        assert 1 <= again <= SHARE * 120
        assert calls == 120 + again


class Remote:
    name = "remote"
    idempotent = True

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.let_go = threading.Event()

    def search(self, query: str, k: int, deadline: float) -> list[dict[str, Any]]:
        self.calls.append(str(query))
        if str(query).endswith("stuck?") and self.calls.count(str(query)) == 1:
            self.let_go.wait(20)
        return [{"id": f"r{len(self.calls)}", "text": str(query)}]


def manager_with(layer: Any, **config: Any) -> MemoryManager:
    manager = MemoryManager(":memory:")
    manager.register_layer(layer)
    chosen = TuningConfig(max_concurrent=10, enable_cache=False, **config)
    manager.apply_config(chosen, expected_version=manager.configs.head, actor="test", reason="test")
    for i in range(150):
        manager.recall(f"What is {i}?", layers=["remote"])
    return manager


def test_a_recall_says_that_a_layer_was_called_twice_and_which_call_answered() -> None:
    layer = Remote()
    with manager_with(layer, hedged_layers={"remote"}) as manager:
        answer = manager.recall("What is stuck?", layers=["remote"])
        layer.let_go.set()
        assert answer["remote"]
        assert layer.calls.count("What is stuck?") == 2
        [record] = [m for m in manager.profiler.metrics if m.query_text == "What is stuck?"]
        first, second = record.tasks
        assert (first.layer, second.layer) == ("remote", "remote (2nd)")
        assert (first.outcome, second.outcome) == (TaskOutcome.OK, TaskOutcome.OK)
        assert (first.result_count, second.result_count) == (1, 1)
        assert second.offset_ms >= first.offset_ms + first.queue_ms
        assert second.service_ms < first.service_ms
        assert record.layers_queried == ["remote", "remote (2nd)"]


@pytest.mark.parametrize("declares", [True, False])
def test_a_layer_that_does_not_say_that_it_is_idempotent_is_never_called_twice(
    declares: bool, caplog: pytest.LogCaptureFixture
) -> None:
    layer = Remote()
    layer.idempotent = declares
    config = {} if declares else {"hedged_layers": {"remote"}}
    with manager_with(layer, **config) as manager:
        results: list[Any] = []
        asking = threading.Thread(
            target=lambda: results.append(manager.recall("What is stuck?", layers=["remote"]))
        )
        asking.start()
        until(lambda: "What is stuck?" in layer.calls)
        assert not layer.let_go.wait(0.05)
        layer.let_go.set()
        asking.join(20)
        assert layer.calls.count("What is stuck?") == 1
        assert len(results) == 1
    assert ("hedged_layers names remote" in caplog.text) is not declares


def test_no_layer_may_be_called_as_if_it_were_a_second_call() -> None:
    layer = Remote()
    layer.name = "remote (2nd)"
    with MemoryManager(":memory:") as manager, pytest.raises(ValueError, match="must not end with"):
        manager.register_layer(layer)


def test_the_tuner_knows_which_layers_say_that_they_are_idempotent() -> None:
    with MemoryManager(":memory:") as manager:
        assert manager.tuner.idempotent == frozenset()
        manager.register_layer(Remote())
        assert manager.tuner.idempotent == {"remote"}
        other = Remote()
        other.idempotent = False
        manager.register_layer(other)
        assert manager.tuner.idempotent == frozenset()


@pytest.mark.parametrize("quantile", [0.4, 1.0, True, "0.9"])
def test_a_quantile_that_makes_no_sense_is_refused(quantile: Any) -> None:
    with pytest.raises(ValueError, match=r"hedging_quantile must be 0\.5 to 0\.999, not"):
        TuningConfig(hedging_quantile=quantile)


def test_hedged_layers_come_back_from_json() -> None:
    config = TuningConfig(hedged_layers=frozenset({"b", "a"}), hedging_quantile=0.9)
    assert config.to_dict()["hedged_layers"] == ["a", "b"]
    assert TuningConfig.from_dict(config.to_dict()) == config
