"""The vocabulary holds what it promises: immutable, validated, equal by every field, safe to send."""

import copy
import dataclasses
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.model import (
    Action,
    Candidate,
    ConfigSet,
    ConfigVersion,
    Decision,
    Mode,
    QueryMetrics,
    Reason,
    TuningBounds,
    TuningConfig,
    TuningStrategy,
)

configs = st.builds(
    TuningConfig,
    max_concurrent=st.integers(1, 1024),
    timeout_seconds=st.floats(0.001, 3600),
    layer_selection_enabled=st.booleans(),
    strategy=st.sampled_from(TuningStrategy),
    enable_cache=st.booleans(),
    enable_parallel=st.booleans(),
    deadline_seconds=st.none() | st.floats(0.001, 3600),
    layer_timeouts=st.dictionaries(st.text(max_size=8), st.floats(0.001, 3600), max_size=3),
    skipped_layers=st.frozensets(st.text(max_size=8), max_size=3),
)


@given(configs)
def test_a_config_survives_json_types_and_pickle(config: TuningConfig) -> None:
    assert TuningConfig.from_dict(config.to_dict()) == config
    assert pickle.loads(pickle.dumps(config)) == config
    assert TuningConfig(**dataclasses.asdict(config)) == config == copy.deepcopy(config)
    assert hash(TuningConfig.from_dict(config.to_dict())) == hash(config)


@given(configs, configs)
def test_two_configs_are_equal_exactly_when_nothing_changes_between_them(
    a: TuningConfig, b: TuningConfig
) -> None:
    assert (a == b) == (a.changes_to(b) == {})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_concurrent", 0),
        ("max_concurrent", 1025),
        ("max_concurrent", 2.5),
        ("max_concurrent", True),
        ("timeout_seconds", 0),
        ("timeout_seconds", -1.0),
        ("timeout_seconds", float("nan")),
        ("timeout_seconds", float("inf")),
        ("timeout_seconds", "10"),
        ("deadline_seconds", 0.0),
        ("enable_cache", "yes"),
        ("enable_parallel", 1),
        ("strategy", "fastest"),
        ("layer_timeouts", {"graph": -2}),
    ],
)
def test_a_config_refuses_a_value_and_names_it(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field if field != "strategy" else "fastest"):
        TuningConfig(**{field: value})


def test_an_unknown_config_field_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="max_parallel"):
        TuningConfig.from_dict({"max_parallel": 3})


def test_a_config_cannot_be_changed_not_even_through_its_mappings() -> None:
    timeouts = {"graph": 2.0}
    config = TuningConfig(layer_timeouts=timeouts)
    timeouts["graph"] = 9.0
    assert config.timeout_for("graph") == 2.0
    assert config.timeout_for("semantic") == config.timeout_seconds
    with pytest.raises(AttributeError):
        config.max_concurrent = 9  # type: ignore[misc]
    with pytest.raises(TypeError):
        config.layer_timeouts["graph"] = 9.0  # type: ignore[index]


def test_a_record_takes_its_fields_by_position_and_cannot_be_changed() -> None:
    m = QueryMetrics(
        "q", "text", "factual", 5.0, 1.5, 0.0, True, 3, ["graph"], {"graph": 1.0}, True, "late", True, 2
    )
    assert (m.query_id, m.timestamp, m.latency_ms, m.cache_hit, m.error, m.concurrency_level) == (
        "q",
        5.0,
        1.5,
        True,
        "late",
        2,
    )
    assert (m.accuracy_score, m.user_satisfaction, m.source) == (1.0, None, "live")
    with pytest.raises(AttributeError):
        m.latency_ms = 0.0  # type: ignore[misc]


def test_a_record_reads_no_clock() -> None:
    assert QueryMetrics("q", "t", "factual", 0, 1.0, 0.0, False, 0, [], {}, True).timestamp == 0


@pytest.mark.parametrize(
    "bad", [{"min_concurrent": 0}, {"min_concurrent": 30}, {"min_timeout_seconds": 31.0}]
)
def test_bounds_that_hold_nothing_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="hold nothing"):
        TuningBounds(**bad)  # type: ignore[arg-type]


def _version(number: int, scope: str, limit: int) -> ConfigVersion:
    return ConfigVersion(number, 0, scope, TuningConfig(max_concurrent=limit), Mode.AUTO, "a", "r", 1.0)


def test_a_type_without_its_own_config_uses_the_one_for_all() -> None:
    configs = ConfigSet().with_version(_version(1, "all", 7)).with_version(_version(2, "temporal", 3))
    assert configs.head == 2
    assert configs.for_type("temporal").max_concurrent == 3
    assert configs.for_type("factual").max_concurrent == 7
    assert configs.in_scope("factual") is None


def test_a_decision_survives_json_types() -> None:
    config = TuningConfig()
    decision = Decision(
        "d", 1.0, "rules", "all", Action.CHANGE, config, TuningConfig(max_concurrent=9), "more", 50,
        reasons=(Reason("max_concurrent", 9, "p99 < 100 ms", {"p99_ms": 80.0}, 50),),
        candidates=(Candidate(config, -0.1, -0.2, 0.0),),
    )  # fmt: skip
    assert Decision.from_dict(decision.to_dict()) == decision


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("concurrency_bounds", (0, 20), "concurrency_bounds must be 1 to 256, not 0"),
        ("concurrency_bounds", (2, 257), "concurrency_bounds must be 1 to 256, not 257"),
        ("concurrency_bounds", (9, 8), "the least and the most, not 9 and 8"),
        ("concurrency_bounds", (2,), "the least and the most"),
        ("concurrency_bounds", "2-9", "the least and the most"),
        ("timeout_bounds", (0.0, 5.0), "timeout_bounds must be above 0"),
        ("timeout_bounds", (6.0, 5.0), "the least and the most, not 6 and 5"),
    ],
)
def test_bounds_of_tuning_that_hold_nothing_are_refused(field: str, value: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        TuningConfig(**{field: value})  # type: ignore[arg-type]


def test_bounds_of_tuning_come_back_from_json_as_they_were() -> None:
    config = TuningConfig(concurrency_bounds=(3, 200), timeout_bounds=(0.5, 60.0))
    again = TuningConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert again.bounds == TuningBounds(3, 200, 0.5, 60.0)
    assert TuningConfig().bounds == TuningBounds()
