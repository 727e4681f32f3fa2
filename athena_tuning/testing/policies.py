"""The conformance suite for policies: what a tuner relies on, however a policy decides."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import fields

import pytest

from athena_tuning.model import (
    Action,
    Decision,
    LayerTask,
    QueryMetrics,
    TaskOutcome,
    TuningBounds,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.testing.virtual_manager import TunedConfigs, VirtualManager
from athena_tuning.tuning import Policy
from athena_tuning.tuning.rerun import rerun
from athena_tuning.tuning.simulation.simulator import Slowdown
from athena_tuning.tuning.trace import Arrival, Trace

OF_ITS_OWN = ("decision_id", "time", "config_version")
"""What may differ between a decision and the same one made again."""


def made_trace(recalls: int = 1500, seed: int = 0) -> Trace:
    """Return recalls of two types over two layers, in bursts, as a simulated manager can run them."""
    rng, at, arrivals = random.Random(seed), 0.0, []
    for i in range(recalls):
        at += rng.expovariate(60.0 if i // 200 % 2 else 8.0)
        tasks = tuple((layer, rng.lognormvariate(-4.0, 0.6)) for layer in ("semantic", "graph"))
        arrivals.append(Arrival(at, ("factual", "temporal")[i % 2], tasks, f"question {rng.randrange(400)}"))
    return Trace(tuple(arrivals))


def slower_when_shared(in_flight: int) -> float:
    """Return how much longer a task takes while so many run: twice at 6, four times at 11."""
    return 1.0 + max(0, in_flight - 1) ** 2 / 25.0


def _recall(
    ms: float | None = 30.0,
    *,
    service_ms: float = 20.0,
    outcome: TaskOutcome = TaskOutcome.OK,
    tasks: bool = True,
    hit: bool | None = False,
    success: bool | None = True,
) -> QueryMetrics:
    layers = ("semantic", "graph") if tasks else ()
    ran = tuple(LayerTask(layer, 0.0, 1.0, service_ms, 2, outcome) for layer in layers)
    by_layer = dict.fromkeys(layers, service_ms)
    return QueryMetrics(
        *("q", "what?", "factual", 0.0, ms, None, hit, 1, list(layers), by_layer, success), tasks=ran
    )


WINDOWS = {
    "nothing": [],
    "one recall": [_recall()],
    "calm": [_recall()] * 400,
    "cache hits alone": [_recall(0.05, tasks=False, hit=True)] * 400,
    "misses and then hits alone": [_recall()] * 200 + [_recall(0.05, tasks=False, hit=True)] * 2000,
    "failures alone": [_recall(outcome=TaskOutcome.ERROR, success=False)] * 400,
    "time-outs alone": [_recall(9e3, service_ms=9e3, outcome=TaskOutcome.TIMEOUT, success=None)] * 400,
    "nothing known": [_recall(None, tasks=False, hit=None, success=None)] * 400,
    "no time at all": [_recall(0.0, service_ms=0.0)] * 400,
    "figures that are none": [_recall(math.inf, service_ms=math.nan), _recall(-1.0)] * 200,
}
"""Windows that a policy has to live through, by what is odd about each."""


class PolicySuite:
    """What every policy has to do. Subclass it and give the fixture ``make``.

    Example:
        In a test module::

            class TestMyPolicy(PolicySuite):
                @pytest.fixture
                def make(self):
                    return MyPolicy  # what makes a new one
    """

    @pytest.fixture
    def make(self) -> Callable[[], Policy]:
        """What makes a new policy."""
        raise NotImplementedError("give the suite a fixture `make`")

    def test_policy_has_a_name_and_begins_with_its_memory(self, make: Callable[[], Policy]) -> None:
        """Decisions carry the name; the memory is a value that the tuner keeps."""
        policy = make()
        assert isinstance(policy.name, str)
        assert policy.name.strip() == policy.name != ""
        assert policy.memory() == policy.memory(), "a new memory is the same each time"

    def test_policy_leaves_a_manager_without_recalls_as_it_is(self, make: Callable[[], Policy]) -> None:
        """What nothing is known about is not changed."""
        manager = TunedConfigs(make())
        for scope in (None, "factual"):
            made = manager.tuner.propose(scope)
            assert (made.action, made.after) == (Action.KEEP, made.before)
        assert not [d for _ in range(20) for d in manager.step() if d.after != d.before]

    @pytest.mark.parametrize("strategy", list(TuningStrategy))
    @pytest.mark.parametrize("window", WINDOWS)
    def test_policy_decides_in_words_and_within_the_bounds(
        self, make: Callable[[], Policy], window: str, strategy: TuningStrategy
    ) -> None:
        """Whatever the recalls are: valid configs under the strategy, finite figures, and words."""
        manager = TunedConfigs(make(), TuningConfig(strategy=strategy))
        for made in _decided(manager, WINDOWS[window]):
            _check(made, manager.tuner.bounds)
            assert made.after.strategy is strategy

    def test_policy_obeys_narrow_bounds(self, make: Callable[[], Policy]) -> None:
        """An operator's bounds hold for everything that it changes."""
        bounds = TuningBounds(min_concurrent=3, max_concurrent=4)
        manager = VirtualManager(made_trace(), make(), _slow(), TuningConfig(4))
        manager.tuner.bounds = bounds
        manager.run()
        for made in [*manager.decisions, manager.tuner.propose(), manager.tuner.propose("factual")]:
            _check(made, bounds)

    def test_policy_changes_nothing_by_proposing(self, make: Callable[[], Policy]) -> None:
        """Proposals are asked for at any time, by pages too: asking twice gives the same."""
        manager = VirtualManager(made_trace(600), make(), _slow())
        manager.run()
        for scope in (None, "factual", "temporal"):
            assert _same(manager.tuner.propose(scope), manager.tuner.propose(scope))

    def test_policy_decides_the_same_again_from_kept_evidence(self, make: Callable[[], Policy]) -> None:
        """A decision follows from evidence and memory alone: no state, clock or dice of its own."""
        start = TuningConfig(timeout_seconds=2.0)
        manager = VirtualManager(made_trace(), make(), _slow(), start, keep_evidence=True).run()
        for decision, evidence in zip(manager.decisions, manager.evidence, strict=True):
            assert any(_same(decision, again) for again in rerun(evidence, make())), decision.summary

    def test_policy_settles_where_nothing_changes(self, make: Callable[[], Policy]) -> None:
        """On steady traffic: at most 4 changes in the last 1,000 recalls of 3,000."""
        trace = made_trace(3000)
        manager = VirtualManager(trace, make(), _slow()).run()
        late = manager.clock.now - trace.seconds / 3
        assert sum(d.time > late for d in manager.limit_changes) <= 4


