"""Layer selection: out only when surely useless, back when useful again, quality before all."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.model import (
    Action,
    ConfigSet,
    ConfigVersion,
    Decision,
    LayerTask,
    Mode,
    QueryMetrics,
    TuningBounds,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.testing.virtual_manager import TunedConfigs
from athena_tuning.tuning.estimation.contributions import Contributions
from athena_tuning.tuning.estimation.layer_value import Gain, Mean, Quality, Share
from athena_tuning.tuning.estimation.telemetry import measured
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.advisors import Advice
from athena_tuning.tuning.policies.layer_advisor import LayerAdvisor, LayerFinding, wait_times
from athena_tuning.tuning.policies.layer_evidence import WaitTimes
from athena_tuning.tuning.policies.model_policy import ModelPolicy
from athena_tuning.tuning.settings import ADVISORS, CONTRIBUTION

PACE, KEPT, TYPES = ADVISORS.pace, CONTRIBUTION.kept, CONTRIBUTION.types
NOW = 1_750_000_000.0


class World(TunedConfigs):
    """Recalls of one type that ask semantic, graph and episodic, of which some add something."""

    def __init__(self, start: TuningConfig | None = None) -> None:
        super().__init__(ModelPolicy(advisors=(LayerAdvisor(),)), start)
        self.seen = self.tuner.contributions
        self.useful = {"semantic": 1.0, "graph": 0.0, "episodic": 0.5}
        self.scores: dict[bool, float] | None = None  # by whether graph was asked
        self.recalls = 0

    @property
    def made(self) -> list[Decision]:
        """What was decided, "no change" left out."""
        return [d for d in self.decisions if d.action is not Action.KEEP]

    @property
    def out(self) -> frozenset[str]:
        return self.configs.for_type("factual").skipped_layers

    def run(self, recalls: int) -> None:
        for _ in range(recalls):
            self.recalls += 1
            self.clock.now += 0.1
            held_back = self.recalls % 25 == 0
            asked = [layer for layer in self.useful if layer not in self.out or held_back]
            gains = {name: Gain(self.recalls % 100 < 100 * self.useful[name]) for name in asked}
            self.seen.note("factual", gains, self.clock.now)
            if self.scores is not None:
                self.seen.rate("factual", asked, self.scores["graph" in asked])
            tasks = tuple(LayerTask(layer, 0.0, 0.0, 10.0, 1) for layer in asked)
            self.profiler.record_query(
                QueryMetrics(
                    *("q", "?", "factual", self.clock.now, 12.0, None, False, 1, asked),
                    dict.fromkeys(asked, 10.0),
                    True,
                    tasks=tasks,
                )
            )
            if self.recalls % 25 == 0:
                self.step()
                self.step()  # a review has two slices


def test_a_layer_that_adds_nothing_is_left_out_for_its_type_alone() -> None:
    world = World()
    world.run(600)
    assert world.out == {"graph"}
    assert world.configs.for_type("meta").skipped_layers == frozenset()
    made = world.made[0]
    assert made.scope == "factual"
    assert made.summary.startswith("Leave out graph for factual: graph added to 0 of")
    assert made.reasons[0].inputs["upper"] < 0.015
    assert made.predicted == pytest.approx(-0.405, abs=0.02)  # ln(2/3) of the slot time


@pytest.mark.slow
def test_the_verdict_holds_prediction_beside_observation() -> None:
    world = World()
    world.run(600 + PACE + 200)
    verdict = world.made[1]
    assert verdict.action is Action.CONFIRM
    assert verdict.verdict_on == world.made[0].decision_id
    assert verdict.observed == pytest.approx(verdict.predicted, abs=0.05)  # 4 % ask everything


@pytest.mark.slow
def test_a_layer_that_adds_to_one_answer_in_fifty_stays() -> None:
    world = World()
    world.useful["graph"] = 0.02
    world.run(5000)
    assert world.out == frozenset()


def test_a_dropped_layer_comes_back_when_it_becomes_useful_again() -> None:
    world = World()
    world.run(600)
    assert world.out == {"graph"}
    world.useful["graph"] = 0.3
    world.run(500)
    assert world.out == frozenset()
    assert any("graph would add to" in made.summary for made in world.made)
    world.run(1000)
    assert world.out == frozenset()


@pytest.mark.slow
def test_it_comes_back_also_after_its_trial() -> None:
    world = World()
    world.run(2500)
    assert world.out == {"graph"}
    assert world.made[-1].action is Action.CONFIRM
    world.useful["graph"] = 0.3
    world.run(2200)
    assert world.out == frozenset()
    assert any(d.summary.startswith("Bring back graph for factual") for d in world.made)


@pytest.mark.slow
def test_scores_that_fall_without_a_layer_stop_a_drop_and_undo_one() -> None:
    world = World()
    world.seen.note("factual", {"graph": Gain(0)}, NOW)
    for i in range(200):
        world.seen.rate("factual", ["semantic", "graph"] if i % 2 else ["semantic"], 0.9 if i % 2 else 0.5)
    world.run(1500)
    assert world.out == frozenset()

    world = World()
    world.scores = {True: 0.9, False: 0.6}
    world.run(1400)
    assert world.made[0].after.skipped_layers == {"graph"}  # all had asked it: nothing to compare with
    assert world.out == frozenset()
    assert "lower without graph" in world.made[-1].summary


def test_layers_that_say_the_same_do_not_both_go() -> None:
    """Where semantic and graph are twins, neither adds anything, until one of them is out."""
    seen = Contributions()
    twins = {"semantic": Gain(0), "graph": Gain(0), "episodic": Gain(1)}
    for i in range(400):
        seen.note("factual", twins, NOW + i)
    advisor = LayerAdvisor()

    def advice(configs: ConfigSet) -> Advice | None:
        at = (configs, TuningStrategy.BALANCED, TuningBounds(), 10, 100, NOW)
        return advisor.advise(Evidence(*at, values=seen.values()), LayerFinding(), "factual")

    first = advice(ConfigSet())
    assert first is not None
    assert len(first.values["skipped_layers"]) == 1
    out = TuningConfig(skipped_layers=frozenset(first.values["skipped_layers"]))
    configs = ConfigSet().with_version(ConfigVersion(1, 0, "factual", out, Mode.AUTO, "t", "", NOW + 400))
    seen.begin(lambda query_type: configs.by_type[query_type].time)
    assert advice(configs) is None  # old observations were under both
    for i in range(400):
        seen.note("factual", dict.fromkeys(twins, Gain(1)), NOW + 401 + i)
    assert advice(configs).back  # type: ignore[union-attr]


@pytest.mark.slow
def test_where_no_layer_adds_anything_none_goes() -> None:
    world = World()
    world.useful = dict.fromkeys(world.useful, 0.0)
    world.run(2000)
    assert world.out == frozenset()


@pytest.mark.slow
def test_a_type_that_asks_everything_by_config_is_left_alone() -> None:
    world = World(TuningConfig(layer_selection_enabled=False))
    world.run(2000)
    assert world.made == []


def chance(successes: range, n: int, p: float) -> float:
    """Return the chance that the successes in n tries are of this number."""
    return math.fsum(
        math.exp(math.log(math.comb(n, k)) + k * math.log(p) + (n - k) * math.log1p(-p)) for k in successes
    )


@given(st.integers(1, 1000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_bounds_are_clopper_and_pearsons(counts: tuple[int, int]) -> None:
    """At the upper bound so few successes have a chance of 5 %, at the lower bound so many."""
    added, n = counts
    share = Share(added, n)
    if added == n:
        assert share.upper == 1
    else:
        assert chance(range(added + 1), n, share.upper) == pytest.approx(0.05, rel=1e-6)
    if added == 0:
        assert share.lower == 0
    else:
        assert chance(range(added, n + 1), n, share.lower) == pytest.approx(0.05, rel=1e-6)
    assert share.surely_above(0.02) == (share.lower > 0.02)


def test_scores_count_only_beyond_chance() -> None:
    def lost(asked: tuple[float, ...], not_asked: tuple[float, ...]) -> float | None:
        return Quality(Mean.of(asked), Mean.of(not_asked)).lost_without()

    assert lost((0.9,) * 19, (0.1,) * 50) is None
    assert lost((0.9,) * 30, (0.6,) * 30) == pytest.approx(0.3)
    assert lost((1.0, 0.0) * 15, (0.9, 0.0) * 15) is None
    assert lost((0.6,) * 30, (0.9,) * 30) is None


def test_the_last_score_of_a_recall_counts() -> None:
    seen = Contributions()
    for score in (0.0, 1.0):
        seen.rate("factual", ["graph"], score, query_id="w-1")
        seen.rate("factual", ["graph"], score)
    asked = seen.values()["factual"]["graph"].quality.asked
    assert (asked.n, asked.mean) == (3, pytest.approx(2 / 3))


def test_what_is_kept_is_bounded() -> None:
    seen = Contributions()
    for i in range(KEPT + 50):
        seen.note("factual", {"graph": Gain(i % 2)}, NOW + i)
        seen.rate("factual", ["graph"], 1.0)
    graph = seen.values()["factual"]["graph"]
    assert graph.share == Share(KEPT // 2, KEPT)
    assert graph.quality.asked.n == KEPT
    for i in range(2 * TYPES):
        seen.note(f"type {i}", {"graph": Gain(1)}, NOW)
        seen.rate(f"type {i}", ["graph"], 1.0)
    assert len(seen.values()) == TYPES


def test_what_waiting_costs_is_what_the_others_take_and_then_the_layers_own_time() -> None:
    tasks = (LayerTask("semantic", 0.0, 0.0, 40.0, 1), LayerTask("graph", 0.0, 5.0, 60.0, 2))
    record = QueryMetrics(
        "q", "?", "factual", NOW, 65.0, None, False, 1, ["semantic", "graph"], {}, True, tasks=tasks
    )
    one = measured(record)
    assert one is not None
    assert wait_times([one, one])["factual"] == {
        "semantic": WaitTimes(65.0, 40.0, 65.0),
        "graph": WaitTimes(40.0, 60.0, 65.0),
    }
    alone = measured(record._replace(tasks=tasks[:1]))
    assert alone is not None
    assert wait_times([alone]) == {}
