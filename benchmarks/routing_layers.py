"""Routing among made layers: noise, one that alone knows, one that becomes useful, words that tell."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

from harness import Figure, progress
from routing_world import Item, Learner, World, mean, share, told

from athena_tuning.model import TuningConfig
from athena_tuning.recall import LayerQuery
from athena_tuning.tuning.policies.layer_advisor import LayerAdvisor
from athena_tuning.tuning.policies.question_advisor import QuestionAdvisor


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


def a_strangers_layer(world: World) -> list[Figure]:
    """A layer of noise beside the five, and one that becomes useful."""
    progress("a stranger's layer")
    noise = Noise()
    with world.learner([*world.layers(), noise]) as learner:
        learner.ask_all(world.questions[:500])
        told(learner)
        before = noise.calls
        learner.ask_all([*world.questions[500:], *world.questions[:168]])
    return [share("noise after 500 recalls: share of recalls that ask it", noise.calls - before, 250, 20.0)]


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
        share(f"sole layer of 1 in 150 questions: of {asked}, answered with nothing", empty, asked, 0.0),
        share("the same layer: share of recalls that ask it", layers[2].calls, recalls),
    ]


def a_layer_becomes_useful(recalls: int, draws: int) -> Figure:
    """Recalls from when a layer finds what nobody else does to when recalls ask it."""
    progress("a layer becomes useful")
    took = [_becomes_useful(recalls, seed) for seed in range(draws)]
    return mean("a layer that becomes useful is asked after, recalls", took, 500.0, at_least=False)


def _becomes_useful(recalls: int, seed: int) -> float:
    useful = [False]
    layers = [Sometimes("semantic", lambda _: True), Sometimes("procedural", lambda _: useful[0])]
    with Learner(layers, seed=seed) as learner:
        for number in range(recalls + 1_000):
            useful[0] = number >= recalls
            text = f"who owns part {number}"
            before = layers[1].calls
            learner.ask({"text": text, "conv": None, "evidence": [f"semantic {text}"]}, feedback=False)
            wanted = learner.configs.for_type("factual").extra_layers
            if useful[0] and "procedural" in wanted and layers[1].calls > before:
                return float(number - recalls)
    return math.inf


_BOOKS, _ALARMS = ("invoice", "refund"), ("outage", "alarm")
_FILLING = ("new", "team", "north", "old", "site", "customer", "report", "second", "first", "region")


class Topics:
    """A layer that knows of some words only, or, without any, a little of everything.

    Args:
        name: its name.
        words: what it knows of.
    """

    keeps_deadline = True

    def __init__(self, name: str, words: tuple[str, ...] = ()) -> None:
        self.name = name
        self._words = words

    def search(self, query: LayerQuery, k: int, deadline: float) -> list[Item]:
        """Return five things that nobody else knows, or what the log says: as much as it says of all."""
        own = any(word in query for word in self._words)
        few = any(word in query for word in (*_BOOKS, *_ALARMS))
        source, most = (self.name, 5) if own else ("log", 3 if few else 10)
        pieces = [f"{source} {n} {query}" for n in range(most)]
        return [{"id": f"{self.name} {p}", "text": f"{self.name} {p}", "evidence": [p]} for p in pieces]


def words_tell(recalls: int, draws: int) -> list[Figure]:
    """Questions of one type, of which a fifth each is known to one layer alone; the last quarter counts."""
    figures = []
    for name, advisors in (
        ("by type alone", (LayerAdvisor(),)),
        ("by question as well", (LayerAdvisor(), QuestionAdvisor())),
    ):
        progress(f"questions whose words tell, learned {name}")
        layers = [
            *(Topics("semantic"), Topics("episodic")),
            *(Topics("graph", _BOOKS), Topics("procedural", _ALARMS)),
        ]
        scored = []
        for seed in range(draws):
            random = Random(seed)
            start = TuningConfig(exploration_share=0.1)
            with Learner(layers, start=start, seed=seed, advisors=advisors) as learner:
                asked = [learner.ask(_question(random, n), feedback=False) for n in range(recalls)]
                scored += asked[-recalls // 4 :]
                told(learner)
        figures += [
            mean(f"words tell, learned {name}: answers found", [s.score for s in scored]),
            mean(f"words tell, learned {name}: layers a recall", [float(s.calls) for s in scored]),
        ]
    return figures


def _question(random: Random, number: int) -> dict[str, Any]:
    drawn, words = random.random(), random.sample(_FILLING, 3)
    source = "graph" if drawn < 0.2 else "procedural" if drawn < 0.4 else "log"
    words += {"graph": [random.choice(_BOOKS)], "procedural": [random.choice(_ALARMS)]}.get(source, [])
    random.shuffle(words)
    text = f"who knows {' '.join(words)} {number}"
    return {"text": text, "conv": None, "evidence": [f"{source} 1 {text}"]}
