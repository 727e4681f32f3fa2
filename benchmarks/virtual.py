"""Runs a policy in virtual time: the real profiler and tuner, a simulated manager."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from scenarios import Scenario

from athena_tuning.model import ConfigSet, ConfigVersion, Decision, Mode, TuningConfig, TuningStrategy
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.tuning import AutoTuner, Policy
from athena_tuning.tuning.simulation.simulated_run import SimulatedRun
from athena_tuning.tuning.simulation.simulator import Simulation
from athena_tuning.tuning.trace import Trace

EPOCH = 1_750_000_000.0
EVERY = 0.25


@dataclass(frozen=True, slots=True)
class PolicyRun:
    """What happened under a policy.

    Attributes:
        run: what the recalls met.
        changes: config versions that it led to.
        deciding_ms: CPU time in ``step``, over everything.
        longest_ms: CPU time of the longest ``step``.
        decisions: all of them, in order.
        last: the config in force at the end.
    """

    run: SimulatedRun
    changes: int
    deciding_ms: float
    longest_ms: float
    decisions: tuple[Decision, ...]
    last: TuningConfig


def run_static(scenario: Scenario, trace: Trace, config: TuningConfig) -> SimulatedRun:
    """Run the trace under one config."""
    return Simulation(trace, config, scenario.slow, clients=_clients(scenario, config)).run().result()


def run_policy(scenario: Scenario, trace: Trace, strategy: TuningStrategy, policy: str | Policy) -> PolicyRun:
    """Run the trace under a policy that may change the config every quarter of a second."""
    now = EPOCH
    profiler = PerformanceProfiler(clock=lambda: now)
    tuner = AutoTuner(profiler, strategy, policy=policy, clock=lambda: now)
    configs = ConfigSet()
    config = TuningConfig(strategy=strategy, overload_after_seconds=None)  # as the fixed ones: all wait
    start = replace(configs.default, config=config, mode=Mode.AUTO)
    configs = replace(configs, default=start)
    tuner.in_force(configs)
    simulation = Simulation(trace, configs, scenario.slow, clients=_clients(scenario, start.config))
    recorded, changes, spent, longest = 0, 0, 0.0, 0.0
    decisions: list[Decision] = []
    while not simulation.over:
        now += EVERY
        simulation.run(now - EPOCH)
        for recall in simulation.finished[recorded:]:
            profiler.record_query(simulation.record(recall, EPOCH))
        recorded = len(simulation.finished)
        profiler.fold()
        began = time.thread_time()
        made = tuner.step(configs, now)
        took = time.thread_time() - began
        spent, longest = spent + took, max(longest, took)
        for decision in made:
            if decision.after != decision.before:
                changes += 1
                version = _version(configs, decision, now)
                configs = configs.with_version(version)
                simulation.apply(configs)
                tuner.in_force(configs)
                tuner.applied(decision, version)
        decisions += made
    last = configs.default.config
    return PolicyRun(simulation.result(), changes, spent * 1000, longest * 1000, tuple(decisions), last)


def _clients(scenario: Scenario, config: TuningConfig) -> int | None:
    return scenario.clients if config.strategy is TuningStrategy.THROUGHPUT else None


def _version(configs: ConfigSet, decision: Decision, now: float) -> ConfigVersion:
    at = configs.in_scope(decision.scope)
    return ConfigVersion(
        configs.head + 1,
        at.version if at else 0,
        decision.scope,
        decision.after,
        Mode.AUTO,
        "tuner",
        decision.summary,
        now,
    )
