"""What Overview says first, on recorded incidents: which rule speaks, its reason and its way out."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from athena_tuning.control import scope_watch
from athena_tuning.model import (
    Action,
    BreakerState,
    ConfigVersion,
    Decision,
    LayerHealth,
    Mode,
    Objective,
    QueryMetrics,
    TuningConfig,
    WorkerStatus,
)
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.service import fact_gathering
from athena_tuning.service.facts import Act, Burn, Facts, RecentChange, SickLayer, Stretch
from athena_tuning.service.situation import judge
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.store import StoreEvent, open_store
from tests.support.dashboard import OPERATOR, fill

NOW = 1_790_000_000.0
PROMISE = Objective("all", 250.0)
KEPT = Objective(success=0.999)
WELL = Facts(
    NOW,
    recent=Stretch(1500, 5.0, 17.0, 0.0, 0.0, 0.0),
    usual=Stretch(18_000, 5.0, 16.0, 0.0, 0.0, 0.0),
    usual_when="an hour ago",
    is_asked=True,
    burns=(Burn(PROMISE, "p99", 0.02, 0.03, 0.9997, 0.056),),
)
V7 = RecentChange(
    7,
    6,
    NOW - 1500,
    "tasks in flight 5 → 12",
    Stretch(3000, 5.0, 17.0),
    Stretch(3000, 5.1, 430.0),
    in_force=True,
)
ROLLBACK = Decision(
    "d", NOW - 60, "model", "all", Action.ROLLBACK, TuningConfig(), TuningConfig(), "took v7 back", 900
)


def with_recent(**shares: float) -> Facts:
    return replace(WELL, recent=replace(WELL.recent, **shares))


def with_burn(objective: Objective, of_what: Literal["p99", "success"], *paces: float) -> Facts:
    return replace(WELL, burns=(Burn(objective, of_what, *paces),))


def test_what_is_well_says_how_the_promise_is_kept_and_what_of_the_budget_is_used() -> None:
    said = judge(WELL)
    assert said.level == "good"
    assert said.sentence == "Fine: 99.97 % of the recalls came within 250 ms today."
    assert said.reasons == ("5.6 % of the month's budget is used.",)
    assert said.ways_out[0].act is Act.PROMISE


def test_a_config_that_made_p99_rise_is_named_and_can_be_rolled_back() -> None:
    slow = replace(
        WELL, recent=Stretch(1500, 5.0, 428.0, 0.0, 0.0, 0.0), waiting=87, change=V7,
        burns=(Burn(PROMISE, "p99", 14.0, 11.0),),
    )  # fmt: skip
    said = judge(slow)
    assert said.level == "bad"
    assert said.sentence == "p99 is 428 ms, 27 times what it was an hour ago; 87 tasks wait."
    assert "with v7: tasks in flight 5 → 12; the load is the same." in said.reasons[0]
    assert (
        said.reasons[1]
        == "14.0 % of the recalls miss the promised 250 ms: the budget burns 11 times too fast."
    )
    assert (said.ways_out[0].act, said.ways_out[0].target) == (Act.ROLL_BACK, "6")


def test_a_config_that_was_taken_back_is_named_but_not_offered_again() -> None:
    said = judge(replace(WELL, recent=Stretch(1500, 5.0, 428.0), change=replace(V7, in_force=False)))
    assert "with v7" in said.reasons[0]
    assert all(way.act is not Act.ROLL_BACK for way in said.ways_out)


def test_a_load_that_grew_is_said_beside_the_config() -> None:
    grown = replace(V7, after=Stretch(9000, 15.0, 430.0))
    said = judge(replace(WELL, recent=Stretch(1500, 5.0, 428.0), change=grown))
    assert "the load is 3.0 times what it was" in said.reasons[0]


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (replace(WELL, unreachable="disk error", read_at=NOW - 600), "bad", "The store cannot be read since"),
        (replace(WELL, alive=0), "bad", "No manager is alive on this store."),
        (with_recent(refused=0.2), "bad", "20.0 % of the recalls are refused"),
        (with_recent(failed=0.05), "bad", "5.0 % of the recalls fail."),
        (with_burn(PROMISE, "p99", 12.0, 10.5), "bad", "12.0 % of the recalls miss the promised"),
        (with_burn(PROMISE, "p99", 3.0, 2.0), "warn", "3.0 % of the recalls miss the promised"),
        (with_burn(KEPT, "success", 3.0, 2.0), "warn", "0.3 % of the recalls fail or are refused"),
        (replace(WELL, recent=Stretch(1500, 5.0, 40.0)), "warn", "p99 is 40.0 ms, 2.5 times what it was"),
        (replace(WELL, sick=(SickLayer("graph", 2, NOW - 60, "it fails"),)), "warn", "graph is left out"),
        (replace(WELL, gone=("recall-b",)), "warn", "recall-b has not reported"),
        (replace(WELL, lost=0.02), "warn", "2.0 % of the records were lost"),
        (replace(WELL, events=(StoreEvent(NOW - 9, "clock", "back 40 s"),)), "warn", "A clock stepped at"),
        (replace(WELL, events=(StoreEvent(NOW, "restored", "earlier"),)), "warn", "The store was restored"),
        (replace(WELL, taken_back=(ROLLBACK,)), "warn", "The tuner took a trial back"),
        (replace(WELL, is_asked=False, burns=()), "quiet", "Nothing is promised yet: which p99 do you"),
        (replace(WELL, burns=()), "good", "Nothing stands out: p99 17.0 ms at 5 /s."),
        (replace(WELL, recent=Stretch(0), load_alone=True), "quiet", "Load alone in the last five"),
        (replace(WELL, recent=Stretch(0)), "quiet", "No recall in the last five minutes."),
    ],
)  # fmt: skip
def test_each_rule_speaks_where_it_applies(facts: Facts, level: str, words: str) -> None:
    said = judge(facts)
    assert said.level == level
    assert said.sentence.startswith(words)


@pytest.mark.parametrize(
    "burn", [Burn(PROMISE, "p99", 40.0, 0.4), Burn(PROMISE, "p99", 0.0, 30.0)], ids=["a blip", "what is over"]
)
def test_a_budget_that_burns_in_one_window_alone_is_not_told(burn: Burn) -> None:
    assert judge(replace(WELL, burns=(burn,))).level == "good"


def test_what_is_worse_is_said_first_and_the_rest_behind_it() -> None:
    said = judge(replace(WELL, gone=("recall-b",), recent=Stretch(900, 3.0, 17.0, 0.05, 0.0, 0.0)))
    assert said.sentence == "5.0 % of the recalls fail."
    assert said.reasons == ("recall-b has not reported for some time.",)


# From recorded incidents to the facts


def recorded(*stretches: tuple[float, float, float, float, int]) -> PerformanceProfiler:
    """Return a window of (from, to, recalls/s, times as slow, version), in seconds before now."""
    profiler = PerformanceProfiler(clock=lambda: NOW, window_hours=48, max_metrics=100_000)
    like = [m for m in load_records("mixed", ending_at=NOW) if not m.cache_hit and m.success]
    made: list[QueryMetrics] = []
    for start, end, per_second, slower, version in stretches:
        for i in range(round((start - end) * per_second)):
            m = like[i % len(like)]
            at, ms = NOW - start + i / per_second, (m.latency_ms or 1.0) * slower
            made.append(
                m._replace(
                    query_id=f"q{len(made)}",
                    timestamp=at,
                    latency_ms=ms,
                    config_version=version,
                    source="live",
                )
            )
    for m in sorted(made, key=lambda m: m.timestamp):
        profiler.record_query(m)
    return profiler


def version(number: int, limit: int, before_now: float) -> ConfigVersion:
    return ConfigVersion(
        number, number - 1, "all", TuningConfig(limit), Mode.ADVISE, "maria", "", NOW - before_now
    )


def test_facts_of_an_incident_name_its_config_its_rise_and_its_burn() -> None:
    window = recorded((7200, 1500, 3.0, 1.0, 6), (1500, 0, 3.0, 30.0, 7))
    versions = [version(7, 12, 1500), version(6, 5, 9000)]
    change = fact_gathering.change(window, versions, 7, NOW)
    assert change is not None
    assert (change.version, change.parent, change.what) == (7, 6, "tasks in flight 5 → 12")
    assert change.in_force
    assert change.after.p99_ms == pytest.approx(30 * change.before.p99_ms, rel=0.3)
    usual, when = fact_gathering.usual(window, NOW)
    recent = fact_gathering.stretch(window, NOW - 300, NOW)
    assert when == "an hour ago"
    assert usual is not None
    assert recent.p99_ms / usual.p99_ms == pytest.approx(30, rel=0.3)
    slow = usual.p99_ms * 2
    [burn] = fact_gathering.burns(window, [Objective("all", slow)], NOW, "UTC")
    over = [m for m in window.metrics if m.timestamp >= NOW - 300]
    assert burn.last_5_min == pytest.approx(100 * sum((m.latency_ms or 0) > slow for m in over) / len(over))
    assert burn.last_hour < burn.last_5_min


def test_a_version_after_which_nothing_changed_is_no_cause() -> None:
    window = recorded((7200, 0, 3.0, 1.0, 6))
    assert fact_gathering.change(window, [version(7, 12, 1500), version(6, 5, 9000)], 7, NOW) is None


def test_a_manager_whose_place_was_taken_is_not_missed() -> None:
    old = WorkerStatus("a", "node-1", 1, NOW - 900, NOW - 60)
    young = WorkerStatus("b", "node-1", 2, NOW - 50, NOW - 1)
    assert fact_gathering.gone([old, young], NOW, 10.0) == []
    elsewhere = replace(young, host="node-2")
    assert fact_gathering.gone([old, elsewhere], NOW, 10.0) == ["a"]
    assert fact_gathering.gone([replace(old, last_seen=NOW - 3600), elsewhere], NOW, 10.0) == []


def test_layers_that_are_left_out_are_gathered_over_managers_and_waits_added_up() -> None:
    ill = LayerHealth("graph", BreakerState.OPEN, NOW - 30, "5 of 5 calls failed", slots_waiting=2)
    well = LayerHealth("semantic", BreakerState.CLOSED, NOW - 900, slots_waiting=5)
    layers = {"a": [ill, well], "b": [replace(ill, since=NOW - 90)]}
    assert fact_gathering.sick(layers) == [SickLayer("graph", 2, NOW - 90, "5 of 5 calls failed")]
    assert fact_gathering.waiting(layers) == 9


def test_month_budget_used_comes_from_the_roll_ups() -> None:
    store = open_store("memory://")
    window = recorded((3600, 0, 1.0, 1.0, 1))
    store.append_metrics("a", 1, list(window.metrics))
    slow = float(window.percentiles([0.98])[0])
    month = (NOW - 15 * 86_400, NOW + 15 * 86_400)
    used = fact_gathering.month_used(store, Objective("all", slow), month, NOW)
    missed = window.slower_than(slow)
    assert used == pytest.approx(missed / (0.01 * 3600 * 2), rel=0.25)
    store.close()


def test_an_objective_that_is_promised_is_in_the_store_for_everybody_and_in_the_audit_trail(
    service: TuningService,
) -> None:
    fill(service)
    assert service.situation().sentence.startswith("Nothing is promised yet")
    service.promise(OPERATOR, Objective("all", 1e6, 0.5))
    assert service.situation().sentence.startswith("Fine: 100 % of the recalls came within")
    assert service.objectives()["all"].author == "olga"
    assert [burn.of_what for burn in service.burns()] == ["p99", "success"]
    assert any("promised for all: p99" in note.text for note in service.notes())
    service.promise(OPERATOR, Objective("all"))
    assert service.situation().sentence.startswith("Nothing stands out")


def test_what_the_limit_had_better_speak_of_is_nothing_that_befell_the_store(service: TuningService) -> None:
    fill(service)
    service.store.append_event(StoreEvent(service.now, scope_watch.EVENT, "the limit should be one for all"))
    assert service.situation().sentence.startswith("Nothing is promised yet")
    service.store.append_event(StoreEvent(service.now, "restored", "from a backup"))
    service.promise(OPERATOR, Objective("all"))  # looked at anew
    assert service.situation().sentence.startswith("The store was restored at")
