"""Configs that are written through the service: what the next recall obeys, conflicts, undo, roll back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from athena_tuning.model import Mode, TuningConfig, TuningStrategy
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.store import ConfigConflict
from tests.support.dashboard import OPERATOR, fill, told


def test_the_next_recall_runs_what_was_applied(service: TuningService) -> None:
    wanted = TuningConfig(max_concurrent=3, enable_cache=False)
    version = service.apply(OPERATOR, wanted, expected_version=0, reason="try three")
    answer = service.recall(OPERATOR, "Which service uses postgres-ledger?")
    assert answer["_config_version"] == version.version == service.standing().version
    again = service.recall(OPERATOR, "Which service uses postgres-ledger?")
    assert again["_cache_hit"] is False
    assert (version.author, version.reason) == ("olga", "try three")


def test_a_write_on_top_of_an_old_version_is_refused_with_both_sides(service: TuningService) -> None:
    service.apply(OPERATOR, TuningConfig(7), expected_version=0, reason="first")
    with pytest.raises(ConfigConflict) as refused:
        service.apply(OPERATOR, TuningConfig(9), expected_version=0, reason="second")
    assert refused.value.current is not None
    assert (refused.value.current.config.max_concurrent, refused.value.proposed.max_concurrent) == (7, 9)
    assert service.configs().default.config.max_concurrent == 7


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_a_write_needs_a_reason_of_sensible_length(service: TuningService, reason: str) -> None:
    with pytest.raises(ValueError, match="reason"):
        service.apply(OPERATOR, TuningConfig(7), expected_version=0, reason=reason)


def without_tasks(service: TuningService) -> None:
    """Evidence that only the rules conclude from, and under each strategy something else."""
    records = load_records("fast", ending_at=service.now - 1)[-500:]
    service.store.append_metrics("other", 1, [m._replace(tasks=(), source="live") for m in records])
    service.tail.look()
    told(service, 500)


def test_switching_the_strategy_brings_its_values_and_keeps_pinned_ones(service: TuningService) -> None:
    without_tasks(service)
    pinned = service.apply(
        OPERATOR,
        TuningConfig(timeout_seconds=9.0),
        expected_version=0,
        reason="mine",
        scope="meta",
        mode=Mode.PINNED,
    )
    proposed = told(service, 500).by_strategy[TuningStrategy.THROUGHPUT].decision.after
    at = service.configs().default.version
    version, _ = service.switch_strategy(
        OPERATOR, TuningStrategy.THROUGHPUT, expected_version=at, reason="more"
    )
    assert version.config.strategy is TuningStrategy.THROUGHPUT
    assert version.config.max_concurrent > 5
    assert version.config == proposed
    own = service.configs().by_type["meta"]
    assert own.config == replace(pinned.config, strategy=TuningStrategy.THROUGHPUT)


def test_what_was_seen_before_a_switch_is_what_is_written(service: TuningService) -> None:
    fill(service, "fast")
    seen = replace(service.under_strategy(TuningStrategy.COST, service.configs().default), max_concurrent=3)
    [version] = service.switch_strategy(
        OPERATOR, TuningStrategy.COST, expected_version=0, reason="cheap", config=seen
    )
    assert version.config == seen
    assert version.config.strategy is TuningStrategy.COST


def test_each_strategy_would_set_something_else_on_the_same_evidence(service: TuningService) -> None:
    without_tasks(service)
    chosen = {s: p.decision.after for s, p in told(service, 500).by_strategy.items()}
    assert len({(c.max_concurrent, c.timeout_seconds) for c in chosen.values()}) == 4


def test_undo_brings_back_values_and_mode(service: TuningService) -> None:
    service.apply(OPERATOR, TuningConfig(4), expected_version=0, reason="a", mode=Mode.PINNED)
    at = service.configs().default.version
    service.apply(OPERATOR, TuningConfig(8), expected_version=at, reason="b", mode=Mode.AUTO)
    [undone] = service.undo(OPERATOR, expected_version=service.configs().default.version)
    assert (undone.config.max_concurrent, undone.mode, undone.restores) == (4, Mode.PINNED, at)


def test_undo_of_an_undo_goes_forward_again_and_is_called_redo(service: TuningService) -> None:
    assert service.undo_reason() is None
    for limit in (4, 8):
        at = service.configs().default.version
        service.apply(OPERATOR, TuningConfig(limit), expected_version=at, reason="x")
    assert service.undo_reason() == "undo of version 2: x"
    for expected in (4, 8):
        at = service.configs().default.version
        assert service.undo(OPERATOR, expected_version=at)[0].config.max_concurrent == expected


def test_a_switch_that_one_scope_refuses_changes_nothing(
    service: TuningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.apply(OPERATOR, TuningConfig(4), expected_version=0, reason="x", scope="meta")
    stale = service.configs()
    service.apply(OPERATOR, TuningConfig(5), expected_version=1, reason="x", scope="meta")
    monkeypatch.setattr(service, "configs", lambda: stale)
    with pytest.raises(ConfigConflict, match="for meta"):
        service.switch_strategy(OPERATOR, TuningStrategy.COST, expected_version=0, reason="cheap")
    assert [v.reason for v in service.history()] == ["x", "x"]


def test_there_is_nothing_to_undo_before_the_second_version(service: TuningService) -> None:
    with pytest.raises(ValueError, match="no change to take back"):
        service.undo(OPERATOR, expected_version=0)


def test_undo_of_the_first_version_goes_back_to_the_defaults(service: TuningService) -> None:
    first = service.apply(OPERATOR, TuningConfig(9), expected_version=0, reason="a", mode=Mode.PINNED)
    [undone] = service.undo(OPERATOR, expected_version=first.version)
    assert (undone.config, undone.mode, undone.restores) == (TuningConfig(), Mode.ADVISE, None)
    assert "back to the defaults" in undone.reason


def test_an_exception_is_made_ended_and_brought_back_by_undo(service: TuningService) -> None:
    own = TuningConfig(timeout_seconds=3.0)
    made = service.apply(OPERATOR, own, expected_version=0, reason="slow type", scope="factual")
    assert service.recall(OPERATOR, "Which team owns it?")["_config_version"] == made.version
    ended = service.end_exception(OPERATOR, "factual", expected_version=made.version, reason="no longer")
    assert service.configs().by_type == {}
    assert service.recall(OPERATOR, "Which team owns this?")["_config_version"] == 0
    with pytest.raises(ValueError, match="no exception"):
        service.end_exception(OPERATOR, "factual", expected_version=0, reason="again")
    assert service.undo(OPERATOR, expected_version=0, scope="factual")[0].config == own
    again = service.configs().by_type["factual"].version
    gone = service.roll_back(OPERATOR, ended.version, expected_version=again, reason="it was better")
    assert gone.ends_exception


def test_undo_of_a_types_first_version_ends_its_exception(service: TuningService) -> None:
    made = service.apply(OPERATOR, TuningConfig(), expected_version=0, reason="x", scope="meta")
    assert service.undo(OPERATOR, expected_version=made.version, scope="meta")[0].ends_exception
    assert "meta" not in service.configs().by_type


def test_rolling_back_writes_a_new_version_that_names_the_old_one(service: TuningService) -> None:
    for limit in (4, 8, 12):
        at = service.configs().default.version
        service.apply(OPERATOR, TuningConfig(limit), expected_version=at, reason="x")
    first = service.history()[-1].version
    at = service.configs().default.version
    version = service.roll_back(OPERATOR, first, expected_version=at, reason="was better")
    assert (version.config.max_concurrent, version.restores) == (4, first)
    assert len(service.history()) == 4


def test_rolling_back_to_nothing_is_refused(service: TuningService) -> None:
    with pytest.raises(ValueError, match="no version 99"):
        service.roll_back(OPERATOR, 99, expected_version=0, reason="x")
