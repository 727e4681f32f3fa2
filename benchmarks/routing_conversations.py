"""Routing on the shared conversations: fixed sets, a plan, dates, what is learned with scores or without."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from harness import Figure, progress
from routing_world import Item, Recorded, Scored, World, mean, quality, told

from athena_tuning.model import LAYERS, TuningConfig
from athena_tuning.recall import LayerQuery
from athena_tuning.recall.time_focus import time_focus


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


def over_draws(draws: Sequence[Sequence[Scored]]) -> list[Scored]:
    """Return what each question had, as the mean over draws: which recalls explore is drawn by chance."""
    return [
        Scored(
            statistics.fmean([s.score for s in same]),
            statistics.fmean([s.calls for s in same]),
            any(s.empty for s in same),
        )
        for same in zip(*draws, strict=True)
    ]


def cold_start(world: World, draws: int) -> list[Figure]:
    """Three passes in the order of the file, over so many draws of what explores."""
    figures = []
    for name, feedback, least, most in (
        ("from a cold start, with feedback", True, 0.745, 2.3),
        ("from a cold start, without feedback", False, 0.735, None),
    ):
        third = []
        for seed in range(draws):
            progress(f"{name}, draw {seed}")
            with world.learner(seed=seed) as learner:
                for _ in range(2):
                    learner.ask_all(world.questions, feedback=feedback)
                third.append(learner.ask_all(world.questions, feedback=feedback))
                told(learner)
        figures += quality(f"{name}, third pass, {draws} draws", over_draws(third), least, most)
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
