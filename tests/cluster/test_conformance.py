"""A manager, and a cluster of two: the same methods, the same meaning."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from athena_tuning import MemoryManager, Mode, TuningConfig, TuningStrategy, open_store
from athena_tuning.cluster import RecallCluster, serve
from athena_tuning.recall.items import BadItems
from athena_tuning.store import ConfigChange, ConfigConflict
from athena_tuning.testing.waiting import until
from tests.support.memory_layers import NOTES

WHO = {"actor": "ana", "reason": "a test"}


@pytest.fixture(params=["manager", "cluster"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Give a manager, or a client of two managers that share memory and store."""
    memory = tmp_path / "memory.db"
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store, MemoryManager(memory, store=store) as one:
        if request.param == "manager":
            yield one
            return
        url = request.getfixturevalue("url")
        with (
            MemoryManager(memory, store=store) as other,
            serve(one, url),
            serve(other, url),
            RecallCluster(url) as cluster,
        ):
            yield cluster


def test_recall_finds_what_was_remembered_and_says_where_from(either: Any) -> None:
    assert either.remember_many(NOTES) == {
        "episodic": 1,
        "semantic": 2,
        "procedural": 1,
        "prospective": 1,
        "graph": 1,
    }
    answer = either.recall("When did the billing deploy fail?", k=3, scope="billing")
    assert answer["episodic"][0]["id"] == "e1"
    assert answer["_success"]
    assert not answer["_refused"]
    assert answer["_errors"] == {}
    assert answer["_layers"][:2] == ["episodic", "semantic"]
    assert answer["_latency_ms"] > 0
    assert answer["_query_id"]


def test_answers_are_what_a_manager_of_ones_own_gives(either: Any) -> None:
    either.remember_many(NOTES)
    with MemoryManager(":memory:") as alone:
        alone.remember_many(NOTES)
        for query in (
            "When did the billing deploy fail?",
            "how to deploy billing",
            "what depends on billing?",
        ):
            given, own = either.recall(query, k=4), alone.recall(query, k=4)
            of_items = {name for name in own if not name.startswith("_")} | {
                "_fused",
                "_layers",
                "_query_type",
            }
            assert json.loads(json.dumps({name: given[name] for name in of_items})) == json.loads(
                json.dumps({name: own[name] for name in of_items})
            )
            assert own.keys() <= given.keys()


def test_awaited_recalls_run_at_once(either: Any) -> None:
    either.remember_many(NOTES)

    async def ask() -> list[dict[str, Any]]:
        return await asyncio.gather(*[either.arecall(f"billing {n}", k=2) for n in range(20)])

    answers = asyncio.run(ask())
    assert all(answer["_success"] for answer in answers)
    assert len({answer["_query_id"] for answer in answers}) == 20


@pytest.mark.parametrize(
    "wrong", [{"k": 0}, {"k": 2.5}, {"layers": []}, {"scope": 7}, {"layers": ["dreams"]}]
)
def test_arguments_without_sense_are_refused_by_name(either: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)).rstrip("s")):
        either.recall("billing", **wrong)


def test_context_and_layers_come_along(either: Any) -> None:
    either.remember_many(NOTES)
    assert either.recall("billing", layers=["graph"])["_layers"] == ["graph"]
    assert "episodic" in either.recall("billing keys", {"phase": "debugging"})["_layers"]


def test_items_that_do_not_fit_are_told_and_the_others_kept(either: Any) -> None:
    with pytest.raises(BadItems) as caught:
        either.remember_many([NOTES[0], {"id": "x", "layer": "dreams", "text": "no"}, NOTES[1]])
    assert [position for position, _ in caught.value.bad] == [2]
    assert caught.value.kept == {"episodic": 1, "semantic": 1}
    with pytest.raises(ValueError, match="dreams"):
        either.remember({"id": "x", "layer": "dreams", "text": "no"})


def test_item_is_found_counted_and_forgotten(either: Any) -> None:
    either.remember_many(NOTES)
    assert either.item("e1").text == "The billing deploy failed on Friday"
    assert either.counts()["semantic"] == 2
    assert either.forget("s2", "search") is True
    assert either.forget("s2") is False
    assert either.item("s2") is None
    assert either.forget_many(["e1", "p1", "nobody"], "billing") == 2


