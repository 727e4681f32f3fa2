"""What a plan was said to bring beside what it brought: simulated on recalls without it, then put in force.

Real recalls on a real manager; the layers sleep for times of their own, and find evidence on which episodic
and semantic agree for 70 % of the questions, or for 40 %. What is compared is on other questions than those
that were simulated.
"""

from __future__ import annotations

import time
from random import Random
from typing import Any

from harness import Figure, options, progress, quantile, report

from athena_tuning.model import ConfigSet, QueryMetrics, TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.items import LayerQuery
from athena_tuning.testing.waiting import until
from athena_tuning.tuning.estimation.plan_evidence import PlanEvidence
from athena_tuning.tuning.simulation.what_if import Estimate, Outcome, what_if, with_config
from athena_tuning.tuning.slices import run_through

SECONDS = {"episodic": 0.008, "semantic": 0.012, "graph": 0.020}
AT_ONCE = TuningConfig(enable_cache=False, exploration_share=0.0)
LATER = TuningConfig(enable_cache=False, exploration_share=0.0, second_round=frozenset({"graph"}))


class Sleeps:
    """A layer that takes about its time, and finds what the others find too, or what is its own."""

    keeps_deadline = True

    def __init__(self, name: str, agreeing: float) -> None:
        self.name, self.agreeing = name, agreeing

    def search(self, query: LayerQuery, k: int, deadline: float) -> list[dict[str, Any]]:
        """Sleep, and give five pieces of evidence: the same as the others, or its own."""
        number = query.rpartition(" ")[2]
        agree = Random(f"agree {number}").random() < self.agreeing
        time.sleep(SECONDS[self.name] * Random(f"{self.name} {number}").lognormvariate(0.0, 0.2))
        whose = "all" if agree else self.name
        return [
            {"id": f"{self.name} {n}", "text": f"{number} {n}", "evidence": [f"{whose} {n}"]}
            for n in range(5)
        ]


def asked(manager: MemoryManager, first: int, recalls: int) -> list[QueryMetrics]:
    """Ask so many questions one after another; return their records."""
    before = len(manager.profiler.metrics)
    for number in range(first, first + recalls):
        manager.recall(f"What is known of part {number}")
    return list(manager.profiler.metrics)[before:]


def foreseen(manager: MemoryManager, records: list[QueryMetrics]) -> Outcome:
    """Return what the plan would bring, simulated on recalls without it."""

    def seen() -> int:
        values = manager.tuner.contributions.values()
        return max((value.share.recalls for of in values.values() for value in of.values()), default=0)

    until(lambda: seen() >= 0.9 * len(records))
    base: ConfigSet = manager.configs
    plan = with_config(base, "all", **LATER.to_dict())
    evidence = PlanEvidence.of(manager.tuner.contributions.values())
    return run_through(what_if(records, base, {"later": plan}, evidence=evidence)).outcomes[0]


def compared(agreeing: float, recalls: int) -> list[Figure]:
    """Return calls, p50 and p99 as foreseen and as measured, and how many intervals held."""
    progress(f"agreeing on {agreeing:.0%}")
    layers = [Sleeps(name, agreeing) for name in SECONDS]
    with MemoryManager(":memory:", layers=layers) as manager:
        manager.apply_config(AT_ONCE, expected_version=0, actor="benchmark", reason="the base")
        before = foreseen(manager, asked(manager, 0, recalls))
        version = manager.configs.default.version
        manager.apply_config(LATER, expected_version=version, actor="benchmark", reason="the plan")
        records = asked(manager, recalls, recalls)
    took = [m.latency_ms or 0.0 for m in records]
    measured = {
        "layers a recall": (before.calls, sum(len(m.tasks) for m in records) / len(records), ""),
        "p50": (before.p50_ms, quantile(took, 0.5), "ms"),
        "p99": (before.p99_ms, quantile(took, 0.99), "ms"),
    }
    figures, held = [], 0
    for name, (said, was, unit) in measured.items():
        what = f"graph later, others agree on {agreeing:.0%}: {name}"
        figures.append(Figure(f"{what}, foreseen", said.value, unit, low=said.low, high=said.high))
        figures.append(Figure(f"{what}, measured", was, unit))
        held += holds(said, was)
    name = f"graph later, others agree on {agreeing:.0%}: figures within their interval, of 3"
    return [*figures, Figure(name, held, "", 3, at_least=True)]


def holds(said: Estimate, was: float) -> bool:
    """Whether an interval holds a value that chance has moved by 5 %."""
    return said.low * 0.95 <= was <= said.high * 1.05


if __name__ == "__main__":
    ARGUMENTS = options(__doc__)
    RECALLS = 150 if ARGUMENTS.quick else 600
    raise SystemExit(report([*compared(0.7, RECALLS), *compared(0.4, RECALLS)], ARGUMENTS))
