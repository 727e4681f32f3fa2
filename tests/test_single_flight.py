"""Callers that want the same at the same time: one computes, the others wait for it."""

from __future__ import annotations

import asyncio
import threading

from athena_tuning.single_flight import Flight, SingleFlight


def test_single_flight_gives_all_who_joined_the_result_of_the_first() -> None:
    flights: SingleFlight[str] = SingleFlight()
    flight, first = flights.join("q")
    assert first
    joined = [flights.join("q") for _ in range(5)]
    assert not any(began for _, began in joined)
    assert flights.join("other")[1]
    results: list[str | None] = []
    threads = [threading.Thread(target=lambda f=f: results.append(f.wait(30))) for f, _ in joined]
    for thread in threads:
        thread.start()
    flights.resolve(flight, "tea")
    for thread in threads:
        thread.join(30)
    assert results == ["tea"] * 5
    assert flights.join("q")[1], "who comes later begins a new one"


def test_single_flight_that_fails_or_takes_too_long_gives_nothing() -> None:
    flight: Flight[str] = Flight("q")
    results: list[str | None] = []
    thread = threading.Thread(target=lambda: results.append(flight.wait(0.001)))
    thread.start()
    thread.join(30)
    flight.resolve(None)
    thread = threading.Thread(target=lambda: results.append(flight.wait(30)))
    thread.start()
    thread.join(30)
    assert results == [None, None]


def test_single_flight_is_not_waited_for_in_the_thread_that_must_end_it() -> None:
    assert Flight("q").wait(1e9) is None


def test_single_flight_resolved_twice_keeps_the_first_result() -> None:
    flights: SingleFlight[str] = SingleFlight()
    flight, _ = flights.join("q")
    flights.resolve(flight, "tea")
    newer, first = flights.join("q")
    flights.resolve(flight, "coffee")
    assert first
    assert not flights.join("q")[1], "the newer flight is still under way"
    flights.resolve(newer, None)


def test_single_flight_cancelled_by_one_awaiting_caller_goes_on_for_the_others() -> None:
    async def main() -> None:
        flight: Flight[str] = Flight("q")
        one, two = (asyncio.ensure_future(flight.wait_async(30)) for _ in range(2))
        await asyncio.sleep(0)
        one.cancel()
        await asyncio.gather(one, return_exceptions=True)
        flight.resolve("tea")
        assert await two == "tea"
        assert await Flight[str]("r").wait_async(0.001) is None

    asyncio.run(main())
