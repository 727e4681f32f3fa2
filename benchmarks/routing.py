"""Routing: what the layers that are asked give, and how many they are, while that is learned.

The questions of the shared conversations are put to the real layers, whose answers are then repeated. A
recaller, a tuner in mode AUTO and the configs that it writes run as in a manager, without its threads: gains
are counted and the tuner decides every 25 recalls. Every question is scored before its score is given as
feedback. Intervals are of the mean over questions (95 %).
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

from harness import Figure, median, options, progress, report

from athena_tuning.control.layer_health import HealthMonitor
from athena_tuning.model import LAYERS, TuningBounds, TuningConfig
from athena_tuning.recall import LayerQuery, MemoryManager, ParallelLayerExecutor
from athena_tuning.recall.cache import AnswerCache
from athena_tuning.recall.classification import classify
from athena_tuning.recall.contribution import ContributionCount
from athena_tuning.recall.fusion import PLAIN
from athena_tuning.recall.fusion_fit import FusionCase, fused_list, left_out
from athena_tuning.recall.ingest import ingest_file
from athena_tuning.recall.plan import candidates
from athena_tuning.recall.recaller import Recaller
from athena_tuning.recall.registered_layer import register
from athena_tuning.recall.request import RecallRequest
from athena_tuning.recall.routing import own_layer, select_layers
from athena_tuning.recall.routing.route import route
from athena_tuning.recall.time_focus import time_focus
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.testing.clock import Clock
from athena_tuning.testing.virtual_manager import TunedConfigs
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


class Timeless:
    """A layer that is not told the time that a question is about.

    Args:
        layer: whom it asks.
    """

    keeps_deadline = True

    def __init__(self, layer: Recorded) -> None:
        self.name = layer.name
        self._layer = layer

    def search(self, query: LayerQuery, k: int, deadline: float) -> list[Item]:
        """Return what the layer gives to the bare words."""
        return self._layer.search(LayerQuery(str(query), query.scope, query.query_type), k, deadline)


class Noise:
    """A stranger's layer that finds something to everything, and never what was asked for."""

    keeps_deadline = True
    name = "tickets"

    def __init__(self) -> None:
        self.calls = 0
        self._random = Random(5)

    def search(self, query: LayerQuery, k: int, deadline: float) -> list[Item]:
        """Return tickets, drawn by chance."""
        self.calls += 1
        numbers = self._random.sample(range(10_000), k)
        return [{"id": f"ticket-{n}", "text": f"ticket {n}", "evidence": [f"ticket-{n}"]} for n in numbers]


@dataclass(frozen=True, slots=True)
class Scored:
    """One recall: recall@10, the layers that were asked, whether nothing was found."""

    score: float
    layers: tuple[str, ...]
    empty: bool

    @property
    def calls(self) -> int:
        """How many layers were asked."""
        return len(self.layers)


class Learner(TunedConfigs):
    """The path of recalls and its tuner, by hand.

    Args:
        layers: whom recalls ask.
        start: config at first.
        seed: of exploration.
        learns: whether the tuner may decide; may be set.
    """

    def __init__(
        self,
        layers: Sequence[Any],
        start: TuningConfig | None = None,
        *,
        seed: int = 0,
        learns: bool = True,
    ) -> None:
        super().__init__(ModelPolicy(advisors=(LayerAdvisor(), QuestionAdvisor())), start)
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
            tuple(answer["_layers"]),
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


def quality(
    name: str, scored: Sequence[Scored], least: float | None = None, most: float | None = None
) -> list[Figure]:
    """Return recall@10 and layers a recall."""
    return [
        mean(f"{name}: recall@10", [s.score for s in scored], least),
        mean(f"{name}: layers a recall", [s.calls for s in scored], most, at_least=False),
    ]


def fixed_sets(world: World) -> list[Figure]:
    progress("fixed sets")
    figures = []
    for names in (("episodic", "semantic"), ("episodic", "semantic", "graph"), LAYERS):
        figures += quality("+".join(names), world.fixed(names))
    table = TuningConfig(exploration_share=0.0)
    return figures + quality("chosen by the table", world.fixed(LAYERS, table))


def a_plan(world: World) -> list[Figure]:
    """Graph in a second round, question by question beside all three at once."""
    names = ("episodic", "semantic", "graph")
    whole = world.fixed(names)
    plan = TuningConfig(
        extra_layers=frozenset(names), second_round=frozenset({"graph"}), exploration_share=0.0
    )
    rounds = world.fixed(names, plan)
    saved = [1 - b.calls / a.calls for a, b in zip(whole, rounds, strict=True)]
    lost = [a.score - b.score for a, b in zip(whole, rounds, strict=True)]
    return [
        mean("graph in a second round: share of layer calls saved", saved, 0.24),
        mean("graph in a second round: recall@10 lost", lost, 0.005, at_least=False),
    ]