def _slow() -> dict[str, Slowdown]:
    return dict.fromkeys(("semantic", "graph"), slower_when_shared)


def _decided(manager: TunedConfigs, records: list[QueryMetrics]) -> Iterator[Decision]:
    """Give what is decided while recalls come in eight parts, and what is proposed at the end."""
    part = -(-len(records) // 8) or 1
    for first in range(0, len(records) + 1, part):
        for record in records[first : first + part]:
            manager.clock.now += 0.05
            manager.profiler.record_query(record._replace(timestamp=manager.clock.now))
        manager.clock.now += 0.25
        yield from manager.step()
    for scope in (None, "factual"):
        yield manager.tuner.propose(scope)


def _check(made: Decision, bounds: TuningBounds) -> None:
    after = made.after
    assert made.summary, "a decision says why"
    assert made.samples >= 0
    assert all(math.isfinite(candidate.predicted) for candidate in made.candidates)
    if after.max_concurrent != made.before.max_concurrent:
        assert bounds.min_concurrent <= after.max_concurrent <= bounds.max_concurrent
    if after.timeout_seconds != made.before.timeout_seconds:
        assert bounds.min_timeout_seconds <= after.timeout_seconds <= bounds.max_timeout_seconds
    if made.action in (Action.KEEP, Action.CHANGE):
        assert (made.action is Action.CHANGE) == (after != made.before)


def _same(one: Decision, other: Decision) -> bool:
    return all(
        getattr(one, f.name) == getattr(other, f.name) for f in fields(one) if f.name not in OF_ITS_OWN
    )
