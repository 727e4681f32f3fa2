"""Bulkheads: no layer takes all slots from the others; what is idle is lent."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from athena_tuning.recall.execution.limiter import SharedLimit
from athena_tuning.testing.clock import Clock
from tests.support.examples import examples


class Task:
    def __init__(self, layer_name: str) -> None:
        self.layer_name = layer_name
        self.has_slot = False

    def granted(self, in_flight: int) -> bool:
        self.has_slot = True
        return True


class Bench:
    """A limit on a clock that tests move, and tasks of layers on it."""

    def __init__(self, limit: int) -> None:
        self.clock = Clock(0.0)
        self.limit = SharedLimit(limit, self.clock)
        self.tasks: list[Task] = []

    def ask(self, layer: str, times: int = 1) -> list[Task]:
        tasks = [Task(layer) for _ in range(times)]
        for task in tasks:
            self.limit.acquire(task)
        self.tasks += tasks
        return tasks

    def end(self, task: Task, *, in_time: bool = True) -> None:
        assert task.has_slot
        self.limit.release(task, in_time=in_time)
        self.tasks.remove(task)

    def serve(self, layer: str, seconds: float, times: int = 1) -> None:
        """Have calls of a layer served one after another."""
        for _ in range(times):
            (task,) = self.ask(layer)
            self.clock.now += seconds
            self.end(task)

    def held(self, layer: str) -> int:
        return sum(task.has_slot for task in self.tasks if task.layer_name == layer)


@pytest.mark.parametrize("size", [2, 3, 5, 10, 20])
def test_bulkhead_keeps_a_slot_from_any_layer_while_others_are_in_use(size: int) -> None:
    bench = Bench(size)
    bench.serve("healthy", 0.01)
    bench.serve("busy", 0.01, times=20)
    bench.ask("busy", 4 * size)
    assert 1 <= bench.held("busy") <= size - 1
    assert bench.ask("healthy")[0].has_slot


def test_bulkhead_lends_every_slot_to_a_layer_that_is_the_only_one_in_use() -> None:
    bench = Bench(8)
    bench.ask("only", 20)
    assert bench.held("only") == 8
    bench = Bench(8)
    bench.serve("other", 0.01)
    bench.clock.now += 61.0
    bench.serve("only", 0.01)
    bench.ask("only", 20)
    assert bench.held("only") == 8, "nobody has asked the other one for a minute"


def test_bulkhead_gives_layers_that_do_not_come_back_half_of_the_slots_in_all() -> None:
    bench = Bench(10)
    for layer in ("hangs", "hangs too", "healthy"):
        bench.serve(layer, 0.02, times=50)
    for _ in range(100):
        bench.ask("hangs")
        bench.ask("hangs too")
        bench.clock.now += 0.1
    assert bench.held("hangs") + bench.held("hangs too") <= 6, "one more each than was known at the time"
    assert all(task.has_slot for task in bench.ask("healthy", 4))


def test_bulkhead_of_a_layer_that_never_came_back_is_half_of_the_slots() -> None:
    bench = Bench(10)
    bench.serve("healthy", 0.02)
    bench.ask("new", 20)
    assert bench.held("new") == 5
    bench.end(next(task for task in bench.tasks if task.has_slot))
    assert bench.held("new") == 9, "now it is known to come back"


def test_bulkhead_leaves_free_what_the_others_need() -> None:
    bench = Bench(10)
    for _ in range(400):  # three slots of ten are busy with others, all the time
        tasks = bench.ask("a") + bench.ask("b") + bench.ask("c")
        bench.clock.now += 0.05
        for task in tasks:
            bench.end(task)
    bench.serve("busy", 0.05)
    bench.ask("busy", 30)
    assert bench.held("busy") == 6


def test_bulkhead_lets_a_dear_layer_have_what_the_others_do_not_need() -> None:
    bench = Bench(10)
    rng = random.Random(3)
    dear: list[tuple[float, Task]] = []
    most = 0
    for _ in range(2000):
        if rng.random() < 0.2:
            bench.serve("cheap", 0.005)
        dear += [(bench.clock.now + 2.0, task) for task in bench.ask("dear")]
        bench.clock.now += 0.05
        for ends, task in list(dear):
            if task.has_slot and ends <= bench.clock.now:
                bench.end(task)
                dear.remove((ends, task))
        most = max(most, bench.held("dear"))
    assert most == 9


def test_bulkhead_lets_a_layer_below_its_share_go_first() -> None:
    bench = Bench(4)
    bench.serve("busy", 0.01)
    bench.serve("small", 0.01)
    bench.ask("busy", 10)
    bench.ask("filler", 1)
    assert bench.limit.in_flight == 4
    (small,) = bench.ask("small")
    assert not small.has_slot
    bench.end(next(task for task in bench.tasks if task.has_slot and task.layer_name == "busy"))
    assert small.has_slot, "although seven of the busy layer came first"


def test_bulkhead_serves_layers_that_are_alike_in_their_order() -> None:
    bench = Bench(6)
    for layer in "abc":
        bench.serve(layer, 0.01)
    order = [task for _ in range(6) for layer in "abc" for task in bench.ask(layer)]
    got: list[Task] = []
    while len(got) < len(order):
        got += [task for task in order if task.has_slot and task not in got]
        bench.end(next(task for task in bench.tasks if task.has_slot))
    assert got == order


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_bulkhead_serves_of_two_layers_that_are_alike_the_one_that_came_first(order: str) -> None:
    bench = Bench(1)
    [holder] = bench.ask("c")
    first, second = (bench.ask(layer)[0] for layer in order)
    bench.end(holder)
    assert (first.has_slot, second.has_slot) == (True, False)


class BulkheadMachine(RuleBasedStateMachine):
    """Over any sequence of calls: nobody exceeds, nobody starves, the ledger is right."""

    LAYERS = "abc"

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(4)

    @rule(layer=st.sampled_from(LAYERS), times=st.integers(1, 4))
    def ask(self, layer: str, times: int) -> None:
        self.bench.ask(layer, times)

    @precondition(lambda self: any(task.has_slot for task in self.bench.tasks))
    @rule(data=st.data(), in_time=st.booleans())
    def end(self, data: st.DataObject, in_time: bool) -> None:
        holders = [task for task in self.bench.tasks if task.has_slot]
        self.bench.end(data.draw(st.sampled_from(holders)), in_time=in_time)

    @precondition(lambda self: any(not task.has_slot for task in self.bench.tasks))
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from([task for task in self.bench.tasks if not task.has_slot]))
        assert self.bench.limit.withdraw(task)
        self.bench.tasks.remove(task)

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.bench.clock.now += seconds
        self.bench.limit.give_out()

    @rule(size=st.integers(1, 9))
    def resize(self, size: int) -> None:
        self.bench.limit.resize(size)

    @invariant()
    def holds(self) -> None:
        bench, limit = self.bench, self.bench.limit
        held = Counter(task.layer_name for task in bench.tasks if task.has_slot)
        waiting = Counter(task.layer_name for task in bench.tasks if not task.has_slot)
        ledger = limit.ledger()
        assert (ledger.held, ledger.waiting) == (dict(held), dict(waiting))
        assert ledger.given - ledger.returned == limit.in_flight == held.total()
        if limit.in_flight < limit.limit:
            assert all(held[layer] for layer in waiting), "a layer without a slot takes a free one"


TestBulkheadMachine = BulkheadMachine.TestCase
TestBulkheadMachine.settings = settings(max_examples=examples(80), stateful_step_count=40, deadline=None)
