"""The leader with several workers: it raises no limit that each of them has, and says why."""

from __future__ import annotations

import random

from athena_tuning.control import scope_watch
from athena_tuning.control.lease import TuningLease
from athena_tuning.control.scope_watch import ScopeWatch, told_finding
from athena_tuning.model import (
    Action,
    ConfigSet,
    LayerTask,
    LimitScope,
    QueryMetrics,
    TuningConfig,
    TuningStrategy,
    WorkerStatus,
)
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.store import MemoryStore
from athena_tuning.testing.clock import Clock
from athena_tuning.tuning import AutoTuner
from athena_tuning.tuning.simulation.what_if import with_config


class Leader:
    """A leader whose own manager waits for slots, with so many workers alive."""

    def __init__(self, workers: int, scope: LimitScope = LimitScope.MANAGER) -> None:
        self.clock, self.store = Clock(), MemoryStore()
        self.profiler = PerformanceProfiler(clock=self.clock)
        self.tuner = AutoTuner(self.profiler, TuningStrategy.LATENCY, clock=self.clock)
        self.configs = with_config(
            ConfigSet(), "all", strategy=TuningStrategy.LATENCY, limit_scope=scope, max_concurrent=5
        )
        self.tuner.in_force(self.configs)
        lease = TuningLease(self.store, "w0", self.clock)
        lease.renew()
        self.watch = ScopeWatch(
            self.store, lease, self.tuner, lambda: self.configs.default.config, self.clock, self.clock
        )
        for number in range(workers):
            self.store.report_worker(WorkerStatus(f"w{number}", "h", number, 0.0, self.clock()))
        self.watch.look()

    def wanted(self) -> tuple[list[int], list[str]]:
        """Return the limits that it wants over 400 recalls that wait ten times as long as they are served."""
        rng, limits, summaries = random.Random(1), list[int](), list[str]()
        for number in range(400):
            self.clock.now += 0.01
            ms = rng.lognormvariate(3, 0.3)
            tasks = (LayerTask("semantic", 0.0, 10 * ms, ms, 5),)
            self.profiler.record_query(
                QueryMetrics(
                    f"q{number}", "?", "meta", self.clock() - 11 * ms / 1000, 11 * ms, None, False, 1,
                    ["semantic"], {"semantic": ms}, True, tasks=tasks,
                )
            )  # fmt: skip
            self.profiler.fold()
            for made in self.tuner.step(self.configs, self.clock()):
                if made.action is not Action.KEEP:
                    limits.append(made.after.max_concurrent)
                summaries.append(made.summary)
        return limits, summaries


def test_a_worker_that_is_alone_raises_its_limit() -> None:
    limits, _ = Leader(1).wanted()
    assert max(limits) > 5


def test_with_several_workers_it_raises_no_limit_that_each_has_and_says_why() -> None:
    leader = Leader(3)
    limits, summaries = leader.wanted()
    assert max(limits, default=5) <= 5
    assert any("3 managers are alive" in summary for summary in summaries)
    found = told_finding(leader.store)
    assert found is not None
    assert "3 managers are alive" in found.held
    assert found.workers == 3


def test_a_limit_for_all_managers_goes_up_however_many_there_are() -> None:
    limits, _ = Leader(3, LimitScope.FLEET).wanted()
    assert max(limits) > 5


def test_once_the_others_are_gone_it_is_held_back_no_longer() -> None:
    leader = Leader(3)
    leader.clock.now += scope_watch.ALIVE_SECONDS + 1
    leader.store.report_worker(WorkerStatus("w0", "h", 0, 0.0, leader.clock()))
    leader.watch._lease.renew()
    leader.watch.look()
    assert max(leader.wanted()[0]) > 5


def test_who_does_not_lead_tells_nothing() -> None:
    store, tuner = MemoryStore(), AutoTuner(PerformanceProfiler())
    ScopeWatch(store, TuningLease(store, "w1"), tuner, TuningConfig).look()
    assert told_finding(store) is None
    store.post("limit scope", "leader", "{}")
    assert told_finding(store) is None
