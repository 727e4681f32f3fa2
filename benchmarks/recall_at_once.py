"""Many recalls at once: recalls a second by threads, and 1,000 that await remote layers on one event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from harness import Figure, median
from recall_memory import with_config

from athena_tuning.recall import MemoryManager


def throughput(manager: MemoryManager, questions: Sequence[dict[str, Any]], seconds: float) -> list[Figure]:
    figures = []
    for parallel in (False, True):
        for threads in (1, 2, 4, 8):
            with_config(manager, max_concurrent=threads, enable_parallel=parallel, enable_cache=False)
            how = "at once" if parallel else "one by one"
            rate = recalls_per_second(manager, questions, threads, seconds)
            figures.append(Figure(f"recalls, layers {how}, {threads} threads", rate, "/s"))
    return figures


def recalls_per_second(
    manager: MemoryManager, questions: Sequence[dict[str, Any]], threads: int, seconds: float
) -> float:
    done = [0] * threads
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        turn = number
        while time.perf_counter() < end:
            question = questions[turn % len(questions)]
            manager.recall(question["text"], scope=question["conv"])
            done[number] += 1
            turn += threads

    clients = [threading.Thread(target=client, args=(number,)) for number in range(threads)]
    start = time.perf_counter()
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    return sum(done) / (time.perf_counter() - start)


def many_at_once(repeats: int) -> list[Figure]:
    """Awaited recalls of four remote layers, in turns with nothing but the waits that they come to.

    The least that 1,000 can take on 1,024 slots is 0.2 s; the bare waits have no limit. How late the caller's
    loop is, is that of a task beside them which wants to wake every 2 ms; on a machine that others use as
    well, what this thread's CPU did meanwhile says more.
    """
    with MemoryManager(":memory:", layers=[Waiting(f"n{n}") for n in range(4)]) as manager:
        with_config(manager, max_concurrent=1024, overload_after_seconds=None)

        def recall(number: int) -> Awaitable[object]:
            return manager.arecall(f"q {number}", use_cache=False)

        asyncio.run(gathered(recall, 100))
        runs = [
            (asyncio.run(gathered(recall, 1000)), asyncio.run(gathered(bare, 1000))) for _ in range(repeats)
        ]
        beats = [(asyncio.run(latest_beat(recall)), asyncio.run(latest_beat(bare))) for _ in range(repeats)]
    (seconds, cpu), (bare_seconds, bare_cpu) = (
        [median(values) for values in zip(*(run[part] for run in runs), strict=True)] for part in (0, 1)
    )
    late, bare_late = ([beat[part][0] * 1000 for beat in beats] for part in (0, 1))
    worked = median([recalls[1] * 1000 for recalls, _ in beats])
    name = "1,000 recalls of 4 layers that wait 50 ms, at once"
    loop = "the caller's loop, with 200 such recalls at once, is late by at most"
    return [
        Figure(name, seconds, "s", 0.35),
        Figure(f"{name}, CPU of each", cpu * 1000, "µs"),
        Figure("1,000 times 4 bare waits of 50 ms, at once", bare_seconds, "s"),
        Figure(f"{name}, to bare waits", median([whole[0] / least[0] for whole, least in runs]), "x"),
        Figure("1,000 times 4 bare waits of 50 ms, at once, CPU of each", bare_cpu * 1000, "µs"),
        Figure(loop, median(late), "ms", 20),
        Figure(f"{loop}, least of {repeats} runs", min(late), "ms"),
        Figure("the caller's loop, with 200 such recalls at once, CPU without a pause", worked, "ms", 20),
        Figure(
            "the caller's loop, with 200 times 4 bare waits at once, is late by at most",
            median(bare_late),
            "ms",
        ),
    ]


Ask = Callable[[int], Awaitable[object]]


async def gathered(ask: Ask, times: int) -> tuple[float, float]:
    """Return the seconds that asking so often at once takes, and those of this thread's CPU."""
    began, worked = time.perf_counter(), time.thread_time()
    await asyncio.gather(*map(ask, range(times)))
    return time.perf_counter() - began, time.thread_time() - worked


async def bare(_: int) -> None:
    """Wait as the four layers of one recall do."""
    await asyncio.gather(*(asyncio.sleep(0.05) for _ in range(4)))


async def latest_beat(ask: Ask) -> tuple[float, float]:
    """Return by how many seconds a task that wakes every 2 ms is late at most, beside 200 at once.

    And the most CPU seconds of this thread between two of its beats.
    """
    late, worked, asking = [], [], asyncio.ensure_future(gathered(ask, 200))
    while not asking.done():
        began, cpu = time.perf_counter(), time.thread_time()
        await asyncio.sleep(0.002)
        late.append(time.perf_counter() - began - 0.002)
        worked.append(time.thread_time() - cpu)
    return max(late), max(worked)


class Waiting:
    """A remote layer: its coroutine waits 50 ms for nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def search(self, query: str, k: int, deadline: float) -> list[dict[str, Any]]:
        """Find nothing, 50 ms later."""
        await asyncio.sleep(0.05)
        return []