def questions_with_a_date(world: World) -> list[Figure]:
    """Items of the period that a question names, weighed and not."""
    dated = [q for q in world.questions if (f := time_focus(q["text"], 0.0)) and f.start > 0]
    names = ("episodic", "semantic", "graph")
    whole, bare = (world.fixed(names, questions=dated, wrap=wrap) for wrap in (lambda layer: layer, Timeless))
    name = f"{len(dated)} questions that name a date"
    gained = [a.score - b.score for a, b in zip(whole, bare, strict=True)]
    return [
        mean(f"{name}, by their words alone: recall@10", [s.score for s in bare]),
        mean(f"{name}, items of that time first: recall@10", [s.score for s in whole]),
        mean(f"{name}: recall@10 gained", gained, 0.02),
    ]


def learned_fusion(world: World) -> list[Figure]:
    """Weights of layers and rank constant, learned on three conversations and tried on the fourth."""
    progress("fusion weights, a conversation left out")
    names = ("episodic", "semantic", "graph")
    layers, cases = world.layers(names), []
    for question in world.questions:
        kind = classify(question["text"])
        when = time_focus(question["text"], 0.0)
        query = LayerQuery(question["text"], question["conv"], kind, when=when)
        lists = {layer.name: layer.search(query, 15, math.inf) for layer in layers}
        if (own := own_layer(kind)) in lists:
            lists = {own: lists[own], **lists}
        cases.append(FusionCase(lists, frozenset(question["evidence"]), question["conv"]))
    plain, learned = (
        [
            recall_at_10(fused_list(case, 10, rule), sorted(case.evidence))
            for case, rule in zip(cases, rules, strict=True)
        ]
        for rules in ([PLAIN] * len(cases), left_out(cases, 10))
    )
    gained = [after - before for before, after in zip(plain, learned, strict=True)]
    name = f"{'+'.join(names)}, fusion learned on three conversations, on the fourth"
    return [mean(f"{name}: recall@10", learned, 0.76), mean(f"{name}: gained", gained, 0.0)]


def cold_start(world: World) -> list[Figure]:
    figures = []
    for name, feedback, least, most in (
        ("from a cold start, with feedback", True, 0.745, 2.3),
        ("from a cold start, without feedback", False, 0.735, None),
    ):
        progress(name)
        with world.learner() as learner:
            for _ in range(2):
                learner.ask_all(world.questions, feedback=feedback)
            figures += quality(
                f"{name}, third pass", learner.ask_all(world.questions, feedback=feedback), least, most
            )
            told(learner)
    return figures


def left_out_conversation(world: World) -> list[Figure]:
    progress("learned on three conversations, tried on the fourth")
    scored = []
    for tried in sorted({question["conv"] for question in world.questions}):
        with world.learner() as learner:
            others = [question for question in world.questions if question["conv"] != tried]
            for _ in range(3):
                learner.ask_all(others)
            learner.learns = False
            own = [question for question in world.questions if question["conv"] == tried]
            scored += learner.ask_all(own, feedback=False)
    return quality("learned on three conversations, tried on the fourth", scored, 0.735)


def exchanged(world: World, turns: Sequence[int]) -> list[Figure]:
    """The contents of the layers under each other's names: what the table says is wrong."""
    figures = []
    third: list[Scored] = []
    for turn in turns:
        contents = (*LAYERS[turn:], *LAYERS[:turn])
        name = f"contents exchanged ({turn} on)"
        progress(name)
        with world.learner(world.layers(LAYERS, contents)) as learner:
            first = learner.ask_all(world.questions)
            figures += quality(f"{name}, first pass", first)
            learner.ask_all(world.questions)
            learnt = learner.ask_all(world.questions)
            figures += quality(f"{name}, third pass", learnt)
            third += learnt
            told(learner)
    return figures + quality("contents exchanged, all of these, third pass", third, 0.735)


def a_strangers_layer(world: World) -> list[Figure]:
    """A layer of noise beside the five, and one that becomes useful."""
    progress("a stranger's layer")
    noise = Noise()
    with world.learner([*world.layers(), noise]) as learner:
        learner.ask_all(world.questions[:500])
        told(learner)
        before = noise.calls
        learner.ask_all([*world.questions[500:], *world.questions[:168]])
        share = (noise.calls - before) / 250
    return [Figure("noise after 500 recalls: share of recalls that ask it", 100 * share, "%", 50.0)]


