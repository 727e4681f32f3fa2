"""Deciding is nobody's wait: it happens on the manager's own thread."""

from __future__ import annotations

import threading
import time

from athena_tuning.model import Decision, Mode
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import MemoryManager
from athena_tuning.tuning import AutoTuner
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.model_policy import ModelPolicy


def test_the_model_decides_by_default_and_never_on_a_recalls_thread() -> None:
    asked: set[int] = set()

    class Watched(ModelPolicy):
        def due(self, evidence: Evidence) -> bool:
            asked.add(threading.get_ident())
            return super().due(evidence)

        def decide(self, evidence: Evidence) -> tuple[Decision, ...]:
            asked.add(threading.get_ident())
            return super().decide(evidence)

    profiler = PerformanceProfiler()
    assert isinstance(AutoTuner(profiler).policy, ModelPolicy)
    with MemoryManager(
        ":memory:", mode=Mode.AUTO, profiler=profiler, tuner=AutoTuner(profiler, policy=Watched())
    ) as manager:
        asked.clear()  # opening a manager ticks once
        until = time.monotonic() + 10
        while not asked and time.monotonic() < until:
            manager.recall("what is known?", use_cache=False)
        assert asked
        assert threading.get_ident() not in asked
