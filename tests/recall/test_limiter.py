"""The shared limit: never exceeded, first come first served, no slot lost."""

from __future__ import annotations

import random
import threading
from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from athena_tuning.recall.execution.limiter import SharedLimit
from tests.support.examples import examples


class Waiter:
    def __init__(self, log: list[Waiter], layer_name: str = "semantic") -> None:
        self.layer_name = layer_name
        self.log = log
        self.in_flight = 0

    def granted(self, in_flight: int) -> bool:
        self.in_flight = in_flight
        self.log.append(self)
        return True


class LimitMachine(RuleBasedStateMachine):
    """Compares the limit with a list of holders and a queue, over any sequence of calls."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = SharedLimit(3)
        self.size = 3
        self.log: list[Waiter] = []
        self.holders: deque[Waiter] = deque()
        self.queue: deque[Waiter] = deque()

    def expect_grants(self) -> None:
        while self.queue and len(self.holders) < self.size:
            self.holders.append(self.queue.popleft())

    @rule()
    def acquire(self) -> None:
        waiter = Waiter(self.log)
        self.queue.append(waiter)
        self.limit.acquire(waiter)
        self.expect_grants()

    @precondition(lambda self: self.holders)
    @rule()
    def release(self) -> None:
        holder = self.holders.popleft()
        assert self.limit.release(holder)
        self.expect_grants()

    @rule(size=st.integers(1, 8))
    def resize(self, size: int) -> None:
        self.size = size
        self.limit.resize(size)
        self.expect_grants()

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(list(self.queue)))
        self.queue.remove(waiter)
        assert self.limit.withdraw(waiter)

    @precondition(lambda self: self.holders)
    @rule()
    def withdraw_too_late(self) -> None:
        assert not self.limit.withdraw(self.holders[0])

    @invariant()
    def agrees(self) -> None:
        assert self.limit.in_flight == len(self.holders)
        assert self.limit.waiting == len(self.queue)
        assert list(self.holders) == self.log[len(self.log) - len(self.holders) :]
        assert not self.queue or self.limit.in_flight >= self.limit.limit


TestLimitMachine = LimitMachine.TestCase
TestLimitMachine.settings = settings(max_examples=examples(60), stateful_step_count=40, deadline=None)


def test_32_threads_never_exceed_a_limit_that_is_resized_all_the_time() -> None:
    limit = SharedLimit(4)
    largest, ended = [0], threading.Semaphore(0)
    lock = threading.Lock()
    running = [0]

    class Task:
        layer_name = "semantic"

        def __init__(self) -> None:
            self.go = threading.Event()

        def granted(self, in_flight: int) -> bool:
            self.go.set()
            return True

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(60):
            task = Task()
            limit.acquire(task)
            if rng.random() < 0.2 and limit.withdraw(task):
                continue
            assert task.go.wait(30)
            with lock:
                running[0] += 1
                largest[0] = max(largest[0], running[0])
            if rng.random() < 0.3:
                limit.resize(rng.randint(1, 8))
            with lock:
                running[0] -= 1
            assert limit.release(task)
        ended.release()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(ended.acquire(blocking=False) for _ in threads), "a thread waits for a slot that was lost"
    assert 1 <= largest[0] <= 8
    assert (limit.in_flight, limit.waiting) == (0, 0)


def test_after_a_shrink_slots_run_out_as_they_are_released() -> None:
    limit, log = SharedLimit(3), []
    for _ in range(5):
        limit.acquire(Waiter(log))
    limit.resize(1)
    limit.release(log[0])
    limit.release(log[1])
    assert (limit.in_flight, limit.waiting, len(log)) == (1, 2, 3)
    limit.release(log[2])
    assert (limit.in_flight, limit.waiting, len(log)) == (1, 1, 4)


def test_a_free_slot_goes_to_the_layer_whose_waiter_came_first() -> None:
    limit, log = SharedLimit(1), []
    holder, first, second = (Waiter(log, name) for name in ("semantic", "graph", "semantic"))
    for waiter in (holder, first, second):
        limit.acquire(waiter)
    limit.release(holder)
    assert log == [holder, first]
    limit.release(first)
    assert log == [holder, first, second]


def test_a_grant_says_how_many_slots_are_taken() -> None:
    limit, log = SharedLimit(2), []
    for _ in range(2):
        limit.acquire(Waiter(log))
    assert [waiter.in_flight for waiter in log] == [1, 2]


def test_limit_passes_over_thousands_of_waiters_that_want_their_slot_no_longer() -> None:
    limit, first = SharedLimit(1), Waiter([])
    offered: list[int] = []

    class GivenUp:
        layer_name = "semantic"

        def granted(self, in_flight: int) -> bool:
            offered.append(in_flight)
            return False

    limit.acquire(first)
    for _ in range(5000):
        limit.acquire(GivenUp())
    last = Waiter([])
    limit.acquire(last)
    limit.release(first)
    assert offered == [1] * 5000
    assert (limit.in_flight, limit.waiting, last.in_flight) == (1, 0, 1)


@pytest.mark.parametrize("size", [0, -3])
def test_a_limit_below_one_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        SharedLimit(size)
    with pytest.raises(ValueError, match=str(size)):
        SharedLimit(2).resize(size)


def test_limit_takes_a_slot_back_once() -> None:
    limit, holder = SharedLimit(2), Waiter([])
    assert not limit.release(holder)
    limit.acquire(holder)
    assert limit.release(holder)
    assert not limit.release(holder)
    ledger = limit.ledger()
    assert (ledger.given, ledger.returned, ledger.held) == (1, 1, {})
