"""The window as a list, and recalls of every kind to fill it with: what the profiler is compared with."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

import pytest

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome

START = 1_750_000_000.0
LAYERS = ("episodic", "semantic", "graph", "own layer")
TYPES = ("temporal", "factual", "relational")
WIDTH = 1 / 64 + 1e-9


@dataclass
class Reference:
    """The window as a list."""

    hours: float
    most: int
    now: float = START
    accepted: list[QueryMetrics] = field(default_factory=list)
    gone_before: float = -math.inf

    def record(self, m: QueryMetrics) -> None:
        if m.timestamp >= self.cutoff():
            self.accepted.append(m)

    def cutoff(self) -> float:
        self.gone_before = max(self.gone_before, self.now - self.hours * 3600)
        return self.gone_before

    def window(self) -> list[QueryMetrics]:
        return [m for m in self.accepted[-self.most :] if m.timestamp >= self.cutoff()]

    def select(self, start=None, end=None, query_type=None, layer=None, config_version=None):
        return [
            m
            for m in self.window()
            if (start is None or m.timestamp >= start)
            and (end is None or m.timestamp < end)
            and (query_type is None or m.query_type == query_type)
            and (layer is None or layer in m.layers_queried)
            and (config_version is None or m.config_version == config_version)
        ]


def task_of(m: QueryMetrics, layer: str) -> LayerTask | None:
    return next((task for task in m.tasks if task.layer == layer), None)


def own_ms(m: QueryMetrics, layer: str | None) -> float | None:
    if layer is None:
        return m.latency_ms
    if layer in m.layer_latencies:
        return m.layer_latencies[layer]
    task = task_of(m, layer)
    return m.latency_ms if task is None else task.service_ms


def succeeded(m: QueryMetrics, layer: str | None) -> bool | None:
    task = None if layer is None else task_of(m, layer)
    return m.success if task is None else task.outcome == TaskOutcome.OK


def percentile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)] if ordered else math.nan


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def known(values):
    return [value for value in values if value is not None and value == value]


def same(a: float, b: float) -> bool:
    return a == pytest.approx(b, rel=1e-9, abs=1e-5, nan_ok=True)


def near(a: float, b: float) -> bool:
    """Within a bucket's width, for what comes from histograms."""
    return a == pytest.approx(b, rel=WIDTH, abs=1e-5, nan_ok=True)


def any_ms(rng: random.Random) -> float:
    return rng.choice((rng.lognormvariate(3, 1), rng.random() * 10, 100.0, 0.0, 1e-9, rng.random() * 3e9))


def any_record(rng: random.Random, now: float) -> QueryMetrics:
    layers = rng.sample(LAYERS, rng.randint(0, 4))
    latencies = {layer: any_ms(rng) for layer in layers if rng.random() < 0.8}
    tasks = [
        LayerTask(
            layer,
            rng.randint(0, 900) / 1000,
            rng.randint(0, 90_000) / 1000,
            latencies[layer] if layer in latencies else any_ms(rng),
            rng.randint(0, 9),
            rng.choice(list(TaskOutcome)),
            rng.randint(0, 400),
        )
        for layer in layers
        if rng.random() < 0.8
    ]
    rng.shuffle(tasks)
    return QueryMetrics(
        f"{rng.getrandbits(64):x}",
        rng.choice(("", "über", "\x00\n=1", f"text {rng.randint(0, 99)}")),
        rng.choice(TYPES),
        now - rng.choice((0.0, 1.0, rng.expovariate(1), 8000 * rng.random())),
        rng.choice((None, any_ms(rng))),
        rng.choice((None, 0.0, rng.random() * 500)),
        rng.choice((None, True, False)),
        rng.choice((None, 0, rng.randint(0, 300))),
        layers,
        latencies,
        rng.choice((None, True, False)),
        rng.choice((None, "timeout", "no such layer")),
        rng.random() < 0.5,
        rng.randint(0, 6),
        rng.choice((1.0, rng.random())),
        rng.choice((None, rng.random())),
        tuple(tasks),
        rng.random() < 0.1,
        rng.randint(0, 3),
        rng.choice(("live", "sample")),
    )
