"""What each operation on configs writes, as a function of what is in force and of the history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from athena_tuning.control import operations
from athena_tuning.model import ConfigSet, ConfigVersion, Mode, TuningConfig, TuningStrategy
from athena_tuning.store import ConfigChange, ConfigConflict, MemoryStore
from tests.support.clock import Clock

BY = {"actor": "ana", "reason": "why"}


@pytest.fixture
def store() -> MemoryStore:
    """A store with two versions for all types and two exceptions, of which one is pinned."""
    clock = Clock()
    made = MemoryStore(clock=clock)
    write(made, operations.apply(made.config_set(), TuningConfig(6), mode=Mode.PINNED, **BY))
    write(made, operations.apply(made.config_set(), TuningConfig(7), mode=Mode.ADVISE, **BY))
    own, pinned = TuningConfig(timeout_seconds=7.0), TuningConfig(timeout_seconds=9.0)
    write(made, operations.apply(made.config_set(), own, scope="temporal", **BY))
    write(made, operations.apply(made.config_set(), pinned, scope="meta", mode=Mode.PINNED, **BY))
    return made


def write(store: MemoryStore, changes: Sequence[ConfigChange]) -> list[ConfigVersion]:
    store._clock.now += 1.0  # type: ignore[attr-defined]
    return store.apply_configs(changes)


def do(store: MemoryStore, operation: Any, *args: Any, **more: Any) -> list[ConfigVersion]:
    return write(store, operation(store.config_set(), *args, **{**BY, **more}))


def undo(store: MemoryStore, scope: str = "all") -> list[ConfigVersion]:
    return write(store, operations.undo(store.config_set(), store.config_history(), actor="ana", scope=scope))


def proposed(at: ConfigVersion) -> TuningConfig:
    return TuningConfig(11, timeout_seconds={"all": 20.0, "temporal": 21.0, "factual": 22.0}[at.scope])


def test_apply_keeps_the_mode_and_is_for_its_scope_alone(store: MemoryStore) -> None:
    [version] = do(store, operations.apply, TuningConfig(9))
    assert (version.scope, version.config, version.mode) == ("all", TuningConfig(9), Mode.ADVISE)
    assert store.config_set().for_type("temporal").timeout_seconds == 7.0


def test_apply_on_another_version_than_was_seen_is_refused(store: MemoryStore) -> None:
    with pytest.raises(ConfigConflict):
        do(store, operations.apply, TuningConfig(9), expected_version=1)


def test_switch_strategy_brings_values_to_all_scopes_and_leaves_pinned_values(store: MemoryStore) -> None:
    written = do(store, operations.switch_strategy, TuningStrategy.COST, proposed)
    cost = TuningStrategy.COST
    assert [(v.scope, v.config) for v in written] == [
        ("all", TuningConfig(11, timeout_seconds=20.0, strategy=cost)),
        ("temporal", TuningConfig(11, timeout_seconds=21.0, strategy=cost)),
        ("meta", TuningConfig(timeout_seconds=9.0, strategy=cost)),
    ]
    assert [v.mode for v in written] == [Mode.ADVISE, Mode.ADVISE, Mode.PINNED]


def test_switch_strategy_for_one_type_leaves_the_others(store: MemoryStore) -> None:
    [version] = do(store, operations.switch_strategy, TuningStrategy.COST, proposed, scope="factual")
    assert (version.scope, version.config.timeout_seconds) == ("factual", 22.0)
    assert store.config_set().default.config.strategy is TuningStrategy.BALANCED


def test_switch_strategy_writes_the_values_that_were_seen_under_the_strategy(store: MemoryStore) -> None:
    written = do(store, operations.switch_strategy, TuningStrategy.COST, proposed, config=TuningConfig(3))
    assert written[0].config == TuningConfig(3, strategy=TuningStrategy.COST)
    assert written[1].config.max_concurrent == 11


def test_switch_strategy_writes_nothing_if_one_scope_was_changed_meanwhile(store: MemoryStore) -> None:
    changes = operations.switch_strategy(store.config_set(), TuningStrategy.COST, proposed, **BY)
    do(store, operations.apply, TuningConfig(timeout_seconds=8.0), scope="temporal")
    before = store.config_set()
    with pytest.raises(ConfigConflict, match="temporal"):
        write(store, changes)
    assert store.config_set() == before


def test_set_mode_is_for_the_exceptions_too_and_keeps_all_values(store: MemoryStore) -> None:
    before = store.config_set()
    written = do(store, operations.set_mode, Mode.AUTO)
    assert [(v.scope, v.mode) for v in written] == [(s, Mode.AUTO) for s in ("all", "temporal", "meta")]
    assert [v.config for v in written] == [
        before.default.config,
        before.for_type("temporal"),
        before.for_type("meta"),
    ]


def test_set_mode_of_one_type_leaves_the_others(store: MemoryStore) -> None:
    [version] = do(store, operations.set_mode, Mode.AUTO, scope="temporal")
    assert (version.scope, version.mode) == ("temporal", Mode.AUTO)
    assert store.config_set().default.mode is Mode.ADVISE


def test_roll_back_brings_values_and_mode_of_the_version(store: MemoryStore) -> None:
    [version] = do(store, operations.roll_back, store.config_history(), 1)
    assert (version.config, version.mode, version.restores) == (TuningConfig(6), Mode.PINNED, 1)


def test_roll_back_to_the_end_of_an_exception_ends_it_again(store: MemoryStore) -> None:
    [ended] = do(store, operations.end_exception, "temporal")
    do(store, operations.apply, TuningConfig(timeout_seconds=8.0), scope="temporal")
    [again] = do(store, operations.roll_back, store.config_history(), ended.version)
    assert again.ends_exception
    assert "temporal" not in store.config_set().by_type


def test_roll_back_to_a_version_that_is_not_there_is_refused(store: MemoryStore) -> None:
    with pytest.raises(ValueError, match="no version 99"):
        do(store, operations.roll_back, store.config_history(), 99)


def test_end_exception_lets_a_type_run_as_all_and_is_refused_where_there_is_none(store: MemoryStore) -> None:
    [version] = do(store, operations.end_exception, "temporal")
    assert (version.restores, version.config) == (0, TuningConfig(7))
    with pytest.raises(ValueError, match="'temporal' has no exception"):
        do(store, operations.end_exception, "temporal")


def test_undo_says_what_it_takes_back_and_brings_back_values_and_mode(store: MemoryStore) -> None:
    [version] = undo(store)
    assert (version.config, version.mode, version.restores) == (TuningConfig(6), Mode.PINNED, 1)
    assert version.reason == "undo of version 2: why"


def test_undo_of_an_undo_is_a_redo_and_of_that_an_undo(store: MemoryStore) -> None:
    reasons = [undo(store)[0].reason for _ in range(4)]
    assert reasons == [
        "undo of version 2: why",
        "redo of version 2: why",
        "undo of version 6: redo of version 2: why",
        "redo of version 6: redo of version 2: why",
    ]
    assert store.config_set().default.config == TuningConfig(7)


def test_undo_takes_a_whole_switch_back_exceptions_included(store: MemoryStore) -> None:
    before = store.config_set()
    do(store, operations.switch_strategy, TuningStrategy.COST, proposed, reason="strategy cost")
    undone = undo(store)
    assert [(v.scope, v.config, v.mode) for v in undone] == [
        (scope, at.config, at.mode) for scope, at in (("all", before.default), *before.by_type.items())
    ]
    assert {v.reason for v in undone} == {"undo of version 5: strategy cost"}
    redone = undo(store)
    assert {v.config.strategy for v in redone} == {TuningStrategy.COST}
    assert {v.reason for v in redone} == {"redo of version 5: strategy cost"}


def test_undo_of_a_switch_leaves_an_exception_that_somebody_changed_since(store: MemoryStore) -> None:
    do(store, operations.switch_strategy, TuningStrategy.COST, proposed)
    do(store, operations.apply, TuningConfig(timeout_seconds=8.0), scope="temporal")
    assert [v.scope for v in undo(store)] == ["all", "meta"]
    assert store.config_set().for_type("temporal").timeout_seconds == 8.0


def test_undo_for_one_type_leaves_the_rest_of_a_switch(store: MemoryStore) -> None:
    do(store, operations.switch_strategy, TuningStrategy.COST, proposed)
    [version] = undo(store, "temporal")
    assert (version.scope, version.config.timeout_seconds) == ("temporal", 7.0)
    assert store.config_set().default.config.strategy is TuningStrategy.COST


def test_undo_does_not_take_a_change_of_the_same_words_for_a_part_of_the_switch(store: MemoryStore) -> None:
    do(store, operations.apply, TuningConfig(8))
    do(store, operations.apply, TuningConfig(timeout_seconds=8.0), scope="temporal")
    assert [v.scope for v in undo(store)] == ["all"]


def test_undo_of_a_types_first_version_ends_its_exception_and_redo_brings_it_back(store: MemoryStore) -> None:
    [ended] = undo(store, "temporal")
    assert ended.ends_exception
    [back] = undo(store, "temporal")
    assert (back.config.timeout_seconds, back.reason) == (7.0, "redo of version 3: why")


def test_undo_of_an_ended_exception_and_again_ends_it_again(store: MemoryStore) -> None:
    do(store, operations.end_exception, "temporal")
    assert undo(store, "temporal")[0].config.timeout_seconds == 7.0
    assert undo(store, "temporal")[0].ends_exception


def test_undo_of_the_first_version_goes_back_to_the_defaults() -> None:
    store = MemoryStore(clock=Clock())
    do(store, operations.apply, TuningConfig(9), mode=Mode.PINNED)
    [version] = undo(store)
    assert (version.config, version.mode, version.restores) == (TuningConfig(), Mode.ADVISE, None)
    assert version.reason == "undo of version 1 (back to the defaults): why"
    assert undo(store)[0].reason == "redo of version 1: why"


def test_redo_of_a_first_switch_brings_the_exceptions_along() -> None:
    store = MemoryStore(clock=Clock())
    do(store, operations.apply, TuningConfig(timeout_seconds=7.0), scope="temporal")
    do(store, operations.switch_strategy, TuningStrategy.COST, proposed)
    assert [v.config.strategy for v in undo(store)] == [TuningStrategy.BALANCED] * 2
    redone = undo(store)
    assert [(v.scope, v.config.strategy) for v in redone] == [
        ("all", TuningStrategy.COST),
        ("temporal", TuningStrategy.COST),
    ]
    assert {v.reason for v in redone} == {"redo of version 2: why"}


def test_undo_with_nothing_to_take_back_is_refused() -> None:
    with pytest.raises(ValueError, match="no change to take back"):
        operations.undo(ConfigSet(), [], actor="ana")


def test_undo_of_a_version_whose_parent_is_gone_from_the_history_is_refused(store: MemoryStore) -> None:
    with pytest.raises(ValueError, match="no version 1"):
        operations.undo(store.config_set(), store.config_history(limit=3), actor="ana")


def test_reasons_stay_short_however_often_one_changes_ones_mind(store: MemoryStore) -> None:
    do(store, operations.apply, TuningConfig(9), reason="x" * 500)
    for _ in range(20):
        assert len(undo(store)[0].reason) <= 300
