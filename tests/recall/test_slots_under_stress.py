"""Any mixture of layers that fail, hang, block, recurse and are given up: no slot is ever lost."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_tuning.recall import ExecutionResult, ParallelLayerExecutor, QueryTask
from athena_tuning.testing.waiting import until
from tests.support.examples import examples

KINDS = (
    "returns",
    "raises",
    "exits",
    "late",
    "coroutine",
    "coroutine raises",
    "coroutine late",
    "awaitable",
    "nested",
)


class Inside:
    """Counts the calls that are under way, apart from the executor's own books."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = 0

    def __enter__(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.now -= 1


class Mixture:
    """Tasks of each kind, on one executor."""

    def __init__(self, executor: ParallelLayerExecutor, pause: float) -> None:
        self.executor = executor
        self.inside = Inside()
        self.pause = pause

    def task(self, kind: str, number: int, keeps_deadline: bool, on_caller_loop: bool) -> QueryTask:
        async def coroutine() -> int:
            with self.inside:
                await asyncio.sleep(self.pause)
                if kind == "coroutine raises":
                    raise LookupError(kind)
                if kind == "coroutine late":
                    await asyncio.sleep(20 * self.pause)
            return number

        def function() -> Any:
            if kind == "awaitable":
                return coroutine()
            if kind == "nested":  # what runs in its slot is counted itself
                return len(self.executor.run([QueryTask("inner", self.leaf), QueryTask("more", self.leaf)]))
            with self.inside:
                time.sleep(20 * self.pause if kind == "late" else self.pause)
                if kind == "raises":
                    raise LookupError(kind)
                if kind == "exits":
                    raise SystemExit(1)
            return number

        return QueryTask(
            f"layer {number}",
            coroutine if kind.startswith("coroutine") else function,
            timeout_seconds=5 * self.pause if kind.endswith("late") else 10.0,
            keeps_deadline=keeps_deadline and kind in ("returns", "raises", "nested"),
            on_caller_loop=on_caller_loop,
        )

    def leaf(self) -> int:
        with self.inside:
            time.sleep(self.pause)
        return 1

    def check(self, limit: int) -> None:
        """All slots are back, and the layers themselves never saw more of them at once than there are."""
        until(lambda: self.executor.in_flight == 0 and self.executor.waiting == 0)
        until(lambda: self.inside.now == 0)
        ledger = self.executor.ledger
        assert ledger.given == ledger.returned
        assert (ledger.held, ledger.waiting) == ({}, {})
        assert self.inside.most <= limit


RECALLS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from(KINDS), st.booleans(), st.booleans()), min_size=1, max_size=4),
        st.sampled_from(["blocking", "in turn", "awaited", "cancelled", "deadline"]),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.slow
@given(RECALLS, st.integers(1, 4))
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_slots_all_come_back_after_any_mixture_of_recalls_at_once(recalls: Any, limit: int) -> None:
    with ParallelLayerExecutor(limit) as executor:
        mixture = Mixture(executor, 0.0005)

        async def awaited(tasks: list[QueryTask], cancel: bool) -> None:
            waiting = asyncio.ensure_future(executor.arun(tasks))
            if cancel:
                await asyncio.sleep(0.001)
                waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

        def recall(shares: Any, how: str) -> None:
            tasks = [mixture.task(kind, n, local, loop) for n, (kind, local, loop) in enumerate(shares)]
            if how in ("awaited", "cancelled"):
                asyncio.run(awaited(tasks, how == "cancelled"))
            else:
                deadline = time.monotonic() + 0.001 if how == "deadline" else None
                results = executor.run(tasks, parallel=how != "in turn", deadline=deadline)
                assert [result.layer_name for result in results] == [task.layer_name for task in tasks]

        threads = [threading.Thread(target=recall, args=arguments) for arguments in recalls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        mixture.check(limit)
        assert executor.get_stats()["slots_reclaimed"] == 0


class Stress:
    """Random mixtures from threads and loops, while the limit changes."""

    def __init__(self, executor: ParallelLayerExecutor, runs: int, limits: tuple[int, ...]) -> None:
        self.executor = executor
        self.mixture = Mixture(executor, 0.0002)
        self.outcomes: Counter[str] = Counter()
        self.limits = limits
        self.lock = threading.Lock()
        self.left = runs

    def take(self) -> bool:
        with self.lock:
            self.left -= 1
            return self.left >= 0

    def tasks(self, rng: random.Random) -> list[QueryTask]:
        return [
            self.mixture.task(rng.choice(KINDS), n, rng.random() < 0.3, rng.random() < 0.5)
            for n in range(rng.randint(1, 4))
        ]

    def note(self, results: list[ExecutionResult]) -> None:
        with self.lock:
            self.outcomes.update(result.outcome.value for result in results)

    def client(self, seed: int) -> None:
        rng = random.Random(seed)
        while self.take():
            if rng.random() < 0.02:
                self.executor.max_concurrent = rng.choice(self.limits)
            deadline = time.monotonic() + rng.uniform(0, 0.003) if rng.random() < 0.2 else None
            self.note(self.executor.run(self.tasks(rng), parallel=rng.random() < 0.8, deadline=deadline))

    async def awaiting(self, seed: int) -> None:
        rng = random.Random(seed)
        while self.take():
            waiting = asyncio.ensure_future(self.executor.arun(self.tasks(rng)))
            if rng.random() < 0.2:
                await asyncio.sleep(rng.uniform(0, 0.002))
                waiting.cancel()
            (results,) = await asyncio.gather(waiting, return_exceptions=True)
            if isinstance(results, list):
                self.note(results)
            else:
                self.outcomes["cancelled"] += 1

    async def four_awaiting(self, seed: int) -> None:
        await asyncio.gather(*(self.awaiting(seed + n) for n in range(4)))


def stress(runs: int, threads: int, limits: tuple[int, ...]) -> Counter[str]:
    """Run random mixtures and check that all slots are back; return what came of the tasks."""
    with ParallelLayerExecutor(limits[0]) as executor:
        work = Stress(executor, runs, limits)
        clients = [threading.Thread(target=work.client, args=(seed,)) for seed in range(threads)]
        clients += [
            threading.Thread(target=lambda seed=seed: asyncio.run(work.four_awaiting(seed)))
            for seed in (100, 200)
        ]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
        work.mixture.check(max(limits))
    return work.outcomes


@pytest.mark.slow
def test_slots_all_come_back_after_1500_random_runs_from_threads_and_loops() -> None:
    outcomes = stress(1500, 6, (3, 1, 5))
    assert {"ok", "error", "timeout", "cancelled"} <= set(outcomes)


@pytest.mark.soak
def test_slots_all_come_back_after_100_000_random_runs() -> None:
    outcomes = stress(100_000, 12, (4, 1, 2, 7))
    assert {"ok", "error", "timeout", "cancelled"} <= set(outcomes)
