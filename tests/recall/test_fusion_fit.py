"""Weights of layers and rank constants, learned from questions whose answers are known."""

from __future__ import annotations

import pytest

from athena_tuning.model import TuningConfig
from athena_tuning.recall.fusion import PLAIN, FusionRule, fuse
from athena_tuning.recall.fusion_fit import FusionCase, fit, left_out, recall_at
from tests.support.memory_layers import StubLayer as Stub
from tests.support.memory_layers import items, over


def noisy(number: int) -> FusionCase:
    """One layer has the answers first, another one has something else first."""
    right = [{"id": f"right-{number}-{n}"} for n in range(4)]
    wrong = [{"id": f"wrong-{number}-{n}"} for n in range(4)]
    evidence = frozenset(item["id"] for item in right)
    return FusionCase({"noise": wrong, "facts": right}, evidence, number % 3)


CASES = [noisy(number) for number in range(30)]


def test_a_layer_that_is_right_counts_more_than_one_that_is_not_also_on_questions_left_out() -> None:
    rule = fit(CASES, 4)
    assert rule.weights.get("facts", 1.0) > rule.weights.get("noise", 1.0)
    assert [recall_at(case, 4) for case in CASES] == [0.5] * 30
    rules = left_out(CASES, 4)
    assert [recall_at(case, 4, rule) for case, rule in zip(CASES, rules, strict=True)] == [1.0] * 30


def test_where_nothing_can_be_gained_the_plain_rule_stays() -> None:
    assert fit(CASES, 8) == PLAIN
    assert fit([FusionCase({"facts": case.lists["facts"]}, case.evidence) for case in CASES], 4) == PLAIN


def test_questions_of_one_group_say_nothing_about_others() -> None:
    with pytest.raises(ValueError, match="two groups"):
        left_out([FusionCase(case.lists, case.evidence) for case in CASES], 4)


def test_a_rank_counts_weight_over_constant_and_rank() -> None:
    lists = {"a": [{"id": "x"}], "b": [{"id": "y"}, {"id": "x"}]}
    fused = fuse(lists, 5, FusionRule({"b": 0.5}, 9))
    assert {item["id"]: item["score"] for item in fused} == {
        "x": pytest.approx(1 / 10 + 0.5 / 11),
        "y": pytest.approx(0.5 / 10),
    }


def test_a_recall_is_fused_under_the_config_of_its_type() -> None:
    with over(Stub("a", items("a1")), Stub("b", items("b1"))) as manager:
        assert [i["id"] for i in manager.recall("who is x")["_fused"]] == ["a1", "b1"]
        config = TuningConfig(fusion_weights={"b": 2.0}, rank_constant=5)
        manager.apply_config(config, expected_version=0, actor="test", reason="t", scope="factual")
        assert [i["id"] for i in manager.recall("who is y")["_fused"]] == ["b1", "a1"]
        assert [i["id"] for i in manager.recall("when was y")["_fused"]] == ["a1", "b1"]
        assert manager.recall("who is y")["_fused"][0]["score"] == pytest.approx(2 / 6)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"fusion_weights": {"graph": 0}}, r"fusion_weights\['graph'\] must be a number above 0"),
        ({"fusion_weights": {"graph": "2"}}, "fusion_weights"),
        ({"fusion_weights": {"graph": float("nan")}}, "fusion_weights"),
        ({"rank_constant": 0}, "rank_constant must be 1 to 1000"),
    ],
)
def test_a_weight_that_makes_no_sense_is_refused(values: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        TuningConfig.from_dict(values)


def test_a_config_with_weights_is_the_same_after_it_was_stored() -> None:
    config = TuningConfig(fusion_weights={"graph": 0.5}, rank_constant=5)
    assert TuningConfig.from_dict(config.to_dict()) == config
    assert config != TuningConfig()
