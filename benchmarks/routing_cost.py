"""What routing costs and what answers by layer save: CPU of a recall, of learning, and layer calls."""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random

from harness import Figure, median, progress, quantile
from routing_world import Question

from athena_tuning.model import EVERY, LAYERS, TuningConfig
from athena_tuning.recall.cache import AnswerCache
from athena_tuning.recall.classification import classify
from athena_tuning.recall.fusion import pieces_found
from athena_tuning.recall.plan import candidates
from athena_tuning.recall.routing import select_layers
from athena_tuning.recall.routing.features import features
from athena_tuning.recall.routing.route import route
from athena_tuning.recall.routing.thin_answers import ThinAnswers
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.testing.clock import Clock
from athena_tuning.tuning.estimation.question_fit import (
    LayerObservation,
    QuestionObservation,
    fit_questions,
)


def cache_by_layer(ks: Sequence[int]) -> list[Figure]:
    """The recalls of the cache-heavy sample, each k drawn from ``ks``; a layer is written to every 5 s."""
    records = load_records("cache-heavy")
    random, calls = Random(5), {"whole": 0, "by layer": 0}
    now = Clock(records[0].timestamp)
    caches = {
        name: AnswerCache[int, int](
            max_entries=100_000, clock=now, is_enough=lambda most, k: candidates(k) <= most
        )
        for name in calls
    }
    writes = now() + 5.0
    for record in records:
        now.now = record.timestamp
        while writes <= now():
            layer, writes = random.choice(LAYERS), writes + 5.0
            for cache in caches.values():
                cache.written([layer])
        k = random.choice(ks)
        layers = select_layers(record.query_text, classify(record.query_text), LAYERS)
        for name, cache in caches.items():
            key = record.query_text if name == "by layer" else (record.query_text, k)
            known = cache.get(key, layers, k)
            if known.whole is None:
                parts = known.parts if name == "by layer" else {}
                calls[name] += len(layers) - len(parts)
                made = {layer: parts.get(layer, candidates(k)) for layer in layers}
                cache.put(key, layers, cache.stamp(layers), made, k, k)
    fewer = 100.0 * (1.0 - calls["by layer"] / calls["whole"])
    asked = " or ".join(map(str, ks))
    name = f"cache-heavy, k = {asked}, a write every 5 s"
    return [
        Figure(f"{name}: layer calls with whole answers", float(calls["whole"]), ""),
        Figure(f"{name}: fewer with answers by layer", fewer, "%", 15.0, at_least=True),
    ]


def cpu_of_routing(questions: Sequence[Question]) -> list[Figure]:
    """CPU of questions that are new: what type they have, and their way under a model of three layers."""
    words = sorted({name for q in questions for name in features(q["text"])})
    model = {name: {EVERY: -0.01, **dict.fromkeys(words[::7][:32], 0.001)} for name in LAYERS[:3]}
    config = TuningConfig(second_round=frozenset({"graph"}), question_model=model)
    numbers = iter(range(1_000_000))
    typed, routed = [], []
    for _ in range(15):
        type_seconds = route_seconds = 0.0
        for few in range(0, len(questions), 100):
            texts = [f"{q['text']} {next(numbers)}" for q in questions[few : few + 100]]
            began = time.process_time()
            types = [classify(text) for text in texts]
            between = time.process_time()
            for text, query_type in zip(texts, types, strict=True):
                route(text, query_type, LAYERS, config)
            type_seconds += between - began
            route_seconds += time.process_time() - between
        typed.append(type_seconds / len(questions) * 1e6)
        routed.append(route_seconds / len(questions) * 1e6)
    return [
        _spread("CPU of routing a recall, by question", routed, "µs", 15.0),
        _spread("CPU of telling its type", typed, "µs", None),
        _spread("CPU of telling that its answer is not thin", _cpu_of_thin_answers(), "µs", None),
    ]


def _cpu_of_thin_answers() -> list[float]:
    """CPU of an answer of fifteen pieces a layer, in µs."""
    lists = {
        name: [{"id": f"{name} {i}", "evidence": [f"{name} {i}"]} for i in range(15)] for name in LAYERS[:2]
    }
    answers, took = ThinAnswers(), []
    for _ in range(15):
        began = time.process_time()
        for _ in range(1000):
            answers.is_thin("factual", pieces_found(lists, 3), 3)
        took.append((time.process_time() - began) * 1e3)
    return took


def _spread(name: str, took: Sequence[float], unit: str, most: float | None) -> Figure:
    return Figure(name, median(took), unit, most, low=quantile(took, 0.05), high=quantile(took, 0.95))


def cpu_of_learning(questions: Sequence[Question]) -> Figure:
    """CPU of learning from 10,000 recalls of one type, of five layers."""
    progress("learning from 10,000 recalls")
    random = Random(7)
    shown = [tuple(sorted(features(q["text"]))) for q in questions]
    seen = [
        QuestionObservation(
            *(f"q{n}", "factual", float(n), random.choice(shown)),
            {name: LayerObservation(random.random(), random.random() < 0.2, True, True) for name in LAYERS},
        )
        for n in range(10_000)
    ]
    scores = {f"q{n}": random.random() for n in range(0, 10_000, 3)}
    took = []
    for _ in range(5):
        began = time.process_time()
        fit_questions(seen, scores)
        took.append(time.process_time() - began)
    return _spread("CPU of learning from 10,000 recalls", took, "s", 1.0)
