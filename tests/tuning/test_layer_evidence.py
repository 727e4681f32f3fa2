"""What observations say of the layers that a type asks: added, deferred, suspected, taken back."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping

import pytest

from athena_tuning.model import TuningConfig, TuningStrategy
from athena_tuning.tuning.estimation.contributions import Contributions
from athena_tuning.tuning.estimation.layer_value import Gain, Share
from athena_tuning.tuning.policies.layer_evidence import Change, WaitTimes, change
from athena_tuning.tuning.settings import CONTRIBUTION, LAYERS

ASKED = {"episodic": Gain(3, 10, 1, 9), "semantic": Gain(4, 10, 1, 8), "graph": Gain(3, 10, 0, 8)}
"""Three layers that confirm each other; graph finds nothing alone."""


class Type:
    """Observations of one type of query."""

    def __init__(self, config: TuningConfig | None = None) -> None:
        self.config = config or TuningConfig()
        self.seen = Contributions()
        self.time = 0.0

    def observe(self, gains: Mapping[str, Gain], times: int, *, explored: tuple[str, ...] = ()) -> None:
        for _ in range(times):
            self.time += 1
            self.seen.note("factual", gains, self.time, explored=explored)

    def rate(self, layers: list[str], score: float, times: int) -> None:
        for i in range(times):
            self.seen.rate("factual", layers, score + (0.1 if i % 2 else -0.1))

    def change(
        self, strategy: TuningStrategy = TuningStrategy.BALANCED, waits: Mapping[str, WaitTimes] | None = None
    ) -> Change | None:
        values = self.seen.values().get("factual", {})
        return change(values, self.config, "factual", strategy, {}, {}, waits or {})


def test_a_layer_that_is_not_asked_is_added_when_it_would_surely_be_a_good_part_of_the_answer() -> None:
    of = Type()
    of.observe({"semantic": Gain(8, 10, 8), "notes": Gain(4, 10, 4)}, 20, explored=("notes",))
    made = of.change()
    assert made is not None
    assert made.sets(of.config) == {"extra_layers": {"notes"}}
    assert "notes 40%" in made.why


def test_a_layer_is_added_to_the_second_round_where_the_others_surely_agree_without_it() -> None:
    of = Type()
    of.observe({**ASKED, "notes": Gain(2, 10, 0, 6)}, 20, explored=("notes",))
    made = of.change()
    assert made is not None
    assert made.sets(of.config) == {"extra_layers": {"notes"}, "second_round": {"notes"}}
    assert "notes can wait" in made.why


def test_a_layer_is_added_at_once_where_the_others_disagree_time_counts_most_or_it_is_a_large_part() -> None:
    disagreeing, agreeing, large = Type(), Type(), Type()
    disagreeing.observe({**ASKED, "notes": Gain(2, 10, 0, 1)}, 20, explored=("notes",))
    agreeing.observe({**ASKED, "notes": Gain(2, 10, 0, 6)}, 20, explored=("notes",))
    large.observe({**ASKED, "notes": Gain(4, 10, 1, 6)}, 20, explored=("notes",))
    for made in (disagreeing.change(), agreeing.change(TuningStrategy.LATENCY), large.change()):
        assert made is not None
        assert made.sets(TuningConfig()) == {"extra_layers": {"notes"}}


@pytest.mark.parametrize(("pieces", "times"), [(1, 30), (4, LAYERS.explored_least - 1)])
def test_a_small_part_or_a_few_recalls_add_no_layer(pieces: int, times: int) -> None:
    of = Type()
    of.observe({"semantic": Gain(8, 10, 8), "notes": Gain(pieces, 10, pieces)}, times, explored=("notes",))
    assert of.change() is None


def test_a_layer_that_becomes_useful_is_seen_in_the_recalls_that_explored_last() -> None:
    of = Type()
    of.observe({"semantic": Gain(8, 10, 8), "notes": Gain(0, 10)}, 400, explored=("notes",))
    of.observe({"semantic": Gain(8, 10, 8), "notes": Gain(6, 10, 6)}, 10, explored=("notes",))
    made = of.change()
    assert made is not None
    assert made.layers == ("notes",)


def test_a_layer_that_finds_nothing_alone_waits_where_the_others_agree_on_enough() -> None:
    of = Type()
    of.observe(ASKED, 100)
    made = of.change()
    assert made is not None
    assert made.sets(of.config) == {"second_round": {"graph"}}


def test_under_latency_no_layer_waits_for_a_second_round() -> None:
    of = Type()
    of.observe(ASKED, 100)
    assert of.change(TuningStrategy.LATENCY) is None


def test_no_layer_waits_where_the_others_agree_on_little_or_only_one_would_be_left() -> None:
    of = Type()
    of.observe({**ASKED, "graph": Gain(3, 10, 0, 2)}, 100)
    assert of.change() is None
    two = Type()
    two.observe({"episodic": Gain(5, 10, 3), "graph": Gain(3, 10, 0, 9)}, 100)
    assert two.change() is None


def test_what_nobody_confirms_waits_only_where_scores_can_tell_whether_it_is_noise() -> None:
    noise = {**ASKED, "graph": Gain(3, 10, 1, 8), "tickets": Gain(2, 10, 2, 8)}
    of = Type()
    of.observe(noise, 50)
    assert of.change() is None
    of.rate(list(noise), 0.6, CONTRIBUTION.scores)
    made = of.change()
    assert made is not None
    assert made.sets(of.config) == {"second_round": {"tickets"}}


def test_a_layer_of_the_second_round_is_asked_at_once_again_when_scores_are_lower_without_it() -> None:
    of = Type(TuningConfig(second_round=frozenset({"graph"})))
    of.observe(ASKED, 30, explored=("graph",))
    of.rate(["episodic", "semantic", "graph"], 0.9, 40)
    of.rate(["episodic", "semantic"], 0.5, 40)
    made = of.change()
    assert made is not None
    assert made.back
    assert made.sets(of.config) == {"second_round": frozenset()}
    assert "score 0.40 lower without graph" in made.why


def test_an_added_layer_goes_again_when_scores_are_lower_with_it() -> None:
    of = Type(TuningConfig(extra_layers=frozenset({"tickets"})))
    of.rate(["semantic", "tickets"], 0.5, 40)
    of.rate(["semantic"], 0.9, 40)
    made = of.change()
    assert made is not None
    assert made.sets(of.config) == {"extra_layers": frozenset()}


def test_a_layer_that_is_left_out_is_no_longer_added_nor_waits() -> None:
    config = TuningConfig(extra_layers=frozenset({"graph"}), second_round=frozenset({"graph"}))
    made = Change("skipped_layers", ("graph",), "Leave out", "", "")
    assert made.sets(config) == {
        "skipped_layers": {"graph"},
        "extra_layers": frozenset(),
        "second_round": frozenset(),
    }


def test_a_layer_at_the_border_is_hardly_ever_left_out_however_often_it_is_looked_at() -> None:
    """A bound for one look, 95 %, is crossed in half of the worlds when it is looked at a hundred times."""
    wrong = dict.fromkeys(("once", "again and again"), 0)
    for world in range(100):
        chance = random.Random(world)
        seen: deque[bool] = deque(maxlen=CONTRIBUTION.kept)
        ended: set[str] = set()
        for recall in range(1, 5001):
            seen.append(chance.random() < LAYERS.negligible)
            if recall % LAYERS.wakes_every == 0:
                share = Share(sum(seen), len(seen))
                if share.upper < LAYERS.negligible:
                    ended.add("once")
                if share.stays_below(LAYERS.negligible):
                    ended.add("again and again")
        for rule in ended:
            wrong[rule] += 1
    assert wrong["once"] > 25
    assert wrong["again and again"] <= 10


def test_a_layer_that_adds_nothing_is_left_out_after_two_hundred_and_fifty_recalls() -> None:
    assert Share(0, 250).stays_below(LAYERS.negligible)
    assert not Share(0, 240).stays_below(LAYERS.negligible)
    assert Share(1, 600).stays_below(LAYERS.negligible)


def test_a_layer_waits_only_where_recalls_take_hardly_longer_for_it() -> None:
    """The others agree in nine of ten recalls. Graph takes twice, or four times as long as they do."""
    of = Type()
    of.observe(ASKED, 90)
    of.observe({layer: gain._replace(agreed=0) for layer, gain in ASKED.items()}, 10)
    quick, slow = WaitTimes(50.0, 50.0, 50.0), WaitTimes(50.0, 200.0, 50.0)
    made = of.change(waits={"graph": quick})
    assert made is not None
    assert made.layers == ("graph",)
    assert "1.10 times as long" in made.why
    found = of.change(waits={"graph": slow})
    assert found is None or "graph" not in found.layers
    by_throughput = of.change(TuningStrategy.THROUGHPUT, {"graph": slow})
    assert by_throughput is not None
    assert by_throughput.layers == ("graph",)
