"""What every store does alike: raw records, their texts, roll-ups, retention."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from athena_tuning.model import QueryMetrics
from athena_tuning.store import Level, Retention, Store, TextPolicy

Opened = Callable[..., Store]
Recalls = Callable[..., list[QueryMetrics]]
START = 1_700_000_000.0


def all_records(store: Store, limit: int = 100_000) -> list[QueryMetrics]:
    found: list[QueryMetrics] = []
    cursor = ""
    while True:
        tail = store.tail_metrics(cursor, limit=limit)
        if not tail.records:
            return found
        found += tail.records
        cursor = tail.cursor


def test_the_next_sequence_is_above_all_that_a_worker_has_used(open_it: Opened, recalls: Recalls) -> None:
    store = open_it()
    assert store.next_sequence("w") >= 0
    store.append_metrics("w", 7, recalls(3))
    store.append_metrics("other", 90, recalls(3))
    assert store.next_sequence("w") > 7
    store.append_metrics("w", store.next_sequence("w"), recalls(4, seed=2))
    assert len(open_it().tail_metrics().records) == 10


def test_records_come_back_as_they_were(store: Store, recalls: Recalls) -> None:
    batch = recalls(300)
    store.append_metrics("w", 1, batch)
    assert all_records(store) == batch


def test_an_empty_store_tails_to_nothing(store: Store) -> None:
    tail = store.tail_metrics()
    assert len(tail.records) == 0
    assert len(store.tail_metrics(tail.cursor).records) == 0


def test_a_tail_goes_on_where_the_last_one_ended(store: Store, recalls: Recalls) -> None:
    batch = recalls(60)
    store.append_metrics("a", 1, batch[:20])
    first = store.tail_metrics()
    store.append_metrics("b", 1, batch[20:40])
    store.append_metrics("a", 2, batch[40:])
    second = store.tail_metrics(first.cursor)
    assert list(first.records) == batch[:20]
    assert list(second.records) == batch[20:]
    assert list(store.tail_metrics(second.cursor).records) == []


def test_small_tails_lose_and_repeat_nothing(store: Store, recalls: Recalls) -> None:
    batch = recalls(100)
    for place in range(10):
        store.append_metrics(f"w{place % 3}", place, batch[10 * place : 10 * place + 10])
    assert all_records(store, limit=15) == batch


def test_a_tail_leaves_out_what_is_older(store: Store, recalls: Recalls) -> None:
    batch = recalls(100)
    store.append_metrics("w", 1, batch[:50])
    store.append_metrics("w", 2, batch[50:])
    tail = store.tail_metrics(since=batch[70].timestamp)
    assert list(tail.records) == batch[70:]
    assert list(store.tail_metrics(tail.cursor).records) == []


def test_a_tail_of_the_newest_passes_over_the_older_ones(store: Store, recalls: Recalls) -> None:
    batch = recalls(100)
    for place in range(10):
        store.append_metrics(f"w{place % 3}", place, batch[10 * place : 10 * place + 10])
    tail = store.tail_metrics(newest=25)
    assert list(tail.records) == batch[70:]
    assert list(store.tail_metrics(tail.cursor, newest=25).records) == []
    first = store.tail_metrics(newest=45, limit=15)
    assert list(first.records) == batch[50:70]
    assert list(store.tail_metrics(first.cursor, newest=45).records) == batch[70:]
    assert len(store.tail_metrics(newest=3).records) == 10


def test_a_tail_leaves_out_a_worker_that_is_not_wanted(store: Store, recalls: Recalls) -> None:
    batch = recalls(60)
    for place in range(6):
        store.append_metrics(f"w{place % 2}", place, batch[10 * place : 10 * place + 10])
    first = store.tail_metrics(limit=15, without="w1")
    second = store.tail_metrics(first.cursor, without="w1")
    assert [*first.records, *second.records] == batch[:10] + batch[20:30] + batch[40:50]
    store.append_metrics("w1", 99, recalls(5, seed=9))
    assert list(store.tail_metrics(second.cursor, without="w1").records) == []


def test_a_batch_that_is_sent_again_counts_once(store: Store, recalls: Recalls) -> None:
    batch = recalls(20)
    store.append_metrics("w", 7, batch)
    store.append_metrics("w", 7, batch)
    store.append_metrics("other", 7, recalls(5, seed=2))
    store.append_metrics("w", 8, recalls(5, seed=3))
    store.append_metrics("w", 7, batch)
    assert len(all_records(store)) == 30
    assert store.rollups(START, START + 60, layer="").total().count == 30


def test_a_batch_out_of_order_is_ignored_and_does_not_let_the_last_one_in_again(
    store: Store, recalls: Recalls
) -> None:
    fifth = recalls(20, seed=5)
    for sequence, batch in ((5, fifth), (4, recalls(7, seed=4)), (5, fifth), (4, recalls(7, seed=4))):
        store.append_metrics("w", sequence, batch)
    assert all_records(store) == fifth
    store.append_metrics("w", 6, recalls(3, seed=6))
    assert len(all_records(store)) == 23
    assert store.rollups(START - 60, START + 60, layer="").total().count == 23


def test_writers_whose_clocks_differ_keep_their_times_and_miss_nothing(
    open_it: Opened, recalls: Recalls
) -> None:
    now = START + 7200
    store = open_it(clock=lambda: now)
    slow, fast = recalls(20, seed=1, start=now - 3600), recalls(20, seed=2, start=now + 3600)
    cursor, seen = "", []
    for sequence in range(4):
        store.append_metrics("fast", sequence, fast[5 * sequence : 5 * sequence + 5])
        store.append_metrics("slow", sequence, slow[5 * sequence : 5 * sequence + 5])
        tail = store.tail_metrics(cursor)
        cursor, seen = tail.cursor, [*seen, *tail.records]
    assert sorted(m.timestamp for m in seen) == [m.timestamp for m in slow + fast]
    by_worker = store.rollups(now - 7200, now + 7200, layer="").summaries("worker_id", "start")
    starts = {worker: [start for name, start in by_worker if name == worker] for worker in ("slow", "fast")}
    assert max(starts["slow"]) < now < min(starts["fast"])


def test_an_empty_batch_is_no_trouble(store: Store, recalls: Recalls) -> None:
    store.append_metrics("w", 1, [])
    store.append_metrics("w", 2, recalls(5))
    assert len(all_records(store)) == 5


def test_an_odd_record_does_not_hold_back_its_batch(store: Store, recalls: Recalls) -> None:
    good = recalls(5)
    odd = good[0]._replace(latency_ms="slow")  # type: ignore[arg-type]
    store.append_metrics("w", 1, [good[0], odd, *good[1:]])
    assert all_records(store) == good


def quoting(recalls: Recalls) -> list[QueryMetrics]:
    return [m._replace(error="graph: no such word: salary") for m in recalls(8)]


def test_a_text_is_kept_if_nothing_else_is_said(store: Store, recalls: Recalls) -> None:
    store.append_metrics("w", 1, quoting(recalls))
    assert all_records(store) == quoting(recalls)


@pytest.mark.parametrize("odd", ["half \ud800 of a character", "nul \0 inside"])
def test_a_text_that_no_database_takes_keeps_nothing_from_being_stored(
    store: Store, recalls: Recalls, odd: str
) -> None:
    first, *rest = recalls(20)
    store.append_metrics("w", 1, [first._replace(query_text=odd), *rest])
    found = all_records(store)
    assert found[1:] == rest
    assert (
        found[0].query_text.replace("\ufffd", "\0").replace("?", "\ud800") == odd
        or found[0].query_text == odd
    )


def test_a_hashed_text_can_be_counted_but_not_read(open_it: Opened, recalls: Recalls) -> None:
    store = open_it(text=TextPolicy.HASH)
    given = quoting(recalls)
    store.append_metrics("w", 1, given)
    kept = all_records(store)
    assert all(m.query_text.startswith("#") and len(m.query_text) == 17 for m in kept)
    pairs = set(zip((m.query_text for m in kept), (m.query_text for m in given), strict=True))
    assert len(pairs) == len({m.query_text for m in given})
    assert {m.error for m in kept} == {"graph"}


def test_a_dropped_text_leaves_nothing(open_it: Opened, recalls: Recalls) -> None:
    store = open_it(text="drop")
    store.append_metrics("w", 1, quoting(recalls))
    assert {(m.query_text, m.error) for m in all_records(store)} == {("", "graph")}


def test_many_threads_lose_nothing(open_it: Opened, recalls: Recalls) -> None:
    stores = [open_it() for _ in range(4)]

    def write(place: int) -> None:
        for sequence in range(10):
            stores[place].append_metrics(f"w{place}", sequence, recalls(20, seed=100 * place + sequence))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert len({m.query_id + m.query_type for m in all_records(stores[0])}) > 700
    assert len(all_records(stores[0])) == 800


def test_a_reader_beside_writers_sees_each_record_once(open_it: Opened, recalls: Recalls) -> None:
    stores = [open_it() for _ in range(3)]
    done = threading.Event()

    def write(place: int) -> None:
        for sequence in range(30):
            batch = [
                m._replace(query_id=f"{place}-{sequence}-{i}") for i, m in enumerate(recalls(5, seed=place))
            ]
            stores[place].append_metrics(f"w{place}", sequence, batch)

    def read() -> list[str]:
        seen, cursor = [], ""
        while True:
            last = done.is_set()
            tail = stores[2].tail_metrics(cursor, limit=40)
            cursor = tail.cursor
            seen += [m.query_id for m in tail.records]
            if last and not tail.records:
                return seen

    with ThreadPoolExecutor(3) as pool:
        reading = pool.submit(read)
        list(pool.map(write, range(2)))
        done.set()
        seen = reading.result()
    assert len(seen) == len(set(seen)) == 300


@pytest.fixture
def measured(open_it: Opened, recalls: Recalls) -> tuple[Store, list[QueryMetrics]]:
    """Five hours of recalls by two workers, half of them rolled up already."""
    batch = recalls(2400, step=7.5)
    store = open_it(clock=lambda: batch[-1].timestamp)
    for place in range(24):
        store.append_metrics(f"w{place % 2}", place, batch[100 * place : 100 * place + 100])
        if place == 11:
            store.maintain()
    return store, batch


def exact(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)]


def test_rollups_say_what_the_records_say(measured: tuple[Store, list[QueryMetrics]]) -> None:
    store, batch = measured
    total = store.rollups(START - 60, batch[-1].timestamp + 60, layer="").total()
    known = [m.latency_ms for m in batch if m.latency_ms is not None]
    assert total.count == len(batch)
    assert total.known == len(known)
    assert total.errors == sum(m.success is False for m in batch)
    assert total.judged == sum(m.success is not None for m in batch)
    assert total.partial == sum(m.partial for m in batch)
    assert total.hits == sum(m.cache_hit is True for m in batch)
    assert total.cacheable == sum(m.cache_hit is not None for m in batch)
    assert total.sum_ms == pytest.approx(sum(known))
    assert total.queue_ms == pytest.approx(sum(task.queue_ms for m in batch for task in m.tasks))
    for q, value in ((0.5, total.p50_ms), (0.95, total.p95_ms), (0.99, total.p99_ms)):
        assert value == pytest.approx(exact(known, q), rel=1 / 64)


def test_rollups_tell_layers_types_versions_and_workers_apart(
    measured: tuple[Store, list[QueryMetrics]],
) -> None:
    store, batch = measured
    end = batch[-1].timestamp + 60
    by_layer = store.rollups(START, end).summaries("layer")
    for layer in ("graph", "semantic"):
        tasks = [task for m in batch for task in m.tasks if task.layer == layer]
        assert by_layer[layer,].count == len(tasks)
        assert by_layer[layer,].errors == sum(task.outcome != "ok" for task in tasks)
        assert by_layer[layer,].sum_ms == pytest.approx(sum(task.service_ms for task in tasks))
        assert by_layer[layer,].p99_ms == pytest.approx(
            exact([task.service_ms for task in tasks], 0.99), rel=1 / 64
        )
    some = store.rollups(
        START, end, layer="", query_type="temporal", config_version=4, worker_id="w1"
    ).total()
    assert some.count == sum(
        m.query_type == "temporal" and m.config_version == 4 and (place // 100) % 2 == 1
        for place, m in enumerate(batch)
    )


@pytest.mark.slow
@pytest.mark.parametrize("level", list(Level))
def test_every_level_counts_every_record_once(
    measured: tuple[Store, list[QueryMetrics]], level: Level
) -> None:
    store, batch = measured
    table = store.rollups(START, batch[-1].timestamp + 1, level=level, layer="")
    assert table.total().count == len(batch)
    assert {key[0] for key in table.keys} == {int(level)}
    assert all(key[1] % level == 0 for key in table.keys)
    assert len(set(table.keys)) == len(table)
    starts = table.summaries("start")
    for (start,), summary in starts.items():
        assert summary.count == sum(start <= m.timestamp < start + level for m in batch)


def test_a_span_within_the_data_is_cut_to_the_minute(measured: tuple[Store, list[QueryMetrics]]) -> None:
    store, batch = measured
    first, end = START // 60 * 60 + 600, START // 60 * 60 + 9000
    expected = sum(first <= m.timestamp < end for m in batch)
    assert store.rollups(first, end, layer="").total().count == expected
    assert len(store.rollups(first, first)) == 0


def test_rolling_up_changes_no_answer(measured: tuple[Store, list[QueryMetrics]]) -> None:
    store, batch = measured
    span = (START, batch[-1].timestamp + 1)
    before = store.rollups(*span).summaries("layer", "query_type")
    store.maintain()
    after = store.rollups(*span).summaries("layer", "query_type")
    assert before.keys() == after.keys()
    for key, summary in before.items():
        assert after[key].count == summary.count
        assert after[key].sum_ms == pytest.approx(summary.sum_ms)
        assert after[key].p99_ms == pytest.approx(summary.p99_ms, nan_ok=True)


def test_rolling_up_at_the_same_time_counts_once(open_it: Opened, recalls: Recalls) -> None:
    stores = [open_it(clock=lambda: START) for _ in range(3)]
    for place in range(6):
        stores[place % 3].append_metrics(f"w{place}", 1, recalls(200, seed=place))
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda store: store.maintain(), stores))
    assert stores[0].rollups(START, START + 3600, layer="").total().count == 1200


def test_late_records_join_the_minute_that_is_rolled_up_already(open_it: Opened, recalls: Recalls) -> None:
    store = open_it(clock=lambda: START)
    for sequence in range(3):
        store.append_metrics("w", sequence, recalls(50, seed=sequence))
        store.maintain()
    table = store.rollups(START - 60, START + 60, level=Level.MINUTE, layer="")
    assert table.total().count == 150
    assert len(set(table.keys)) == len(table)


@pytest.mark.slow
def test_a_count_beyond_two_bytes_survives(open_it: Opened, recalls: Recalls) -> None:
    store = open_it(clock=lambda: START)
    one = recalls(1)[0]._replace(latency_ms=10.0)
    for sequence in range(3):
        store.append_metrics("w", sequence, [one] * 30_000)
        store.maintain()
    total = store.rollups(START, START + 60, layer="").total()
    assert total.count == total.known == 90_000
    assert total.p50_ms == pytest.approx(10.0, rel=1 / 64)


def test_what_is_older_than_the_retention_goes_and_the_coarser_stays(
    open_it: Opened, recalls: Recalls
) -> None:
    now = [START + 100]
    keep = Retention(raw=3600, minutes=7200, hours=2 * 86400, days=10 * 86400)
    store = open_it(clock=lambda: now[0], retention=keep)
    store.append_metrics("w", 1, recalls(100))
    store.maintain()
    assert len(all_records(store)) == 100

    now[0] = START + 6 * 3600
    fresh = recalls(10, seed=2, start=now[0] - 60)
    store.append_metrics("w", 2, fresh)
    store.maintain()
    assert all_records(store) == fresh
    first_hours = (START - 3600, START + 3600)
    assert store.rollups(*first_hours, level=Level.HOUR, layer="").total().count == 100

    now[0] = START + 5 * 86400
    store.append_metrics("w", 3, recalls(1, seed=3, start=now[0]))
    store.maintain()
    assert len(store.rollups(*first_hours, level=Level.MINUTE)) == 0
    assert len(store.rollups(*first_hours, level=Level.HOUR)) == 0
    assert store.rollups(START - 86400, START + 86400, level=Level.DAY, layer="").total().count == 110


def test_a_retry_is_known_after_its_batch_has_gone(open_it: Opened, recalls: Recalls) -> None:
    now = [START]
    store = open_it(clock=lambda: now[0], retention=Retention(raw=3600))
    store.append_metrics("w", 1, recalls(10))
    now[0] += 7200
    store.maintain()
    store.append_metrics("w", 1, recalls(10))
    assert all_records(store) == []


def test_records_that_are_read_one_by_one_are_the_same(store: Store, recalls: Recalls) -> None:
    batch = recalls(30)
    store.append_metrics("a", 1, batch[:10])
    store.append_metrics("a", 2, batch[10:])
    records = store.tail_metrics().records
    assert [records[i] for i in range(30)] == batch
    assert records[-1] == batch[-1]
    assert records[5:25:3] == batch[5:25:3]
    with pytest.raises(IndexError):
        records[30]


def test_rollups_need_a_span_of_time(store: Store) -> None:
    with pytest.raises(ValueError, match="nan"):
        store.rollups(float("nan"), START)
    assert np.isnan(store.rollups(START, START + 60).total().p99_ms)
