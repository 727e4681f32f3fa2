"""Deadlines: how much sooner answers come for how much less quality, predicted and measured.

A real manager asks five real layers, each behind a simulated network that waits 5 to 50 ms (median 16, 90 %
in between). It runs without a deadline first; from what it recorded the trade-off of every deadline is
predicted, then each is really run on the same questions. Quality is recall@10 on the shared conversations;
without them, how much of the best ten of the whole answer the partial one holds.
"""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import Figure, median, options, progress, quantile, report
from recall_memory import load

from athena_tuning.load.simulated_layer import RemoteLayer
from athena_tuning.model import TuningConfig
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import MemoryManager
from athena_tuning.tuning.estimation.deadline_curve import DeadlineCurve, deadline_curve

DEADLINES_MS = (100, 75, 50, 40, 30, 20)
TARGET_MS, REPEATS = 50, 3
"""The deadline that has targets is run so often: one question lost weighs as much as the bound."""

MEDIAN_MS, SPREAD = 16.0, 0.7
CLIENTS = 2


@dataclass(frozen=True, slots=True)
class Run:
    """What recalls met under one deadline (None: none). ``best``: the first ten of each answer."""

    deadline_ms: float | None
    p99_ms: float
    partial: float
    best: dict[int, list[str]]


def run(
    manager: MemoryManager,
    questions: Sequence[dict[str, Any]],
    deadline_ms: float | None,
    fan_out: bool = True,
) -> Run:
    """Ask every question under a deadline."""
    manager.apply_config(
        TuningConfig(
            max_concurrent=64,
            layer_selection_enabled=False,
            enable_cache=False,
            enable_parallel=fan_out,
            deadline_seconds=None if deadline_ms is None else deadline_ms / 1000,
        ),
        expected_version=manager.configs.default.version,
        actor="benchmark",
        reason="a deadline",
    )
    answers: dict[int, dict[str, Any]] = {}

    def client(number: int) -> None:
        for i in range(number, len(questions), CLIENTS):
            answers[i] = manager.recall(questions[i]["text"], k=10, scope=questions[i]["conv"])

    clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    p99 = quantile([answer["_latency_ms"] for answer in answers.values()], 0.99)
    partial = sum(not answer["_success"] or answer["_partial"] for answer in answers.values()) / len(answers)
    return Run(deadline_ms, p99, partial, {i: _best(answer) for i, answer in answers.items()})


def _best(answer: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(turn for item in answer["_fused"] for turn in item["evidence"]))[:10]


def quality(ran: Run, whole: Run, questions: Sequence[dict[str, Any]], gold: bool) -> float:
    """Return recall@10, or without gold the share of the whole answer's best ten that is there."""
    total = 0.0
    for i, question in enumerate(questions):
        wanted = set(question["evidence"]) if gold else set(whole.best[i])
        total += len(wanted & set(ran.best[i])) / len(wanted) if wanted else 1.0
    return total / len(questions)


def figures(
    whole: Run, runs: Sequence[Run], curve: DeadlineCurve, questions: Sequence[dict[str, Any]], gold: bool
) -> list[Figure]:
    name = "recall@10" if gold else "share of the whole answer's best 10"
    full = quality(whole, whole, questions, gold)
    none = curve.points[-1]
    found = [
        Figure("no deadline, p99", whole.p99_ms, "ms"),
        Figure(f"no deadline, {name}", full, ""),
    ]
    for ms, point in zip(DEADLINES_MS, reversed(curve.points[:-1]), strict=True):
        at, fifty = f"deadline {ms:g} ms", ms == TARGET_MS
        alike = [ran for ran in runs if ran.deadline_ms == ms]
        lost = full - sum(quality(ran, whole, questions, gold) for ran in alike) / len(alike)
        found += [
            Figure(f"{at}, p99", median([ran.p99_ms for ran in alike]), "ms", 60.0 if fifty else None),
            Figure(f"{at}, p99 predicted", point.p99_ms, "ms"),
            Figure(f"{at}, partial answers", median([ran.partial for ran in alike]), ""),
            Figure(f"{at}, partial answers predicted", point.partial, ""),
            Figure(f"{at}, {name} lost", lost, "", 0.01 if fifty and gold else None),
            Figure(f"{at}, share of what layers add lost, predicted", point.lost - none.lost, ""),
        ]
    return found


def main() -> int:
    """Run what was asked for and report."""
    asked = options(__doc__)
    with tempfile.TemporaryDirectory() as folder, MemoryManager(Path(folder) / "memory.db") as local:
        questions, gold = load(local)
        random.Random(1).shuffle(questions)
        questions = questions[: 120 if asked.quick else 582]
        profiler = PerformanceProfiler()
        layers = [RemoteLayer(layer, MEDIAN_MS, SPREAD) for layer in local.memory.layers.values()]
        with MemoryManager(":memory:", layers=layers, profiler=profiler) as manager:
            run(manager, questions[:40], None)  # warm
            start = profiler.read_since(0, 10**6)[1]
            whole = run(manager, questions, None)
            fresh = PerformanceProfiler()
            for record in profiler.read_since(start, 10**6)[0]:
                fresh.record_query(record)
            time.sleep(1)  # the last answers are still to be counted
            worth = manager.tuner.contributions.worth()
            curve = deadline_curve(fresh.tasks(), DEADLINES_MS, worth)
            runs = []
            for ms in DEADLINES_MS:
                for _ in range(REPEATS if ms == TARGET_MS else 1):
                    runs.append(run(manager, questions, ms))
                    progress(f"deadline {ms} ms: p99 {runs[-1].p99_ms:.1f} ms")
            in_turn = run(manager, questions[:150], None, fan_out=False)
    found = figures(whole, runs, curve, questions, gold)
    return report([*found, Figure("no deadline, layers in turn, p99", in_turn.p99_ms, "ms")], asked)


if __name__ == "__main__":
    raise SystemExit(main())
