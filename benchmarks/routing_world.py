"""The shared conversations, put to the real layers once, and the path of recalls that learns from them.

What the layers gave is repeated. A recaller, a tuner in mode AUTO and the configs that it writes run as in a
manager, without its threads: gains are counted, questions learned from, and the tuner decides, every 25
recalls.
"""

from __future__ import annotations

import gzip
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from harness import Figure, progress

from athena_tuning.control.layer_health import HealthMonitor
from athena_tuning.model import LAYERS, TuningBounds, TuningConfig
from athena_tuning.recall import LayerQuery, MemoryManager, ParallelLayerExecutor
from athena_tuning.recall.cache import AnswerCache
from athena_tuning.recall.contribution import ContributionCount
from athena_tuning.recall.ingest import ingest_file
from athena_tuning.recall.recaller import Recaller
from athena_tuning.recall.registered_layer import register
from athena_tuning.recall.request import RecallRequest
from athena_tuning.testing.virtual_manager import TunedConfigs
from athena_tuning.tuning.policies.advisors import Advisor
from athena_tuning.tuning.policies.fusion_advisor import FusionAdvisor
from athena_tuning.tuning.policies.layer_advisor import LayerAdvisor
from athena_tuning.tuning.policies.model_policy import ModelPolicy
from athena_tuning.tuning.policies.question_advisor import QuestionAdvisor

SHARED = Path(__file__).parents[2] / "shared" / "data" / "memory"
STEP = 25
"""Recalls between two decisions."""

Item = dict[str, Any]
Question = dict[str, Any]


class Recorded:
    """A layer that repeats what another one gave.

    Args:
        name: what it is called here.
        layer: whom it asks, each question once.
        given: answers so far, by what was asked.
    """

    keeps_deadline = True

    def __init__(self, name: str, layer: Any, given: dict[Any, list[Item]]) -> None:
        self.name = name
        self._layer = layer
        self._given = given

    def search(self, query: LayerQuery, k: int, deadline: float) -> list[Item]:
        """Return what the layer gave, or ask it."""
        key = self._layer.name, str(query), query.scope, query.query_type, query.when, k
        if key not in self._given:
            self._given[key] = self._layer.search(query, k, deadline)
        return self._given[key]


@dataclass(frozen=True, slots=True)
class Scored:
    """One recall: recall@10, how many layers were asked, whether nothing was found."""

    score: float
    calls: float
    empty: bool


class Learner(TunedConfigs):
    """The path of recalls and its tuner, by hand.

    Args:
        layers: whom recalls ask.
        start: config at first.
        seed: of exploration.
        learns: whether the tuner may decide; may be set.
        advisors: who advises it.
    """

    def __init__(
        self,
        layers: Sequence[Any],
        start: TuningConfig | None = None,
        *,
        seed: int = 0,
        learns: bool = True,
        advisors: Sequence[Advisor] = (LayerAdvisor(), QuestionAdvisor(), FusionAdvisor()),
    ) -> None:
        super().__init__(ModelPolicy(advisors=advisors), start)
        self.tuner.bounds = TuningBounds(5, 5)  # what is repeated takes no time: nothing to learn for a limit
        self._executor = ParallelLayerExecutor(timeout_seconds=60.0)
        self._gains = ContributionCount(self.tuner.contributions)
        self.learns = learns
        self._asked = 0
        health = HealthMonitor(None, self.clock, time.monotonic)
        self.recaller = Recaller(
            "benchmark",
            self._executor,
            AnswerCache(clock=self.clock),
            health,
            lambda: None,
            self.profiler,
            lambda: self.configs,
            self.clock,
            self._gains,
            Random(seed).random,
        )
        for layer in layers:
            health.add(layer.name)
            self.recaller.register(register(layer))

    def __enter__(self) -> Learner:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.close()

    def ask(self, question: Question, *, feedback: bool = True) -> Scored:
        """Recall and score; then give the score as feedback."""
        self.clock.now += 0.05
        self._asked += 1
        request = RecallRequest(
            question["text"], None, 10, question["conv"], use_cache=False, use_parallel=False
        )
        answer = self.recaller.recall(request)
        assert answer["_success"], answer["_errors"]
        scored = Scored(
            recall_at_10(answer["_fused"], question["evidence"]),
            len(answer["_layers"]),
            not answer["_fused"],
        )
        if feedback:
            record = self.profiler.record_feedback(answer["_query_id"], scored.score)
            if record is not None:
                self.tuner.contributions.rate_record(record)
        if self.learns and self._asked % STEP == 0:
            self._gains.count()
            self.tuner.contributions.learn()
            for _ in range(3):  # a search or a review takes several
                self.step()
        return scored

    def ask_all(self, questions: Sequence[Question], *, feedback: bool = True) -> list[Scored]:
        """Ask all in their order."""
        return [self.ask(question, feedback=feedback) for question in questions]


