"""The window as a table of pandas says what its records say."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pandas as pd
import pytest

from athena_tuning.model import LayerTask, QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from tests.profiling.reference import LAYERS, START, any_record

SAME_NAME = [
    name
    for name in QueryMetrics._fields
    if name not in ("timestamp", "layers_queried", "layer_latencies", "tasks")
]


def filled(n: int, *, most: int = 100_000, seed: int = 1) -> PerformanceProfiler:
    rng = random.Random(seed)
    profiler = PerformanceProfiler(window_hours=1, max_metrics=most, clock=lambda: START)
    for _ in range(n):
        profiler.record_query(any_record(rng, START))
    return profiler


def known(value: object) -> object:
    return None if pd.isna(value) else value


def assert_rows_are(table: pd.DataFrame, records: Sequence[QueryMetrics]) -> None:
    assert len(table) == len(records) > 0
    for (_, row), m in zip(table.iterrows(), records, strict=True):
        assert [known(row[name]) for name in SAME_NAME] == [getattr(m, name) for name in SAME_NAME]
        assert row["timestamp"].timestamp() == pytest.approx(m.timestamp, abs=1e-6)
        assert list(row["layers_queried"]) == m.layers_queried
        times = {layer: known(row.get(f"layer_{layer}_ms")) for layer in LAYERS}
        assert {layer: ms for layer, ms in times.items() if ms is not None} == m.layer_latencies


def test_each_row_of_the_recall_table_is_a_record_of_the_window() -> None:
    profiler = filled(600)
    assert_rows_are(profiler.to_pandas(), profiler.metrics)


@pytest.mark.slow
def test_the_recall_table_is_whole_over_many_blocks_and_without_what_has_left() -> None:
    profiler = filled(18_000, most=17_000)
    table = profiler.to_pandas()
    assert_rows_are(table.iloc[::37], profiler.metrics[::37])
    assert table["recall"].is_monotonic_increasing


@pytest.mark.parametrize(
    "chosen",
    [
        {"query_type": "factual"},
        {"layer": "graph"},
        {"layer": "graph", "query_type": "temporal", "config_version": 2},
        {"start": START - 2, "end": START},
    ],
)
def test_the_recall_table_of_a_filter_has_the_records_that_are_meant(chosen) -> None:
    profiler = filled(600)
    meant = [
        m
        for m in profiler.metrics
        if chosen.get("start", 0) <= m.timestamp < chosen.get("end", START + 1)
        and chosen.get("query_type", m.query_type) == m.query_type
        and chosen.get("config_version", m.config_version) == m.config_version
        and ("layer" not in chosen or chosen["layer"] in m.layers_queried)
    ]
    assert_rows_are(profiler.to_pandas(**chosen), meant)


def test_each_row_of_the_task_table_is_a_layer_task_of_its_recall() -> None:
    profiler = filled(600)
    recalls, tasks = profiler.to_pandas(), profiler.tasks().to_pandas()
    found: dict[str, set[LayerTask]] = {}
    for row in tasks.merge(recalls[["recall", "query_id", "timestamp"]], on="recall").to_dict("records"):
        assert row["time"] == row["timestamp"]
        times = (round(row[name], 3) for name in ("offset_ms", "queue_ms"))
        task = (row["layer"], *times, row["service_ms"], row["in_flight"], row["outcome"])
        found.setdefault(row["query_id"], set()).add(task)
    for m in profiler.metrics:
        made = {(t.layer, round(t.offset_ms, 3), round(t.queue_ms, 3), *t[3:6]) for t in m.tasks}
        assert found.get(m.query_id, set()) == made


def test_the_tables_of_an_empty_window_have_the_types_of_full_ones() -> None:
    empty, full = PerformanceProfiler(), filled(300)
    for table, like in (
        (empty.to_pandas(), full.to_pandas()),
        (empty.tasks().to_pandas(), full.tasks().to_pandas()),
    ):
        assert len(table) == 0
        of_any = [name for name in like if not name.startswith("layer_")]
        assert list(table) == of_any
        categories = {name: dtype for name, dtype in table.dtypes.items() if dtype == "category"}
        assert {name for name in of_any if like.dtypes[name] == "category"} == set(categories)
        assert {n: t for n, t in table.dtypes.items() if n not in categories} == {
            n: like.dtypes[n] for n in of_any if n not in categories
        }


def test_a_text_that_is_no_valid_utf_8_is_in_the_table_as_it_was_asked() -> None:
    profiler = PerformanceProfiler()
    profiler.record_query(QueryMetrics("q", "\ud800?", "meta", 0, 1.0, None, None, None, [], {}, None))
    assert profiler.to_pandas()["query_text"].tolist() == [m.query_text for m in profiler.metrics]


def test_the_recall_table_is_taken_at_one_moment_and_stays_as_it_is() -> None:
    profiler = filled(50)
    table = profiler.to_pandas()
    before = table.copy()
    profiler.record_feedback(profiler.metrics[0].query_id, 0.123)
    profiler.record_query(any_record(random.Random(5), START)._replace(timestamp=START))
    pd.testing.assert_frame_equal(table, before)
    assert len(profiler.to_pandas()) == len(table) + 1
