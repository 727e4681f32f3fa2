"""A tuner that is carried out: configs as a store would keep them, and recalls in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from athena_tuning.model import (
    ConfigSet,
    ConfigVersion,
    Decision,
    Mode,
    QueryMetrics,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.testing.clock import Clock
from athena_tuning.tuning import AutoTuner, Policy
from athena_tuning.tuning.estimation.daily_load import DailyLoad
from athena_tuning.tuning.simulation.simulator import Simulation, Slowdown
from athena_tuning.tuning.trace import Trace


class TunedConfigs:
    """A profiler, a tuner and the configs in force, which the tuner's decisions change.

    Args:
        policy: who decides.
        start: config at first.
        apply: whether decisions are carried out.
        keep_evidence: whether what decisions rest on is kept beside them, in ``evidence``.
        daily_load: how the day is divided.

    Attributes:
        decisions: what was decided so far.
        evidence: what each of them rests on, packed, if it is kept.
    """

    def __init__(
        self,
        policy: Policy,
        start: TuningConfig | None = None,
        *,
        apply: bool = True,
        keep_evidence: bool = False,
        daily_load: DailyLoad | None = None,
    ) -> None:
        start = start or TuningConfig()
        self.clock = Clock()
        self.profiler = PerformanceProfiler(clock=self.clock)
        self.tuner = AutoTuner(
            self.profiler,
            start.strategy,
            policy=policy,
            clock=self.clock,
            daily_load=daily_load or DailyLoad(),
        )
        self.configs = ConfigSet()
        self.decisions: list[Decision] = []
        self.evidence: list[bytes] = []
        self._apply, self._keep_evidence = apply, keep_evidence
        self.write(start)

    def write(self, config: TuningConfig, scope: str = "all", mode: Mode = Mode.AUTO) -> ConfigVersion:
        """Put a config in force."""
        at, head = self.configs.in_scope(scope), self.configs.head
        version = ConfigVersion(
            head + 1, at.version if at else 0, scope, config, mode, "test", "", self.clock.now
        )
        self.configs = self.configs.with_version(version)
        self.tuner.in_force(self.configs)
        return version

    def step(self) -> list[Decision]:
        """Let the tuner decide and carry it out."""
        made = list(self.tuner.step(self.configs, self.clock.now))
        self.decisions += made
        if self._keep_evidence:
            kept = [self.tuner.evidence_of(decision.decision_id) for decision in made]
            self.evidence += [evidence for evidence in kept if evidence is not None]
        for decision in made:
            if self._apply and decision.after != decision.before:
                self.tuner.applied(decision, self.write(decision.after, decision.scope))
        return made

    @property
    def changes(self) -> list[Decision]:
        """Decisions that changed a config, or would have."""
        return [d for d in self.decisions if d.after != d.before]

    @property
    def limit_changes(self) -> list[Decision]:
        """Decisions that changed the limit, or would have."""
        return [d for d in self.decisions if d.before.max_concurrent != d.after.max_concurrent]


class VirtualManager(TunedConfigs):
    """A simulated manager that a tuner steers four times a second.

    Args:
        trace: recalls in virtual time.
        policy: who decides.
        slow: true slowdown by layer.
        start: config at first.
        record: turns what a recall would record into what is recorded.
        how: see ``TunedConfigs``.
    """

    def __init__(
        self,
        trace: Trace,
        policy: Policy,
        slow: Mapping[str, Slowdown] | None = None,
        start: TuningConfig | None = None,
        record: Callable[[QueryMetrics], QueryMetrics] = lambda m: m,
        **how: object,
    ) -> None:
        self.simulation = Simulation(trace, ConfigSet(), slow)
        super().__init__(policy, start, **how)  # type: ignore[arg-type]
        self.epoch = self.clock.now
        self._recorded = 0
        self._record = record

    def write(self, config: TuningConfig, scope: str = "all", mode: Mode = Mode.AUTO) -> ConfigVersion:
        """Put a config in force for the recalls that come from now on."""
        version = super().write(config, scope, mode)
        self.simulation.apply(self.configs)
        return version

    def tick(self) -> list[Decision]:
        """Let a quarter of a second pass."""
        self.clock.now += 0.25
        self.simulation.run(self.clock.now - self.epoch)
        for recall in self.simulation.finished[self._recorded :]:
            self.profiler.record_query(self._record(self.simulation.record(recall, self.epoch)))
        self._recorded = len(self.simulation.finished)
        self.profiler.fold()
        return self.step()

    def run(self) -> VirtualManager:
        """Run to the end of the trace."""
        while not self.simulation.over:
            self.tick()
        return self


def latency(**fields: object) -> TuningConfig:
    """Return a config under LATENCY."""
    return TuningConfig(strategy=TuningStrategy.LATENCY, **fields)  # type: ignore[arg-type]