def test_write_with_a_key_is_carried_out_once(either: Any) -> None:
    item = {"id": "n", "layer": "semantic", "text": "first"}
    assert either.remember_many([item], idempotency_key="w1") == {"semantic": 1}
    either.remember({**item, "text": "second"})
    assert either.remember_many([item], idempotency_key="w1") == {"semantic": 1}
    assert either.item("n").text == "second"
    assert either.forget("n", idempotency_key="f1") is True
    either.remember(item)
    assert either.forget("n", idempotency_key="f1") is True
    assert either.item("n").text == "first"


def test_feedback_reaches_the_record_of_an_answer(either: Any) -> None:
    either.remember_many(NOTES)
    ids = [either.recall(f"billing {n}")["_query_id"] for n in range(6)]
    assert all(either.record_feedback(query_id, 0.5) for query_id in ids)
    assert either.record_feedback("nobody-1", 1.0) is False
    with pytest.raises(ValueError, match="score"):
        either.record_feedback(ids[0], 7.0)


def test_config_is_applied_once_and_a_late_writer_is_told_what_is_in_force(either: Any) -> None:
    first = either.apply_config(TuningConfig(max_concurrent=7), expected_version=0, **WHO)
    assert (first.version, first.config.max_concurrent, first.author) == (1, 7, "ana")
    until(lambda: either.config.max_concurrent == 7)
    with pytest.raises(ConfigConflict) as caught:
        either.apply_config(TuningConfig(max_concurrent=9), expected_version=0, **WHO)
    assert caught.value.current == first
    assert caught.value.proposed.max_concurrent == 9
    change = ConfigChange(TuningConfig(max_concurrent=8), expected_version=1, idempotency_key="c", **WHO)
    assert either.apply_configs([change]) == either.apply_configs([change])
    until(lambda: either.configs.head == 2)


def test_config_operations_are_those_of_a_manager(either: Any) -> None:
    either.apply_config(TuningConfig(max_concurrent=7), expected_version=0, **WHO)
    either.apply_config(TuningConfig(max_concurrent=3), expected_version=0, scope="temporal", **WHO)
    until(lambda: either.configs.head == 2)
    assert [version.mode for version in either.set_mode(Mode.PINNED, **WHO)] == [Mode.PINNED] * 2
    until(lambda: either.mode is Mode.PINNED)
    assert either.update_tuning_strategy(TuningStrategy.COST, **WHO)
    until(lambda: either.config.strategy is TuningStrategy.COST)
    assert either.end_exception("temporal", **WHO).ends_exception
    assert either.roll_back(1, **WHO).config.max_concurrent == 7
    assert either.undo(actor="ana")
    with pytest.raises(ValueError, match="99"):
        either.roll_back(99, **WHO)


def test_reports_are_there(either: Any) -> None:
    either.remember_many(NOTES)
    either.recall("billing")
    assert either.get_tuning_report()["strategy"] == "balanced"
    assert {"cache_effectiveness", "slow_queries"} <= either.get_performance_statistics().keys()
    assert set(either.layer_health()) == set(either.layers) == set(either.counts())
    assert either.status().config_version == either.configs.head


def test_identity_of_what_is_remembered_is_kept_to_the_last_field(either: Any) -> None:
    full = {
        "id": "ü/1",
        "layer": "graph",
        "text": "Ана зависит от billing",
        "scope": "größe/α",
        "timestamp": "2024-05-02T10:00:00Z",
        "kind": "turn",
        "speaker": "Ana",
        "entities": ["Ana", "billing"],
        "edges": [["Ana", "depends on", "billing"]],
        "evidence": ["m1"],
    }
    either.remember(full)
    kept = either.item("ü/1", "größe/α")
    assert (kept.timestamp, kept.edges, kept.scope) == (
        1714644000.0,
        (("Ana", "depends on", "billing"),),
        "größe/α",
    )
    found = either.recall("billing", scope="größe/α", layers=["graph"])["graph"]
    assert [item["id"] for item in found] == ["ü/1"]
