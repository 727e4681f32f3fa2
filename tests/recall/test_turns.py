"""Turns of a caller's loop: many recalls at once leave room for what else is on it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from athena_tuning.recall import MemoryManager
from athena_tuning.recall.execution.turns import RECALLS, Turns


async def turn_of(loop_turns: list[int]) -> None:
    """Count the turns of the running loop, for ever."""
    while True:
        await asyncio.sleep(0)
        loop_turns[0] += 1


def test_no_more_than_so_many_go_on_in_one_turn_and_in_the_order_that_they_came_in() -> None:
    async def main() -> list[tuple[int, int]]:
        turns, now, went_on = Turns(), [0], []

        async def go_on(number: int) -> None:
            await turns.take()
            went_on.append((now[0], number))

        counting = asyncio.ensure_future(turn_of(now))
        await asyncio.gather(*map(go_on, range(5 * RECALLS)))
        counting.cancel()
        return went_on

    went_on = asyncio.run(main())
    assert [number for _, number in went_on] == list(range(5 * RECALLS))
    assert max(Counter(turn for turn, _ in went_on).values()) == RECALLS


def test_one_that_is_cancelled_while_it_waits_takes_nobodys_turn() -> None:
    async def main() -> list[int]:
        turns, went_on = Turns(), []

        async def go_on(number: int) -> None:
            await turns.take()
            went_on.append(number)

        tasks = [asyncio.ensure_future(go_on(number)) for number in range(3 * RECALLS)]
        await asyncio.sleep(0)
        for task in tasks[RECALLS : 2 * RECALLS]:
            task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
        return went_on

    assert asyncio.run(main()) == [*range(RECALLS), *range(2 * RECALLS, 3 * RECALLS)]


def test_a_loop_that_ended_while_some_waited_is_forgotten() -> None:
    turns = Turns()

    async def main() -> None:
        waiting = [asyncio.ensure_future(turns.take()) for _ in range(2 * RECALLS)]
        await asyncio.sleep(0)
        assert not all(each.done() for each in waiting)

    for _ in range(3):
        asyncio.run(main())
    assert len(turns._turns) <= 1


def test_recalls_that_are_awaited_at_once_begin_a_few_in_each_turn_of_the_loop() -> None:
    asked: Counter[int] = Counter()
    now = [0]

    class Counting:
        name = "counting"

        async def search(self, query: str, k: int, deadline: float) -> list[Any]:
            asked[now[0]] += 1
            return []

    async def main(manager: MemoryManager) -> None:
        counting = asyncio.ensure_future(turn_of(now))
        answers = await asyncio.gather(
            *(manager.arecall(f"q {n}", use_cache=False) for n in range(4 * RECALLS))
        )
        counting.cancel()
        assert all(answer["_success"] for answer in answers)

    with MemoryManager(":memory:", layers=[Counting()]) as manager:
        manager._executor.max_concurrent = 1000
        asyncio.run(main(manager))
    assert sum(asked.values()) == 4 * RECALLS
    assert max(asked.values()) <= RECALLS
