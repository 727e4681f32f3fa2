"""What every store does with raw records and their texts: each comes back once, as it was."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from athena_tuning.model import QueryMetrics
from athena_tuning.store import Store, TextPolicy
from athena_tuning.testing.made_recalls import START, made_recalls
from athena_tuning.testing.store_configs import OpenStore


def all_records(store: Store, limit: int = 100_000) -> list[QueryMetrics]:
    """Return all records of a store, read in parts of at most ``limit``."""
    found: list[QueryMetrics] = []
    cursor = ""
    while True:
        tail = store.tail_metrics(cursor, limit=limit)
        if not tail.records:
            return found
        found += tail.records
        cursor = tail.cursor


def quoting() -> list[QueryMetrics]:
    """Return records whose errors quote a question."""
    return [m._replace(error="graph: no such word: salary") for m in made_recalls(8)]


class MetricsOfStore:
    """Raw records and their texts."""

    def test_the_next_sequence_is_above_all_that_a_worker_has_used(self, open_it: OpenStore) -> None:
        store = open_it()
        assert store.next_sequence("w") >= 0
        store.append_metrics("w", 7, made_recalls(3))
        store.append_metrics("other", 90, made_recalls(3))
        assert store.next_sequence("w") > 7
        store.append_metrics("w", store.next_sequence("w"), made_recalls(4, seed=2))
        assert len(open_it().tail_metrics().records) == 10

    def test_records_come_back_as_they_were(self, store: Store) -> None:
        batch = made_recalls(300)
        store.append_metrics("w", 1, batch)
        assert all_records(store) == batch

    def test_an_empty_store_tails_to_nothing(self, store: Store) -> None:
        tail = store.tail_metrics()
        assert len(tail.records) == 0
        assert len(store.tail_metrics(tail.cursor).records) == 0

    def test_a_tail_goes_on_where_the_last_one_ended(self, store: Store) -> None:
        batch = made_recalls(60)
        store.append_metrics("a", 1, batch[:20])
        first = store.tail_metrics()
        store.append_metrics("b", 1, batch[20:40])
        store.append_metrics("a", 2, batch[40:])
        second = store.tail_metrics(first.cursor)
        assert list(first.records) == batch[:20]
        assert list(second.records) == batch[20:]
        assert list(store.tail_metrics(second.cursor).records) == []

    def test_small_tails_lose_and_repeat_nothing(self, store: Store) -> None:
        batch = made_recalls(100)
        for place in range(10):
            store.append_metrics(f"w{place % 3}", place, batch[10 * place : 10 * place + 10])
        assert all_records(store, limit=15) == batch

    def test_a_tail_leaves_out_what_is_older(self, store: Store) -> None:
        batch = made_recalls(100)
        store.append_metrics("w", 1, batch[:50])
        store.append_metrics("w", 2, batch[50:])
        tail = store.tail_metrics(since=batch[70].timestamp)
        assert list(tail.records) == batch[70:]
        assert list(store.tail_metrics(tail.cursor).records) == []

    def test_a_tail_of_the_newest_passes_over_the_older_ones(self, store: Store) -> None:
        batch = made_recalls(100)
        for place in range(10):
            store.append_metrics(f"w{place % 3}", place, batch[10 * place : 10 * place + 10])
        tail = store.tail_metrics(newest=25)
        assert list(tail.records) == batch[70:]
        assert list(store.tail_metrics(tail.cursor, newest=25).records) == []
        first = store.tail_metrics(newest=45, limit=15)
        assert list(first.records) == batch[50:70]
        assert list(store.tail_metrics(first.cursor, newest=45).records) == batch[70:]
        assert len(store.tail_metrics(newest=3).records) == 10

    def test_a_tail_leaves_out_a_worker_that_is_not_wanted(self, store: Store) -> None:
        batch = made_recalls(60)
        for place in range(6):
            store.append_metrics(f"w{place % 2}", place, batch[10 * place : 10 * place + 10])
        first = store.tail_metrics(limit=15, without="w1")
        second = store.tail_metrics(first.cursor, without="w1")
        assert [*first.records, *second.records] == batch[:10] + batch[20:30] + batch[40:50]
        store.append_metrics("w1", 99, made_recalls(5, seed=9))
        assert list(store.tail_metrics(second.cursor, without="w1").records) == []

    def test_a_batch_that_is_sent_again_counts_once(self, store: Store) -> None:
        batch = made_recalls(20)
        store.append_metrics("w", 7, batch)
        store.append_metrics("w", 7, batch)
        store.append_metrics("other", 7, made_recalls(5, seed=2))
        store.append_metrics("w", 8, made_recalls(5, seed=3))
        store.append_metrics("w", 7, batch)
        assert len(all_records(store)) == 30
        assert store.rollups(START, START + 60, layer="").total().count == 30

    def test_a_batch_out_of_order_is_ignored_and_does_not_let_the_last_one_in_again(
        self, store: Store
    ) -> None:
        fifth = made_recalls(20, seed=5)
        for sequence, batch in (
            (5, fifth),
            (4, made_recalls(7, seed=4)),
            (5, fifth),
            (4, made_recalls(7, seed=4)),
        ):
            store.append_metrics("w", sequence, batch)
        assert all_records(store) == fifth
        store.append_metrics("w", 6, made_recalls(3, seed=6))
        assert len(all_records(store)) == 23
        assert store.rollups(START - 60, START + 60, layer="").total().count == 23

    def test_writers_whose_clocks_differ_keep_their_times_and_miss_nothing(self, open_it: OpenStore) -> None:
        now = START + 7200
        store = open_it(clock=lambda: now)
        slow, fast = made_recalls(20, seed=1, start=now - 3600), made_recalls(20, seed=2, start=now + 3600)
        cursor = ""
        seen: list[QueryMetrics] = []
        for sequence in range(4):
            store.append_metrics("fast", sequence, fast[5 * sequence : 5 * sequence + 5])
            store.append_metrics("slow", sequence, slow[5 * sequence : 5 * sequence + 5])
            tail = store.tail_metrics(cursor)
            cursor, seen = tail.cursor, [*seen, *tail.records]
        assert sorted(m.timestamp for m in seen) == [m.timestamp for m in slow + fast]
        by_worker = store.rollups(now - 7200, now + 7200, layer="").summaries("worker_id", "start")
        starts = {
            worker: [start for name, start in by_worker if name == worker] for worker in ("slow", "fast")
        }
        assert max(starts["slow"]) < now < min(starts["fast"])

    def test_an_empty_batch_is_no_trouble(self, store: Store) -> None:
        store.append_metrics("w", 1, [])
        store.append_metrics("w", 2, made_recalls(5))
        assert len(all_records(store)) == 5

    def test_an_odd_record_does_not_hold_back_its_batch(self, store: Store) -> None:
        good = made_recalls(5)
        odd = good[0]._replace(latency_ms="slow")  # type: ignore[arg-type]
        store.append_metrics("w", 1, [good[0], odd, *good[1:]])
        assert all_records(store) == good

    def test_a_text_is_kept_if_nothing_else_is_said(self, store: Store) -> None:
        store.append_metrics("w", 1, quoting())
        assert all_records(store) == quoting()

    @pytest.mark.parametrize("odd", ["half \ud800 of a character", "nul \0 inside"])
    def test_a_text_that_no_database_takes_keeps_nothing_from_being_stored(
        self, store: Store, odd: str
    ) -> None:
        first, *rest = made_recalls(20)
        store.append_metrics("w", 1, [first._replace(query_text=odd), *rest])
        found = all_records(store)
        assert found[1:] == rest
        assert (
            found[0].query_text.replace("\ufffd", "\0").replace("?", "\ud800") == odd
            or found[0].query_text == odd
        )

    def test_a_hashed_text_can_be_counted_but_not_read(self, open_it: OpenStore) -> None:
        store = open_it(text=TextPolicy.HASH)
        given = quoting()
        store.append_metrics("w", 1, given)
        kept = all_records(store)
        assert all(m.query_text.startswith("#") and len(m.query_text) == 17 for m in kept)
        pairs = set(zip((m.query_text for m in kept), (m.query_text for m in given), strict=True))
        assert len(pairs) == len({m.query_text for m in given})
        assert {m.error for m in kept} == {"graph"}

    def test_a_dropped_text_leaves_nothing(self, open_it: OpenStore) -> None:
        store = open_it(text="drop")
        store.append_metrics("w", 1, quoting())
        assert {(m.query_text, m.error) for m in all_records(store)} == {("", "graph")}

    def test_many_threads_lose_nothing(self, open_it: OpenStore) -> None:
        stores = [open_it() for _ in range(4)]

        def write(place: int) -> None:
            for sequence in range(10):
                stores[place].append_metrics(
                    f"w{place}", sequence, made_recalls(20, seed=100 * place + sequence)
                )

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        assert len({m.query_id + m.query_type for m in all_records(stores[0])}) > 700
        assert len(all_records(stores[0])) == 800

    def test_a_reader_beside_writers_sees_each_record_once(self, open_it: OpenStore) -> None:
        stores = [open_it() for _ in range(3)]
        done = threading.Event()

        def write(place: int) -> None:
            for sequence in range(30):
                batch = [
                    m._replace(query_id=f"{place}-{sequence}-{i}")
                    for i, m in enumerate(made_recalls(5, seed=place))
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

    def test_records_that_are_read_one_by_one_are_the_same(self, store: Store) -> None:
        batch = made_recalls(30)
        store.append_metrics("a", 1, batch[:10])
        store.append_metrics("a", 2, batch[10:])
        records = store.tail_metrics().records
        assert [records[i] for i in range(30)] == batch
        assert records[-1] == batch[-1]
        assert records[5:25:3] == batch[5:25:3]
        with pytest.raises(IndexError):
            records[30]
