"""The line of recalls that wait in a client: its order, its patience, and that no place is lost."""

from __future__ import annotations

import asyncio
import time

from athena_tuning.cluster.waiting_line import WaitingLine


def test_line_lets_in_who_came_first_as_places_are_given_back() -> None:
    async def main() -> list[int]:
        line, let_in = WaitingLine(asyncio.get_running_loop(), lambda: 1, patience=60), []

        async def visit(n: int) -> None:
            assert await line.enter(time.monotonic())
            let_in.append(n)
            await asyncio.sleep(0)
            line.leave()

        await asyncio.gather(*map(visit, range(20)))
        assert line.waiting == 0
        return let_in

    assert asyncio.run(main()) == list(range(20))


def test_line_sends_away_who_has_no_place_in_time_and_those_who_came_too_late() -> None:
    async def main() -> None:
        line = WaitingLine(asyncio.get_running_loop(), lambda: 1, patience=0.02)
        assert await line.enter(time.monotonic())
        waited = await asyncio.gather(*[line.enter(time.monotonic()) for _ in range(5)])
        assert waited == [False] * 5
        assert not await line.enter(time.monotonic() - 1.0)
        line.leave()
        assert await line.enter(time.monotonic()), "who was sent away holds no place"

    asyncio.run(main())


def test_who_gives_up_in_line_holds_no_place_even_if_it_was_just_let_in() -> None:
    async def main() -> None:
        line = WaitingLine(asyncio.get_running_loop(), lambda: 1, patience=60)
        assert await line.enter(time.monotonic())
        early = asyncio.ensure_future(line.enter(time.monotonic()))
        late = asyncio.ensure_future(line.enter(time.monotonic()))
        await asyncio.sleep(0)
        early.cancel()
        await asyncio.sleep(0)
        line.leave()  # lets ``late`` in, which does not know it yet
        late.cancel()
        await asyncio.gather(early, late, return_exceptions=True)
        assert await asyncio.wait_for(line.enter(time.monotonic()), 5)

    asyncio.run(main())


def test_line_grows_with_the_members() -> None:
    async def main() -> None:
        room = 1
        line = WaitingLine(asyncio.get_running_loop(), lambda: room, patience=60)
        assert await line.enter(time.monotonic())
        waiting = [asyncio.ensure_future(line.enter(time.monotonic())) for _ in range(4)]
        await asyncio.sleep(0)
        room = 3
        line.leave()
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [True, True, True, False]
        waiting[3].cancel()

    asyncio.run(main())
