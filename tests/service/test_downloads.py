"""What is taken away from a page is what the page shows, and harms nobody who opens it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from athena_tuning.interchange import Import
from athena_tuning.model import QueryMetrics
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.service import downloads, window_reads
from athena_tuning.service.view import View
from athena_tuning.store import MemoryStore

VIEW = View(1000.0, 2000.0, timezone="UTC")


def recall(at: float, text: str = "tea?", kind: str = "factual", layers: tuple[str, ...] = ("semantic",)):
    times = dict.fromkeys(layers, 4.0)
    return QueryMetrics(f"q{at}", text, kind, at, at / 100, None, False, 1, list(layers), times, True)


@pytest.fixture
def records() -> list[QueryMetrics]:
    inside = [recall(1000.0 + 10 * i) for i in range(60)]
    odd = [recall(1700.0, "=HYPERLINK(1)", "@SUM(1)", ("+cmd",)), recall(1800.0, layers=("graph",))]
    return [recall(900.0), *inside, *odd, recall(2000.0)]


@pytest.fixture
def store(records: list[QueryMetrics]) -> MemoryStore:
    store = MemoryStore(clock=lambda: 2500.0)
    store.append_metrics("w", 1, records)
    return store


@pytest.mark.parametrize("suffix", [suffix for suffix, _ in downloads.FORMATS.values()])
def test_a_file_holds_the_views_recalls_and_imports_as_they_were(
    store: MemoryStore, records: list[QueryMetrics], suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"taken{suffix}"
    path.write_bytes(downloads.records_file(store, VIEW, suffix))
    shown = [m._replace(source="imported") for m in records if 1000 <= m.timestamp < 2000]
    assert list(Import(path).records()) == shown


def test_a_file_keeps_to_type_and_layer(store: MemoryStore) -> None:
    only_graph = list(downloads.records_of(store, VIEW.only(layer="graph")))
    assert [m.timestamp for m in only_graph] == [1800.0]
    assert not list(downloads.records_of(store, VIEW.only(query_type="meta")))


def test_no_cell_of_either_table_is_a_formula(store: MemoryStore, records: list[QueryMetrics]) -> None:
    profiler = PerformanceProfiler(24, clock=lambda: 2500.0)
    for m in records:
        profiler.record_query(m)
    recalls = downloads.records_file(store, VIEW, ".csv").decode()
    figures = downloads.figures_file(profiler, VIEW).decode()
    for table in (recalls, figures):
        cells = [cell for row in csv.reader(io.StringIO(table)) for cell in row]
        assert any("SUM" in cell for cell in cells)
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_the_figures_are_those_of_the_charts_and_the_unknown_is_empty(records: list[QueryMetrics]) -> None:
    profiler = PerformanceProfiler(24, clock=lambda: 2500.0)
    for m in records:
        profiler.record_query(m)
    rows = list(csv.DictReader(io.StringIO(downloads.figures_file(profiler, VIEW).decode())))
    by_type = {row["x"]: row for row in rows if row["chart"] == "by query type" and row["series"] == "p99"}
    shown = {row.name: row for row in window_reads.rows_by_type(profiler, VIEW)}
    assert float(by_type["factual"]["value"]) == pytest.approx(shown["factual"].p99)
    assert int(by_type["factual"]["n"]) == 61
    hits = [row for row in rows if row["chart"] == "cache" and row["series"] == "hit p50"]
    assert hits
    assert {row["value"] for row in hits} == {""}
