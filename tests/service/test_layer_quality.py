"""How good scored answers were by what was asked for them; what leaving a layer out costs and saves."""

from __future__ import annotations

import math

import pytest

from athena_tuning.model import ConfigVersion, Feedback, LayerTask, Mode, QueryMetrics, TuningConfig
from athena_tuning.model.metrics import SECOND_CALL
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.service import layer_quality
from athena_tuning.service.estimate import Estimate
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.service.view import View
from athena_tuning.store import MemoryStore
from athena_tuning.testing.waiting import until

NOW = 1.8e9
DAY = 86_400.0
VIEW = View(NOW - 7 * DAY, NOW + 1)


def recall(
    number: int,
    layers: dict[str, float],
    *,
    kind: str = "factual",
    version: int = 1,
    parallel: bool = True,
    at: float = NOW - 100,
) -> QueryMetrics:
    """A recall whose layers were served for so many ms, all from its beginning or one after another."""
    begins = [0.0 if parallel else sum([*layers.values()][:i]) for i in range(len(layers))]
    tasks = [
        LayerTask(layer, begin, 0.0, ms, 2) for begin, (layer, ms) in zip(begins, layers.items(), strict=True)
    ]
    whole = max(layers.values(), default=0.1) if parallel else sum(layers.values())
    return QueryMetrics(
        f"w-{number}", "who?", kind, at, whole, None, not layers, 3, [*layers], layers, True,
        parallel_execution=parallel, tasks=tuple(tasks), config_version=version,
    )  # fmt: skip


def window(*recalls: tuple[QueryMetrics, float | None]) -> PerformanceProfiler:
    profiler = PerformanceProfiler(window_hours=7 * 24, clock=lambda: NOW)
    for record, _ in recalls:
        profiler.record_query(record)
    for record, score in recalls:
        if score is not None:
            assert profiler.record_feedback(record.query_id, score) is not None
    return profiler


def test_scored_answers_are_told_apart_by_the_layers_that_were_asked() -> None:
    both, one = {"episodic": 4.0, "graph": 9.0}, {"episodic": 4.0}
    profiler = window(
        (recall(1, both), 1.0),
        (recall(2, both), 0.5),
        (recall(3, one), 0.0),
        (recall(4, {}), 1.0),
        (recall(5, one), None),
    )
    by_way = {way.way: way for way in layer_quality.scored_ways(profiler, VIEW)}
    assert {way: (of.scores, of.score.mean, of.calls.mean) for way, of in by_way.items()} == {
        "episodic+graph": (2, 0.75, 2.0),
        "episodic": (1, 0.0, 1.0),
        "from the cache": (1, 1.0, 0.0),
    }
    assert (by_way["episodic+graph"].p50_ms, by_way["episodic+graph"].p99_ms) == (9.0, 9.0)
    assert by_way["episodic+graph"].score.low < 0.75 < by_way["episodic+graph"].score.high
    assert by_way["episodic"].to_dict()["score"] == {"mean": 0.0, "low": None, "high": None}


def test_versions_with_the_same_plan_are_one_plan() -> None:
    graph_later = TuningConfig(second_round=frozenset({"graph"}))
    history = [
        ConfigVersion(n, n - 1, "all", config, Mode.ADVISE, "ann", "why not", float(n))
        for n, config in enumerate((TuningConfig(), TuningConfig(max_concurrent=8), graph_later), 1)
    ]
    profiler = window(*((recall(v, {"graph": 1.0}, version=v), 0.25 * v) for v in (1, 2, 3, 4)))
    plans = {way.way: way.score.mean for way in layer_quality.scored_ways(profiler, VIEW, "plan", history)}
    assert plans == {"by words": 0.375, "by words, graph where fewer than 3 agree": 0.75, "unknown": 1.0}
    versions = {way.way for way in layer_quality.scored_ways(profiler, VIEW, "version", history)}
    assert versions == {"v1", "v2", "v3", "v4"}


def test_a_score_counts_once_whichever_worker_took_it_a_day_late_and_the_last_one_holds() -> None:
    store = MemoryStore()
    store.append_metrics("w", 1, [recall(1, {"graph": 1.0}, at=NOW - DAY - 3600)])
    tail = Tail(store, clock=lambda: NOW)
    tail.look()
    assert layer_quality.scored_ways(tail.profiler, VIEW) == []
    for moment, score in enumerate((0.0, 1.0, 0.5)):
        store.append_feedback([Feedback("w-1", score, NOW - 3600 + moment)])
        tail.look()
    [way] = layer_quality.scored_ways(tail.profiler, VIEW)
    assert (way.way, way.scores, way.score.mean) == ("graph", 1, 0.5)
    begun_later = Tail(store, clock=lambda: NOW)
    begun_later.look()
    assert [way.score.mean for way in layer_quality.scored_ways(begun_later.profiler, VIEW)] == [0.5]


def test_what_a_layer_costs_is_its_calls_its_slot_time_and_how_much_later_recalls_end() -> None:
    profiler = window(
        (recall(1, {"episodic": 4.0, "graph": 9.0}), None),
        (recall(2, {"episodic": 5.0}), None),
        (recall(3, {}), None),
    )
    costs = {(c.query_type, c.layer): c for c in layer_quality.layer_costs(profiler, VIEW)}
    graph, episodic = costs["all", "graph"], costs["factual", "episodic"]
    assert (graph.recalls, graph.calls.mean, graph.slot_ms.mean, graph.latency_ms.mean) == (2, 0.5, 4.5, 2.5)
    assert (episodic.calls.mean, episodic.slot_ms.mean, episodic.latency_ms.mean) == (1.0, 4.5, 2.5)