def recall_at_10(fused: Sequence[Item], evidence: Sequence[str]) -> float:
    turns = list(dict.fromkeys(turn for item in fused for turn in item["evidence"]))[:10]
    return len(set(turns) & set(evidence)) / len(evidence)


class World:
    """The shared conversations, their questions, and what the layers gave to them."""

    def __init__(self, manager: MemoryManager, questions: Sequence[Question]) -> None:
        self.questions = questions
        self._real: Mapping[str, Any] = manager.memory.layers
        self._given: dict[Any, list[Item]] = {}

    def layers(self, names: Sequence[str] = LAYERS, contents: Sequence[str] | None = None) -> list[Recorded]:
        """Return the layers under ``names`` with the contents of those of other names."""
        pairs = zip(names, contents or names, strict=True)
        return [Recorded(name, self._real[content], self._given) for name, content in pairs]

    def learner(self, layers: Sequence[Any] | None = None, **how: Any) -> Learner:
        """Return a learner over these layers, all five if none are given."""
        return Learner(layers if layers is not None else self.layers(), **how)

    def fixed(
        self,
        names: Sequence[str],
        config: TuningConfig | None = None,
        *,
        questions: Sequence[Question] | None = None,
        wrap: Callable[[Recorded], Any] = lambda layer: layer,
    ) -> list[Scored]:
        """Ask fixed layers everything, or these questions."""
        config = config or TuningConfig(layer_selection_enabled=False, exploration_share=0.0)
        layers = [wrap(layer) for layer in self.layers(names)]
        with self.learner(layers, start=config, learns=False) as learner:
            return learner.ask_all(self.questions if questions is None else questions, feedback=False)


def mean(name: str, values: Sequence[float], target: float | None = None, *, at_least: bool = True) -> Figure:
    """Return a mean with its interval."""
    value = statistics.fmean(values)
    error = 1.96 * statistics.stdev(values) / math.sqrt(len(values))
    return Figure(name, value, "", target, at_least, value - error, value + error)


def share(name: str, of: int, among: int, most: float | None = None) -> Figure:
    """Return a share in % with its interval (Wilson)."""
    part, z = of / among, 1.96
    middle = (part + z * z / (2 * among)) / (1 + z * z / among)
    error = z / (1 + z * z / among) * math.sqrt(part * (1 - part) / among + z * z / (4 * among * among))
    return Figure(
        name,
        100 * part,
        "%",
        most,
        low=100 * (max(middle - error, 0.0) if of else 0.0),
        high=100 * (middle + error),
    )


def quality(
    name: str, scored: Sequence[Scored], least: float | None = None, most: float | None = None
) -> list[Figure]:
    """Return recall@10 and layers a recall."""
    return [
        mean(f"{name}: recall@10", [s.score for s in scored], least),
        mean(f"{name}: layers a recall", [s.calls for s in scored], most, at_least=False),
    ]


def told(learner: Learner) -> None:
    for decision in learner.decisions:
        progress(f"  {decision.action}: {decision.summary}")


@contextmanager
def shared_world() -> Iterator[World]:
    with gzip.open(SHARED / "conversation_queries.jsonl.gz") as lines:
        asked = [json.loads(line) for line in lines]
    questions = [q for q in asked if not q["adversarial"] and q["evidence"]]
    with tempfile.TemporaryDirectory() as folder, MemoryManager(Path(folder) / "memory.db") as manager:
        ingest_file(manager, SHARED / "conversation_items.jsonl.gz")
        yield World(manager, questions)
