"""A system of one's own is measured, obeys the configs of a store, and is tuned."""

from __future__ import annotations

import threading

import pytest

from athena_tuning.control import Control
from athena_tuning.model import Mode, TuningConfig
from athena_tuning.store import ConfigChange, MemoryStore, StoreError, open_store
from tests.support.waiting import until

WAIT = 30.0


def ask(control, n=1, query_type="factual"):
    for _ in range(n):
        with control.measure("who owns billing?", query_type) as query, query.layer("semantic"):
            pass


def apply(store, limit, version=0, scope="all"):
    config = TuningConfig(max_concurrent=limit)
    return store.apply_config(
        ConfigChange(config, expected_version=version, actor="ana", reason="try", scope=scope)
    )


@pytest.fixture
def store():
    with MemoryStore() as opened:
        yield opened


@pytest.mark.slow
def test_a_config_of_the_store_is_obeyed_acknowledged_and_noted_in_queries(store):
    seen = []
    with Control(store, worker_id="w1") as control:
        control.on_change(lambda config: seen.append(config.max_concurrent))
        assert seen == [5]
        apply(store, 9)
        until(lambda: seen == [5, 9])
        assert control.current_config().max_concurrent == 9
        ask(control)
        until(lambda: any(worker.config_version == 1 for worker in store.workers()))
    [record] = store.tail_metrics().records
    assert (record.config_version, record.layers_queried) == (1, ["semantic"])
    [worker] = store.workers()
    assert (worker.worker_id, worker.recalls, worker.config_version) == ("w1", 1, 1)


def test_an_exception_by_type_reaches_that_type_only(store):
    for_all, for_meta = [], []
    with Control(store) as control:
        control.on_change(lambda config: for_all.append(config.max_concurrent))
        control.on_change(lambda config: for_meta.append(config.max_concurrent), "meta")
        apply(store, 3, scope="meta")
        until(lambda: for_meta == [5, 3])
        assert control.current_config("meta").max_concurrent == 3
        assert control.current_config("factual").max_concurrent == 5
        ask(control, query_type="meta")
        ask(control)
    assert for_all == [5]
    assert [m.config_version for m in store.tail_metrics().records] == [1, 0]


def test_a_listener_that_fails_keeps_nobody_from_being_told(store, caplog):
    seen = []

    def fails(config):
        if config.max_concurrent == 7:
            raise OSError("the pool is gone")

    with Control(store) as control:
        control.on_change(fails)
        control.on_change(lambda config: seen.append(config.max_concurrent))
        apply(store, 7)
        until(lambda: seen == [5, 7])
        assert control.housekeeping_failures == {}
    assert "the pool is gone" in caplog.text


def test_the_tuner_advises_and_in_mode_auto_applies(store):
    with Control(store, mode=Mode.AUTO) as control:
        ask(control, 250)
        until(lambda: len(store.decisions()) > 0)
        assert store.config_set().default.mode is Mode.AUTO
        assert "all" in control.latest_decisions
        until(lambda: control.measure.configs.head == store.config_set().head)


def test_without_the_tuner_nobody_decides(store):
    with Control(store, tune=False) as control:
        ask(control, 250)
        until(lambda: len(store.tail_metrics().records) == 250)
        assert store.acquire_lease("tuner", "somebody else", 5.0)
    assert store.decisions() == []


def test_a_store_that_is_down_stops_no_query(monkeypatch, store):
    def down(*_):
        raise StoreError("memory://: the network is gone")

    with Control(store, tune=False) as control:
        monkeypatch.setattr(store, "append_metrics", down)
        ask(control, 3)
        until(lambda: control.housekeeping_failures.get("metric delivery", 0) > 0)
        monkeypatch.undo()
        until(lambda: len(store.tail_metrics().records) == 3)


def test_a_store_named_by_its_url_is_opened_and_closed(tmp_path):
    url = f"sqlite:///{tmp_path / 'own.db'}"
    with Control(url) as control:
        ask(control, 2)
    control.close()
    with pytest.raises(StoreError):
        control.store.workers()
    with open_store(url) as again:
        assert len(again.tail_metrics().records) == 2


def test_feedback_on_an_answer_reaches_its_record_and_the_store(store):
    with Control(store) as control:
        with control.measure("who owns billing?", "factual") as query, query.layer("semantic"):
            pass
        assert control.record_feedback(query.query_id, 0.25)
        assert not control.record_feedback("another", 0.25)
        assert control.profiler.metrics[0].user_satisfaction == 0.25
        with pytest.raises(ValueError, match="0 to 1"):
            control.record_feedback(query.query_id, 2.0)
    assert store.tail_metrics().records[0].query_id == query.query_id


def test_a_listener_may_apply_a_config_through_its_own_control(store):
    seen = []
    with Control(store) as control:

        def answer(config):
            seen.append(config.max_concurrent)
            if config.max_concurrent == 9:
                at = control.configs.default.version
                control.apply_config(
                    TuningConfig(4), expected_version=at, actor="listener", reason="too many"
                )
                assert control.current_config().max_concurrent == 4

        control.on_change(answer)
        control.on_change(lambda config: seen.append(-config.max_concurrent))
        apply(store, 9)
        until(lambda: len(seen) >= 5)
    assert seen == [5, -5, 9, -4, 4], "whoever comes next is told what is in force by now"
    assert [v.author for v in store.config_history()] == ["listener", "ana"]


def test_a_listener_may_close_its_own_control(store):
    closed = threading.Event()
    control = Control(store)

    def end(config):
        if config.max_concurrent == 9:
            control.close()
            closed.set()

    control.on_change(end)
    apply(store, 9)
    assert closed.wait(WAIT)