def test_a_second_call_of_a_slow_layer_is_a_cost_of_that_layer() -> None:
    slow = recall(1, {"episodic": 4.0, "graph": 9.0})
    again = LayerTask(f"graph{SECOND_CALL}", 5.0, 0.0, 4.0, 3)
    slow = slow._replace(tasks=(*slow.tasks, again))
    costs = {c.layer: c for c in layer_quality.layer_costs(window((slow, None)), VIEW)}
    assert set(costs) == {"episodic", "graph"}
    assert (costs["graph"].calls.mean, costs["graph"].slot_ms.mean, costs["graph"].latency_ms.mean) == (
        2,
        13,
        5,
    )


def test_layers_that_run_one_after_another_are_saved_whole() -> None:
    assert layer_quality.ends_earlier_ms(recall(1, {"a": 4.0, "b": 9.0}, parallel=False), "a") == 4.0


def test_scores_lost_are_compared_within_a_type() -> None:
    """Graph is asked where scores are low anyway: over all types together it would look harmful."""
    recalls = []
    for i in range(200):
        kind, asks = ("easy", i % 10 == 0) if i < 100 else ("hard", i % 10 != 0)
        layers = {"episodic": 1.0, **({"graph": 1.0} if asks else {})}
        score = (0.8 if kind == "easy" else 0.2) + (0.1 if asks else 0.0) + 0.01 * (i % 2)
        recalls.append((recall(i, layers, kind=kind), min(score, 1.0)))
    recalls += [(recall(1000 + i, {"graph": 1.0}, kind="easy"), 0.9) for i in range(20)]
    recalls += [(recall(2000 + i, {"episodic": 1.0}, kind="hard"), 0.2) for i in range(20)]
    profiler = window(*recalls)
    costs = {(c.query_type, c.layer): c for c in layer_quality.layer_costs(profiler, VIEW)}
    lost = costs["all", "graph"].score_lost
    assert lost.mean == pytest.approx(0.1, abs=0.01)
    assert 0.05 < lost.low < lost.mean < lost.high < 0.15


def test_scores_that_are_too_few_or_of_one_side_leave_the_loss_unknown() -> None:
    both = {"episodic": 1.0, "graph": 2.0}
    profiler = window(*((recall(i, both), 1.0) for i in range(50)))
    [graph] = [
        c for c in layer_quality.layer_costs(profiler, VIEW.only(layer="graph")) if c.query_type == "all"
    ]
    assert math.isnan(graph.score_lost.mean)
    assert graph.scores == (50, 0)
    assert graph.to_dict()["score_lost"] == {"mean": None, "low": None, "high": None}


def test_parts_of_types_are_weighted_by_their_recalls() -> None:
    profiler = window(
        *((recall(i, {"graph": 1.0}, kind="a"), None) for i in range(30)),
        *((recall(100 + i, {"graph": 1.0}, kind="b"), None) for i in range(10)),
    )
    parts = {"a": {"graph": Estimate.by_error(0.4, 0.01)}, "b": {"graph": Estimate.by_error(0.0, 0.01)}}
    whole = layer_quality.layer_costs(profiler, VIEW, parts)[0]
    assert (whole.query_type, whole.layer) == ("all", "graph")
    assert whole.part_lost.mean == pytest.approx(0.3)
    assert whole.part_lost.error == pytest.approx(0.01 * math.hypot(0.75, 0.25))


def test_what_a_layer_gives_counts_for_the_recalls_that_ask_it() -> None:
    asked = [
        (recall(i, {"graph": 1.0, "meta": 1.0} if i % 4 == 0 else {"meta": 1.0}), None) for i in range(40)
    ]
    parts = {"factual": {"graph": Estimate.by_error(0.4, 0.01)}}
    whole = layer_quality.layer_costs(window(*asked), VIEW.only(layer="graph"), parts)[0]
    assert whole.part_lost.mean == pytest.approx(0.1)


def test_an_empty_window_has_no_rows() -> None:
    assert layer_quality.layer_costs(window(), VIEW) == []
    assert layer_quality.scored_ways(window(), VIEW) == []


def test_the_service_knows_scores_from_the_store_and_parts_from_its_manager(service: TuningService) -> None:
    embedded = service.embedded
    assert embedded is not None
    texts = [f"what happened in the {thing} service?" for thing in ("billing", "search", "login")]
    for text in texts:
        assert embedded.manager.record_feedback(
            embedded.manager.recall(text, use_cache=False)["_query_id"], 1.0
        )

    def known() -> bool:
        service.tail.look()
        view = View(service.now - 600, service.now + 10)
        costs = service.layer_costs(view)
        ways = service.scored_ways(view, "plan")
        return sum(way.scores for way in ways) == 3 and any(cost.part_lost.is_known for cost in costs)

    until(known)
    [way] = service.scored_ways(View(service.now - 600, service.now + 10), "plan")
    assert (way.way, way.score.mean) == ("by words", 1.0)