class Sometimes:
    """A layer that finds something to few questions, or to none but those that nobody else answers.

    Args:
        name: its name.
        answers: says whether it finds anything.
    """

    keeps_deadline = True

    def __init__(self, name: str, answers: Callable[[str], bool]) -> None:
        self.name = name
        self.calls = 0
        self._answers = answers

    def search(self, query: LayerQuery, k: int, deadline: float) -> list[Item]:
        """Return one item, or nothing."""
        self.calls += 1
        if not self._answers(query):
            return []
        found = f"{self.name} {query}"
        return [{"id": found, "text": found, "evidence": [found]}]


def the_only_one_that_knows(recalls: int) -> list[Figure]:
    """A layer without which one question in 150 is not answered at all."""
    progress("a layer that alone answers 1 in 150 questions")
    layers = [
        Sometimes("semantic", lambda query: "rare" not in query),
        Sometimes("episodic", lambda query: "rare" not in query),
        Sometimes("graph", lambda query: "rare" in query),
    ]
    empty = asked = 0
    with Learner(layers) as learner:
        for number in range(recalls):
            rare = number % 150 == 149
            text = f"who knows {'rare' if rare else 'part'} {number}"
            scored = learner.ask(
                {"text": text, "conv": None, "evidence": [f"{'graph' if rare else 'semantic'} {text}"]}
            )
            empty += rare and scored.empty
            asked += rare
        told(learner)
    return [
        Figure(f"sole layer of 1 in 150 questions: of {asked}, answered with nothing", empty, "", 0.0),
        Figure("the same layer: share of recalls that ask it", 100 * layers[2].calls / recalls, "%"),
    ]


def a_layer_becomes_useful(recalls: int) -> Figure:
    """Recalls from when a layer finds what nobody else does to when recalls ask it."""
    progress("a layer becomes useful")
    useful = [False]
    layers = [Sometimes("semantic", lambda _: True), Sometimes("procedural", lambda _: useful[0])]
    with Learner(layers) as learner:
        for number in range(recalls + 500):
            useful[0] = number >= recalls
            text = f"who owns part {number}"
            before = layers[1].calls
            learner.ask({"text": text, "conv": None, "evidence": [f"semantic {text}"]}, feedback=False)
            wanted = learner.configs.for_type("factual").extra_layers
            if useful[0] and "procedural" in wanted and layers[1].calls > before:
                return Figure(
                    "a layer that becomes useful is asked after", float(number - recalls), "recalls", 500.0
                )
    return Figure("a layer that becomes useful is asked after", math.inf, "recalls", 500.0)


def told(learner: Learner) -> None:
    for decision in learner.decisions:
        progress(f"  {decision.action}: {decision.summary}")


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


def cpu_of_routing(questions: Sequence[Question]) -> Figure:
    config = TuningConfig(extra_layers=frozenset({"episodic"}), second_round=frozenset({"graph"}))
    queries = [(q["text"], classify(q["text"])) for q in questions]

    def once() -> float:
        began = time.process_time()
        for text, query_type in queries:
            route(text, query_type, LAYERS, config)
        return (time.process_time() - began) / len(queries) * 1e6

    return Figure("CPU of routing a recall", median([once() for _ in range(9)]), "µs", 15.0)


@contextmanager
def shared_world() -> Iterator[World]:
    with gzip.open(SHARED / "conversation_queries.jsonl.gz") as lines:
        asked = [json.loads(line) for line in lines]
    questions = [q for q in asked if not q["adversarial"] and q["evidence"]]
    with tempfile.TemporaryDirectory() as folder, MemoryManager(Path(folder) / "memory.db") as manager:
        ingest_file(manager, SHARED / "conversation_items.jsonl.gz")
        yield World(manager, questions)


def main() -> int:
    asked = options(__doc__)
    if not SHARED.is_dir():
        progress("the shared conversations are not beside the project: nothing to measure")
        return 0
    with shared_world() as world:
        figures = fixed_sets(world)
        figures += a_plan(world)
        figures += questions_with_a_date(world)
        figures += cold_start(world)
        figures += exchanged(world, (1,) if asked.quick else (1, 2, 3, 4))
        figures += cache_by_layer((5,)) + cache_by_layer((3, 5, 10))
        figures += a_strangers_layer(world)
        if not asked.quick:
            figures += left_out_conversation(world) + learned_fusion(world)
        figures += the_only_one_that_knows(1_500 if asked.quick else 10_000)
        figures.append(a_layer_becomes_useful(1_000 if asked.quick else 3_000))
        figures.append(cpu_of_routing(world.questions))
    return report(figures, asked)


if __name__ == "__main__":
    raise SystemExit(main())
