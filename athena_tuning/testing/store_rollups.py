"""What every store does with roll-ups and what is older than the retention."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from athena_tuning.model import QueryMetrics
from athena_tuning.store import Level, Retention, Store
from athena_tuning.testing.made_recalls import START, made_recalls
from athena_tuning.testing.store_configs import OpenStore
from athena_tuning.testing.store_metrics import all_records


def exact(values: list[float], q: float) -> float:
    """Return a quantile of values."""
    ordered = sorted(values)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)]


class RollupsOfStore:
    """Roll-ups and the retention."""

    @pytest.fixture
    def measured(self, open_it: OpenStore) -> tuple[Store, list[QueryMetrics]]:
        """Five hours of recalls by two workers, half of them rolled up already."""
        batch = made_recalls(2400, step=7.5)
        store = open_it(clock=lambda: batch[-1].timestamp)
        for place in range(24):
            store.append_metrics(f"w{place % 2}", place, batch[100 * place : 100 * place + 100])
            if place == 11:
                store.maintain()
        return store, batch

    def test_rollups_say_what_the_records_say(self, measured: tuple[Store, list[QueryMetrics]]) -> None:
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
        self,
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
        self, measured: tuple[Store, list[QueryMetrics]], level: Level
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

    def test_a_span_within_the_data_is_cut_to_the_minute(
        self, measured: tuple[Store, list[QueryMetrics]]
    ) -> None:
        store, batch = measured
        first, end = START // 60 * 60 + 600, START // 60 * 60 + 9000
        expected = sum(first <= m.timestamp < end for m in batch)
        assert store.rollups(first, end, layer="").total().count == expected
        assert len(store.rollups(first, first)) == 0

    def test_rolling_up_changes_no_answer(self, measured: tuple[Store, list[QueryMetrics]]) -> None:
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

    def test_rolling_up_at_the_same_time_counts_once(self, open_it: OpenStore) -> None:
        stores = [open_it(clock=lambda: START) for _ in range(3)]
        for place in range(6):
            stores[place % 3].append_metrics(f"w{place}", 1, made_recalls(200, seed=place))
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda store: store.maintain(), stores))
        assert stores[0].rollups(START, START + 3600, layer="").total().count == 1200

    def test_late_records_join_the_minute_that_is_rolled_up_already(self, open_it: OpenStore) -> None:
        store = open_it(clock=lambda: START)
        for sequence in range(3):
            store.append_metrics("w", sequence, made_recalls(50, seed=sequence))
            store.maintain()
        table = store.rollups(START - 60, START + 60, level=Level.MINUTE, layer="")
        assert table.total().count == 150
        assert len(set(table.keys)) == len(table)

    @pytest.mark.slow
    def test_a_count_beyond_two_bytes_survives(self, open_it: OpenStore) -> None:
        store = open_it(clock=lambda: START)
        one = made_recalls(1)[0]._replace(latency_ms=10.0)
        for sequence in range(3):
            store.append_metrics("w", sequence, [one] * 30_000)
            store.maintain()
        total = store.rollups(START, START + 60, layer="").total()
        assert total.count == total.known == 90_000
        assert total.p50_ms == pytest.approx(10.0, rel=1 / 64)

    def test_what_is_older_than_the_retention_goes_and_the_coarser_stays(self, open_it: OpenStore) -> None:
        now = [START + 100]
        keep = Retention(raw=3600, minutes=7200, hours=2 * 86400, days=10 * 86400)
        store = open_it(clock=lambda: now[0], retention=keep)
        store.append_metrics("w", 1, made_recalls(100))
        store.maintain()
        assert len(all_records(store)) == 100

        now[0] = START + 6 * 3600
        fresh = made_recalls(10, seed=2, start=now[0] - 60)
        store.append_metrics("w", 2, fresh)
        store.maintain()
        assert all_records(store) == fresh
        first_hours = (START - 3600, START + 3600)
        assert store.rollups(*first_hours, level=Level.HOUR, layer="").total().count == 100

        now[0] = START + 5 * 86400
        store.append_metrics("w", 3, made_recalls(1, seed=3, start=now[0]))
        store.maintain()
        assert len(store.rollups(*first_hours, level=Level.MINUTE)) == 0
        assert len(store.rollups(*first_hours, level=Level.HOUR)) == 0
        assert store.rollups(START - 86400, START + 86400, level=Level.DAY, layer="").total().count == 110

    def test_a_retry_is_known_after_its_batch_has_gone(self, open_it: OpenStore) -> None:
        now = [START]
        store = open_it(clock=lambda: now[0], retention=Retention(raw=3600))
        store.append_metrics("w", 1, made_recalls(10))
        now[0] += 7200
        store.maintain()
        store.append_metrics("w", 1, made_recalls(10))
        assert all_records(store) == []

    def test_rollups_need_a_span_of_time(self, store: Store) -> None:
        with pytest.raises(ValueError, match="nan"):
            store.rollups(float("nan"), START)
        assert np.isnan(store.rollups(START, START + 60).total().p99_ms)
